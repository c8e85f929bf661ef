"""The question of a deep stack: the frozen record of a random network."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from varsim.activations import Activation, find_activation
from varsim.catalog.distributions import ONE_HOT, find_distribution
from varsim.catalog.norms import NORMS
from varsim.catalog.scales import canonical_name
from varsim.errors import InputError
from varsim.layer.question import Experiment, checked_truth, checked_whole, known_name

if TYPE_CHECKING:
    from varsim.initializers import WeightSource

MIN_NETWORKS = 8
MAX_NETWORKS = 100_000
"""Largest number of networks with a precision."""

MAX_WIDTH = 2**16
MAX_DEPTH = 10_000
_MOST_NUMBERS = 10**8
_LEAST_COUNT = 20


class Layer(NamedTuple):
    """One weight matrix of a network.

    Attributes:
        fan_in: Number of rows.
        fan_out: Number of columns.
        k_squared: The square of the divisor of the entries.
    """

    fan_in: int
    fan_out: int
    k_squared: float

    @property
    def k(self) -> float:
        """The divisor of the entries."""
        return math.sqrt(self.k_squared)


@dataclass(frozen=True, kw_only=True)
class Network:
    """The question of a stack: h₁ = x W₁ and h_{l+1} = φ(h_l) W_{l+1}, and its gradients.

    A norm stands before the activation. A residual stack adds branches to a stream instead:
    h_{l+1} = h_l + residual · φ(norm(h_l)) W_{l+1}.

    Args:
        widths: n₀ of the input, and n₁ to n_L of the layers.
        activation: φ: a name of :mod:`varsim.activations`.
        scale: The scheme that gives every layer's k.
        gain: g, for schemes with a gain; the scheme's default by default.
        bias_std: Standard deviation of the normal biases.
        x_dist: Distribution of the inputs' entries.
        correlation: Correlation between any two inputs of a batch, entry by entry.
        w_dist: Distribution of the weights' entries before the division by k; normal by default,
            None with an initializer.
        norm: The norm before φ; a name in :data:`varsim.catalog.norms.NORMS`.
        residual: Factor on every branch, or None for a plain stack.
        batch: Inputs per network.
        networks: Number of independent networks, the replicates; with a precision, of the first
            check.
        precision: Target of every layer's relative standard error, such as 0.01, or None.
        backward: Whether gradients are propagated too.
        seed: Root of all random streams.
        dtype: ``"float32"`` or ``"float64"``.
        init: The initializer of every W, as in :class:`varsim.layer.question.Experiment`: used
            unchanged, with the scheme as the claim to test.

    Raises:
        InputError: A value is not allowed.

    >>> round(Network(widths=(784, 512, 10), activation="relu", scale="he").layers[1].k, 9)
    16.0
    """

    widths: tuple[int, ...]
    activation: str = "tanh"
    scale: str = "xavier"
    gain: float | None = None
    bias_std: float = 0.0
    x_dist: str = "normal"
    correlation: float = 0.0
    w_dist: str | None = None
    norm: str = "none"
    residual: float | None = None
    batch: int = 64
    networks: int = 64
    precision: float | None = None
    backward: bool = True
    seed: int = 0
    dtype: str = "float32"
    init: str | None = None

    def __post_init__(self) -> None:
        """Check every field and convert it to its canonical form."""
        if not 2 <= len(self.widths) <= MAX_DEPTH + 1:
            raise InputError(
                f"there are {len(self.widths) - 1} layers; give the width of the input, and then "
                f"those of 1 to {MAX_DEPTH:,} layers"
            )
        object.__setattr__(self, "norm", known_name("norm", self.norm, NORMS))
        object.__setattr__(self, "scale", str(self.scale))  # a number is a scale too
        widths = tuple(checked_whole("width", width, 1, MAX_WIDTH) for width in self.widths)
        object.__setattr__(self, "widths", widths)
        for name, least, most in (
            ("batch", 2 if self.norm == "batch" else 1, 10**6), ("networks", MIN_NETWORKS, 10**7)
        ):  # fmt: skip
            value = checked_whole(name, getattr(self, name), least, most)
            object.__setattr__(self, name, value)
        for name, number in (("bias_std", self.bias_std), ("residual", self.residual)):
            if number is None:
                continue
            if not (math.isfinite(number) and 0 <= number <= 1e6):
                raise InputError(f"{name} is {number!r}; give a number from 0 to 1e6")
            object.__setattr__(self, name, float(number) + 0.0)  # 1 and 1.0, 0 and -0, have one key
        if self.precision is not None and not 1e-4 <= self.precision < 1:
            raise InputError(
                f"precision is {self.precision:g}; give a relative standard error from 0.0001 to "
                "below 1, such as 0.01 for 1%"
            )
        if not 0 <= self.correlation <= 1:
            raise InputError(f"correlation is {self.correlation!r}; give a number from 0 to 1")
        object.__setattr__(self, "correlation", float(self.correlation) + 0.0)
        self._check_shapes()
        checked_truth("backward", self.backward)
        if ":" not in str(self.activation):
            self.phi  # noqa: B018  # refuses an unknown name
        self.layers  # noqa: B018  # refuses invalid weights
        for name in ("x_dist", "w_dist", "init", "dtype"):
            object.__setattr__(self, name, getattr(self._first, name))
        self._check_distributions()
        if self.correlation and self.x_dist != "normal":
            raise InputError(
                f"correlation is {self.correlation:g}, which needs normal inputs, and x_dist is "
                f"{self.x_dist}; leave one of them out"
            )
        if self.correlation == 1 and self.norm == "batch":
            raise InputError(
                "correlation is 1, and batch norm divides by the spread between inputs, which is "
                "then 0; take a smaller one, or another norm"
            )

    def _check_distributions(self) -> None:
        if self.x_dist == ONE_HOT:
            raise InputError(
                f"x_dist is {ONE_HOT}, and theory of stacks needs independent entries; take "
                "normal, as the rows of most embeddings are"
            )
        for name in ("x_dist", "w_dist"):
            law = getattr(self, name)
            if law is not None and not find_distribution(law).has_all_moments:
                raise InputError(
                    f"{name} is {law}, and theory of stacks needs every moment of it; take "
                    "laplace for tails that are heavier than normal ones"
                )
        # An input is 0 throughout with a probability of at most exp(-20).
        base, n = find_distribution(self.x_dist), self.widths[0]
        if self.x_dist.startswith("bernoulli") and n * min(base.mean, 1 - base.mean) < _LEAST_COUNT:
            raise InputError(
                f"x_dist is {self.x_dist}, and theory of stacks needs {_LEAST_COUNT} ones and "
                f"{_LEAST_COUNT} zeros on average among the {n:,} entries of an input; take a "
                "probability nearer to 0.5, or a wider input"
            )

    def _check_shapes(self) -> None:
        if self.residual is not None and len(set(self.widths[1:])) > 1:
            raise InputError(
                "a residual stack adds layers to each other, so all need the same width; give one "
                "width, or no residual"
            )
        if self.batch * sum(self.widths) > _MOST_NUMBERS:
            raise InputError(
                f"a batch of {self.batch:,} inputs through {len(self.widths) - 1:,} layers takes "
                "too much memory; take a smaller batch"
            )
        if self.networks * len(self.widths) > _MOST_NUMBERS:
            raise InputError("networks times layers is above 1e8; take fewer networks")

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.widths) - 1

    @cached_property
    def _first(self) -> Experiment:
        """The lowest layer."""
        return self.experiment(*self.widths[:2])

    @property
    def initializer(self) -> WeightSource:
        """The source of every W."""
        return self._first.initializer

    @property
    def replicate_size(self) -> int:
        """0: the key determines a network completely."""
        return 0

    @property
    def tried_once(self) -> tuple[str, ...]:
        """The activation and the initializer, which are called once before a run."""
        return (self.activation, *([] if self.init is None else [self.init]))

    @property
    def phi(self) -> Activation:
        """The activation."""
        return find_activation(self.activation)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """The weight matrices, from the input on."""
        shapes = list(pairwise(self.widths))
        k_squared = {shape: self.experiment(*shape).k_squared for shape in dict.fromkeys(shapes)}
        return tuple(Layer(*shape, k_squared[shape]) for shape in shapes)

    @property
    def g(self) -> float | None:
        """The gain; by default that of the scheme, None if the scheme has none."""
        return self._first.g

    @cached_property
    def key(self) -> str:
        """128 bits of the SHA-256 of the question without seed, networks and precision."""
        without = {"seed", "networks", "precision", "x_dist", "w_dist", "init"}
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__.keys() - without}
        fields |= {"scale": canonical_name(self.scale), "gain": self.g}
        if not self.correlation:
            del fields["correlation"]
        # These names never change, so that published streams stay.
        fields |= {"x": self.x_dist, "w": self.w_dist or "normal"}
        fields |= self.initializer.settings
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]

    def lower(self, depth: int) -> Network:
        """Return the network of the first ``depth`` layers."""
        return self if depth == self.depth else replace(self, widths=self.widths[: depth + 1])

    def experiment(self, fan_in: int, fan_out: int) -> Experiment:
        """Return one layer as an experiment, which checks the common settings."""
        experiment = Experiment(
            dim=fan_in, fan_out=fan_out, scale=self.scale, gain=self.gain, x_dist=self.x_dist,
            w_dist=self.w_dist, seed=self.seed, dtype=self.dtype, init=self.init,
        )  # fmt: skip
        if experiment.bias:
            raise InputError(
                f"{experiment.init} makes a bias, which a stack takes from bias_std; leave "
                "bias=True out"
            )
        return experiment


def network(
    *, width: int | tuple[int, ...], depth: int, residual: float | str | None, **settings: Any
) -> Network:
    """Return a network with one width throughout, or with the widths of its input and layers.

    Args:
        width: The width, or all widths, which give the depth.
        depth: L, the number of layers.
        residual: As in :class:`Network`; ``"gpt2"`` is 1/√(2L).
        settings: The other settings of a :class:`Network`.

    Raises:
        InputError: A value is not allowed.
    """
    if not isinstance(width, tuple):
        depth = checked_whole("depth", depth, 1, MAX_DEPTH)
    widths = width if isinstance(width, tuple) else (width,) * (depth + 1)
    if residual == "gpt2":  # Radford et al. (2019), section 2.3: 1/√N of N residual layers
        residual = (2 * depth) ** -0.5
    return Network(widths=widths, residual=residual, **settings)  # type: ignore[arg-type]

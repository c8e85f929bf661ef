"""The question of one layer: the frozen record of an experiment, checked at construction."""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING

from varsim import synonyms
from varsim.catalog import FLOAT_TYPES, MIN_PRECISION
from varsim.catalog.designs import DESIGNS, BlockShape
from varsim.catalog.distributions import ALIASES as OTHER_NAMES
from varsim.catalog.distributions import (
    FOR_WEIGHTS,
    ONE_HOT,
    SUMMARIES,
    find_distribution,
    with_parameter,
)
from varsim.catalog.scales import ALIASES, SCALES, TAKE_A_GAIN, canonical_name, find_scale
from varsim.errors import InputError, nearest, quoted, shortened

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator

    from varsim.initializers import Initializer, Weights, WeightSource

MIN_BLOCKS = 64
_DEFAULT_PRECISION = 0.001
MAX_DIM = 10**9
MAX_SAMPLES = 10**12
MAX_FLOAT32_SAMPLES = 2 * 10**10
_MAX_SEED = 2**64 - 1

_STANDARD: dict[str, object] = {"w_dist": "normal", "w_mean": 0.0, "w_std": 1.0}


class IndependentEntries:
    """The weight source of independent entries, drawn in slices of W."""

    text: None = None
    package: None = None
    bias = False
    settings: Mapping[str, str] = MappingProxyType({})

    def load(self) -> None:
        """Load nothing."""

    def check(self, design: str, dim: int, n: int) -> None:
        """Accept every design and shape."""

    def draw(
        self,
        rng: Generator,  # noqa: ARG002
        shape: tuple[int, int],  # noqa: ARG002
        dtype: np.dtype[np.floating],  # noqa: ARG002
    ) -> Weights:
        """Raise an InputError: entries are not drawn as a whole W."""
        raise InputError("there is no initializer to make a whole W; give one as init")

    def verify(
        self, rng: Callable[[], Generator], shape: tuple[int, int], dtype: np.dtype[np.floating]
    ) -> None:
        """Accept every shape and dtype."""

    def moments(self, dim: int, n: int) -> None:
        """Return None: theory knows the distribution of the entries."""

    def divisor(self, k: float) -> float:
        """Return the divisor of W: k."""
        return k

    def blocks(self, design: str, dim: int, n: int, outputs: int) -> int:  # noqa: ARG002
        """Return the smallest number of blocks for that many outputs."""
        return -(-outputs // DESIGNS[design].largest)

    def block(self, design: str, dim: int, n: int, outputs: int) -> BlockShape:  # noqa: ARG002
        """Return the shape of a block of at least that many outputs."""
        return DESIGNS[design].shape(dim, outputs)


_INDEPENDENT = IndependentEntries()


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The question of one layer: y = x @ W with independent entries, and W divided by k.

    Entries are ``x_mean + x_std * base`` and ``(w_mean + w_std * base) / k``, with the base
    distributions of :mod:`varsim.catalog.distributions`.

    Args:
        dim: D, the length of x and number of rows of W (fan-in).
        scale: The scheme that gives k: a name in :data:`varsim.catalog.scales.SCALES`, ``"D^p"``,
            or a number.
        fan_out: n, which some schemes use; D by default.
        gain: g, for schemes with a gain; the scheme's default by default.
        x_dist: Distribution of the entries of x: a name, or a name with its parameter, such as
            ``"bernoulli(0.1)"``. With ``"onehot"`` every row of x has a 1 at a random place, and 0
            elsewhere.
        w_dist: Distribution of the entries of W; normal by default, None with an initializer.
        x_mean: Shift of the entries of x.
        x_std: Factor on the entries of x.
        w_mean: Shift of the entries of W before the division by k; 0 by default, None with an
            initializer.
        w_std: Factor on the entries of W before the division by k; 1 by default, None with an
            initializer.
        design: Which outputs share draws; a name in :data:`varsim.catalog.designs.DESIGNS`.
        samples: Least number of outputs; see :func:`default_samples`. Blocks have equal sizes, so
            there may be a few more. Excludes ``precision``.
        precision: Target of the relative standard error, such as 0.001.
        max_samples: Largest number of outputs with a precision; 1e12 by default.
        seed: Root of all random streams.
        dtype: ``"float32"`` or ``"float64"``: of x, W and their product. Moments are float64.
        init: The initializer of W, one whole W per block, in place of independent entries:
            a built-in one; ``torch.nn.init.*``, ``torch.nn.Linear``, ``jax.nn.initializers.*`` or
            ``keras.initializers.*``, as installed; or ``module:function`` for an ``f(rng, shape)``.
            Arguments are written like ``name(gain=1.5)``. W is used unchanged, and the scheme is
            the claim to test: E w² = 1/k².

    Raises:
        InputError: A value is not allowed.

    >>> experiment = Experiment(dim=512, scale="sqrt")
    >>> round(experiment.k, 4), experiment.blocks, experiment.block.outputs
    (22.6274, 64, 62000)
    """

    dim: int
    scale: str
    fan_out: int | None = None
    gain: float | None = None
    x_dist: str = "normal"
    w_dist: str | None = None
    x_mean: float = 0.0
    x_std: float = 1.0
    w_mean: float | None = None
    w_std: float | None = None
    design: str = "crossed"
    samples: int | None = None
    precision: float | None = None
    max_samples: int | None = None
    seed: int = 0
    dtype: str = "float32"
    init: str | None = None

    def __post_init__(self) -> None:
        """Check every field and convert it to its canonical form."""
        self._set(dim=checked_whole("dim", self.dim, 1, MAX_DIM))
        if self.fan_out is not None:
            self._set(fan_out=checked_whole("fan_out", self.fan_out, 1, MAX_DIM))
        self._set(
            seed=checked_whole("seed", self.seed, 0, _MAX_SEED),
            design=known_name("design", self.design, DESIGNS),
            dtype=known_name("dtype", self.dtype, FLOAT_TYPES),
            x_dist=_distribution("x", self.x_dist),
            x_mean=_finite("x_mean", self.x_mean),
            x_std=_positive("x_std", self.x_std),
            **_entries_of_w(self),
            scale=_scale(self.scale),
        )
        if self.gain is not None:
            self._set(gain=_gain(self.scale, self.gain))
        if self.looks_up and self.x_mean:
            raise InputError(
                f"x_mean is {self.x_mean:g}, which shifts every entry of x, and {ONE_HOT} has one "
                "per row that is not 0; leave x_mean out"
            )
        self.initializer.check(self.design, self.dim, self.n)
        self._set(init=self.initializer.text)
        _check_float_range(self)
        self._set(**_extent(self))
        if self.blocks < MIN_BLOCKS:
            least = MIN_BLOCKS * self.block.outputs
            raise InputError(
                f"max_samples is {self.max_samples:,}, but {MIN_BLOCKS} W with a fan-out of "
                f"{self.n:,} make {least:,} outputs; give {least:,} or more"
            )

    def __getstate__(self) -> dict[str, object]:
        """Return the pickled state: the settings, without cached objects."""
        return {name: self.__dict__[name] for name in self.__dataclass_fields__}

    def _set(self, **values: object) -> None:
        vars(self).update(values)

    @property
    def n(self) -> int:
        """The fan-out; D by default."""
        return self.dim if self.fan_out is None else self.fan_out

    @property
    def g(self) -> float | None:
        """The gain; by default that of the scheme, None if the scheme has none."""
        return find_scale(self.scale).gain if self.gain is None else self.gain

    @property
    def outputs(self) -> int | None:
        """Least number of outputs, as given or by default; None with a precision."""
        if self.samples is None and self.precision is None:
            return self._default_samples
        return self.samples

    @cached_property
    def _default_samples(self) -> int:
        return default_samples(self)

    @cached_property
    def k_squared(self) -> float:
        """The square of the divisor of W."""
        try:
            return find_scale(self.scale).k_squared(self.dim, self.n, self.g or 1.0)
        except ArithmeticError:
            return math.nan  # no float holds the square of the gain: the range check refuses it

    @property
    def k(self) -> float:
        """The divisor of W."""
        return math.sqrt(self.k_squared)

    @property
    def x_entries(self) -> tuple[str, float, float]:
        """Distribution, mean and deviation of the entries of x."""
        return self.x_dist, self.x_mean, self.x_std

    @property
    def looks_up(self) -> bool:
        """Whether rows of x are one-hot, so that x @ W looks up rows of W."""
        return self.x_dist == ONE_HOT

    @property
    def w_entries(self) -> tuple[str, float, float]:
        """Distribution, mean and deviation of the entries of W before the division by k.

        With an initializer, those of the scheme's claim: standardised entries.
        """
        name, mean, std = (getattr(self, field) for field in _STANDARD)
        return name or "normal", mean or 0.0, 1.0 if std is None else std

    @property
    def initializer(self) -> WeightSource:
        """The source of W."""
        return _INDEPENDENT if self.init is None else self._loaded_initializer

    @cached_property
    def _loaded_initializer(self) -> Initializer:
        from varsim.initializers import find  # a plain run starts without

        return find(str(self.init))

    @property
    def bias(self) -> bool:
        """Whether the initializer has a bias, which is added to x @ W."""
        return self.initializer.bias

    @property
    def replicate_size(self) -> int:
        """Outputs per block."""
        return self.block.outputs

    @property
    def tried_once(self) -> tuple[str, ...]:
        """The initializer, which is called once before a run."""
        return () if self.init is None else (self.init,)

    def extent(self, outputs: int) -> tuple[int, BlockShape]:
        """Return the number and the shape of blocks for at least that many outputs.

        There are enough blocks for an error bar, and each is small enough for memory.
        """
        blocks = max(MIN_BLOCKS, self.initializer.blocks(self.design, self.dim, self.n, outputs))
        return blocks, self.initializer.block(self.design, self.dim, self.n, -(-outputs // blocks))

    @property
    def blocks(self) -> int:
        """Number of blocks.

        With a precision this is an upper bound, and the stopping rule decides.
        """
        return self._planned[0]

    @property
    def block(self) -> BlockShape:
        """Shape of every block."""
        return self._planned[1]

    @cached_property
    def _planned(self) -> tuple[int, BlockShape]:
        if self.outputs is not None:
            return self.extent(self.outputs)
        block = self.initializer.block(self.design, self.dim, self.n, self._outputs)
        return (self.max_samples or MAX_SAMPLES) // block.outputs, block

    @property
    def block_family(self) -> tuple[int, ...]:
        """Extra spawn-key words: the block size, which the key omits if a precision is set."""
        return () if self.precision is None else (self._outputs,)

    @property
    def _outputs(self) -> int:
        """Least number of outputs per block with a precision.

        It is the power of 4 for which the precision takes 64 to 256 independent blocks of normal
        entries, where one output has a relative error of √2. All precisions thus share a few sizes,
        and the finest ones share the largest.
        """
        wanted = 2 / (self.precision or 1.0) ** 2 / MIN_BLOCKS
        bound = (self.max_samples or MAX_SAMPLES) // (2 * MIN_BLOCKS)
        most = max(1, min(wanted, bound, DESIGNS[self.design].largest))
        return int(4 ** math.floor(math.log(most, 4) + 1e-9))

    @cached_property
    def key(self) -> str:
        """128 bits of the SHA-256 of the experiment as canonical JSON, without its seed.

        Two spellings of one experiment have the same key, and every random stream starts from it.
        The precision is left out, so that a finer run continues a coarser one. The names in it
        never change, so that published streams stay.
        """
        x, w = self.x_entries, self.w_entries
        fields = {
            "dim": self.dim, "scale": canonical_name(self.scale), "fan_out": self.n,
            "gain": self.g, "x": x[0], "x_mean": x[1], "x_std": x[2], "w": w[0], "w_mean": w[1],
            "w_std": w[2], "design": self.design, "samples": self.outputs, "dtype": self.dtype,
        }  # fmt: skip
        fields |= self.initializer.settings
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]


def known_name(
    what: str,
    value: object,
    known: Iterable[str],
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return the canonical name of a known value, or raise an InputError."""
    if type(value) is str and isinstance(known, Mapping) and value in known:
        return value
    name = str(value).strip().lower()
    name, known = aliases.get(name, name), list(known)
    if name not in known:
        hint = nearest(name, [*known, *aliases], synonyms.VALUES)
        raise InputError(f"{what} {quoted(value)} is unknown; {hint}")
    return name


def _distribution(of: str, value: object) -> str:
    text = str(value).strip()
    name = known_name(f"distribution of {of}", text.partition("(")[0], SUMMARIES, OTHER_NAMES)
    if of == "W" and name not in FOR_WEIGHTS:
        allowed = ", ".join(FOR_WEIGHTS)
        raise InputError(f"{name!r} is a distribution of x only; for W take {allowed}")
    return with_parameter(name, text)


def _entries_of_w(e: Experiment) -> dict[str, object]:
    """Return the checked fields of the entries of W; all None with an initializer."""
    if e.w_dist is None and e.w_mean is None and e.w_std is None:
        return _STANDARD if e.init is None else {}
    given = {name: getattr(e, name) for name in _STANDARD}
    values = {name: _STANDARD[name] if v is None else v for name, v in given.items()}
    values = {
        "w_dist": _distribution("W", values["w_dist"]),
        "w_mean": _finite("w_mean", values["w_mean"]),
        "w_std": _positive("w_std", values["w_std"]),
    }
    if e.init is None:
        return values
    if values != _STANDARD:
        raise InputError(
            f"W comes from {e.init}, so w_dist, w_mean and w_std do not apply; leave them out"
        )
    return dict.fromkeys(_STANDARD)


def _mean_to_std(name: str, shift: float, factor: float) -> float:
    """Return the ratio of the mean of entries to their deviation; a lookup adds no mean to W's."""
    if name == ONE_HOT:
        return 0.0
    base = find_distribution(name)
    return abs(shift + factor * base.mean) / (factor * math.sqrt(base.variance))


def checked_whole(name: str, value: object, least: int, most: int) -> int:
    """Return a whole number from ``least`` to ``most``, or raise an InputError."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1  # refused below
    if isinstance(value, bool) or not least <= number <= most:
        given = shortened(repr(value), 30)
        raise InputError(f"{name} is {given}; give a whole number from {least:,} to {most:,}")
    return number


def checked_truth(name: str, value: object) -> bool:
    """Return True or False, or raise an InputError."""
    if not isinstance(value, bool):
        raise InputError(f"{name} is {shortened(repr(value), 30)}; give True or False")
    return value


def _extent(e: Experiment) -> dict[str, float | None]:
    """Return samples, precision and max_samples, checked."""
    if e.precision is None:
        if e.max_samples is not None:
            raise InputError(
                "max_samples is given without a precision; give a precision too, or samples instead"
            )
        samples = None if e.samples is None else _samples("samples", e.samples)
        if e.dtype == "float32" and samples and samples > MAX_FLOAT32_SAMPLES:
            raise InputError(
                f"samples is {samples:,}, and float32 rounding allows {MAX_FLOAT32_SAMPLES:,}, "
                "for an error of 1e-5; take fewer, or dtype float64"
            )
        return {"samples": samples}
    if e.samples is not None:
        raise InputError("samples and precision are both given; give one of them")
    return {
        "precision": _precision(e.precision, e.dtype),
        "max_samples": None if e.max_samples is None else _samples("max_samples", e.max_samples),
    }


def default_samples(e: Experiment) -> int:
    """Return the default number of outputs.

    For independent entries in crossed batches, each block has the number of thousands that gives a
    relative standard error of 0.1 % with normal entries: N outputs in products of r x c then have a
    relative variance of [2 + 6/D + 2 (r - 1)/D + 2 (c - 1)/D] / N. Otherwise it is a million.
    """
    if e.design != "crossed" or e.init is not None:
        return 1_000_000
    step = 1000 * MIN_BLOCKS
    samples, needed = 0, step
    while samples < needed:  # larger blocks share more draws, so they need more outputs
        samples = math.ceil(needed / step) * step
        block = DESIGNS[e.design].shape(e.dim, samples // MIN_BLOCKS)
        variance = 2.0 + (6.0 + 2.0 * (block.rows + block.columns - 2)) / e.dim
        needed = math.ceil(variance / _DEFAULT_PRECISION**2)
    return samples


def _precision(value: object, dtype: str) -> float:
    precision, finest = _positive("precision", value), FLOAT_TYPES[dtype].precision
    if not MIN_PRECISION <= precision < 1:
        raise InputError(
            f"precision is {precision:g}; give a relative standard error from {MIN_PRECISION:g} to "
            "below 1, such as 0.001 for 0.1%"
        )
    if precision < finest:
        raise InputError(
            f"precision is {precision:g}, and {dtype} rounding allows none below {finest:g}; take "
            "a larger one, or dtype float64"
        )
    return precision


def _samples(name: str, value: object) -> int:
    try:
        return checked_whole(name, value, MIN_BLOCKS, MAX_SAMPLES)
    except InputError as error:
        raise InputError(
            f"{error}: the error bar needs {MIN_BLOCKS} independent blocks of at least one output"
        ) from None


def _finite(name: str, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name} is {shortened(repr(value))}; give a finite number")
    return number + 0.0  # -0 is 0, in the key too


def _positive(name: str, value: object) -> float:
    number = _finite(name, value)
    if number <= 0:
        raise InputError(f"{name} is {shortened(repr(value))}; give a finite number above 0")
    return number


def _scale(value: object) -> str:
    name = str(value).strip()
    try:
        if value is None or isinstance(value, bool):
            raise KeyError
        find_scale(name)
    except KeyError:
        known = [*SCALES, *ALIASES]
        hint = f"known are {', '.join(known)}" if "/" in name else nearest(name, known)
        raise InputError(
            f"scale {quoted(name)} is neither a scheme, nor a number, nor D^p; {hint}"
        ) from None
    except ValueError as error:
        raise InputError(str(error)) from None
    return name


def _gain(scale: str, gain: object) -> float:
    if find_scale(scale).gain is None:
        raise InputError(f"gain is {gain}, but scale {scale!r} has none; {TAKE_A_GAIN}")
    return _positive("gain", gain)


def _check_float_range(e: Experiment) -> None:
    limits, k = FLOAT_TYPES[e.dtype], e.k
    if not (math.isfinite(k) and k > 0):
        raise InputError(
            f"scale {e.scale!r} gives k² = {e.k_squared:g} at D = {e.dim}, which is out of "
            "range; choose a k nearer to 1"
        )
    # Before and after the division by k: theory takes fourth powers of both in float64.
    (_, x_mean, x_std), (_, w_mean, w_std) = e.x_entries, e.w_entries
    x, w = abs(x_mean) + x_std, abs(w_mean) + w_std
    least = min(x_std, w_std, x_std * w_std)
    most = max(x, w, e.dim * x * w)
    hint = "; use dtype float64" if e.dtype == "float32" else ""
    if least / max(1.0, k) < limits.smallest or most / min(1.0, k) > limits.largest:
        raise InputError(
            f"scale {e.scale!r} (k = {k:.3g}) with these deviations takes x, W or x@W out of the "
            f"range {limits.smallest:g} to {limits.largest:g}, where {e.dtype} is safe; "
            f"choose k and deviations nearer to 1{hint and ', or dtype float64'}"
        )
    # A mean of y far above its spread would leave the spread to the last few digits.
    x_ratio, w_ratio = _mean_to_std(*e.x_entries), _mean_to_std(*e.w_entries)
    y_ratio = x_ratio * w_ratio * math.sqrt(e.dim) / math.sqrt(1 + x_ratio**2 + w_ratio**2)
    worst = max(x_ratio, w_ratio, y_ratio)
    if worst > limits.mean_to_std:
        raise InputError(
            f"the means are {worst:.3g} times their deviations, and {e.dtype} allows "
            f"{limits.mean_to_std:g} times; take smaller means{hint.replace('; use', ', or')}"
        )

"""The question of a model: a user's function that builds a network, and its inputs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

from varsim.catalog import FLOAT_TYPES
from varsim.errors import InputError, quoted
from varsim.initializers.initializer import load_adapter
from varsim.layer.question import checked_truth, checked_whole, known_name
from varsim.usercode import load_function, reraise_as_input_error

MIN_INITS = 8
MAX_INITS = 100_000
"""Largest number of initializations with a precision."""

_MOST_NUMBERS = 10**8


@dataclass(frozen=True)
class Maker:
    """A function that builds a network of torch.

    Attributes:
        text: The function, as ``module:function``.
    """

    text: str

    @property
    def package(self) -> str | None:
        """torch, with its version."""
        return load_adapter("torch").package()

    def load(self) -> Callable[[], Any]:
        """Return the function, with torch loaded.

        Raises:
            InputError: One of them cannot be loaded.
        """
        remedy = load_adapter("torch").remedy()
        with reraise_as_input_error(
            lambda why: f"models need torch, which cannot be loaded ({why}); {remedy}"
        ):
            import_module("torch")
        return load_function(self.text)


@dataclass(frozen=True, kw_only=True)
class Model:
    """The question of a model: its modules' outputs y and their gradients, at initialization.

    Every replicate is a whole initialization with inputs and a cotangent of its own.

    Args:
        model: A function without arguments that returns a torch.nn.Module, as
            ``module:function``.
        input: Shape of the inputs, the batch first; standard normal entries.
        tokens: Number of token ids; inputs are then uniform ids in place of normal entries.
        depth: Depth of the modules that count as one; None for those that call no others.
        eval_mode: Whether the model is in evaluation mode; else it is as built.
        inits: Number of initializations; with a precision, of the first check.
        precision: Target of every module's relative standard error, such as 0.05, or None.
        seed: Root of all random streams.
        dtype: ``"float32"`` or ``"float64"``.

    Raises:
        InputError: A value is not allowed.

    >>> Model(model="net:make_model", input=(16, 3, 32, 32)).shape
    '16x3x32x32'
    """

    model: str
    input: tuple[int, ...]
    tokens: int | None = None
    depth: int | None = None
    eval_mode: bool = False
    inits: int = 64
    precision: float | None = None
    seed: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        """Check every field and convert it to its canonical form."""
        if ":" not in self.model:
            raise InputError(
                f"{quoted(self.model)} is no function; write module:function, such as "
                "mypackage.net:make_model"
            )
        if not 1 <= len(self.input) <= 8:
            raise InputError(
                f"input has {len(self.input)} sizes; give 1 to 8, the batch first, such as "
                "16x3x32x32"
            )
        sizes = tuple(checked_whole("input", size, 1, _MOST_NUMBERS) for size in self.input)
        if math.prod(sizes) > _MOST_NUMBERS:
            raise InputError(f"input is {self.shape}, above 1e8 numbers; take a smaller batch")
        object.__setattr__(self, "input", sizes)
        for name, least, most in (
            ("tokens", 1, 2**31), ("depth", 1, 1000), ("inits", MIN_INITS, 10**7),
            ("seed", 0, 2**64 - 1),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_whole(name, value, least, most))
        if self.precision is not None and not 1e-4 <= self.precision < 1:
            raise InputError(
                f"precision is {self.precision:g}; give a relative standard error from 0.0001 to "
                "below 1, such as 0.05 for 5%"
            )
        checked_truth("eval_mode", self.eval_mode)
        object.__setattr__(self, "dtype", known_name("dtype", self.dtype, FLOAT_TYPES))

    @property
    def shape(self) -> str:
        """The shape of the inputs as on the command line."""
        return "x".join(map(str, self.input))

    @property
    def init(self) -> str:
        """The function, which is the source of all weights."""
        return self.model

    @property
    def initializer(self) -> Maker:
        """The function with its framework."""
        return Maker(self.model)

    @property
    def replicate_size(self) -> int:
        """0: the key determines an initialization completely."""
        return 0

    @property
    def tried_once(self) -> tuple[str, ...]:
        """The function, which is called before a run."""
        return (self.model, self.shape)

    @cached_property
    def key(self) -> str:
        """128 bits of the SHA-256 of the question without seed, inits and precision."""
        without = {"seed", "inits", "precision"}
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__.keys() - without}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:32]


def check_band(band: tuple[float, float] | None) -> None:
    """Refuse a band of variances that is none."""
    if band is not None and not 0.0 <= band[0] < band[1] < math.inf:
        raise InputError(
            f"between is {band[0]:g}:{band[1]:g}; give two variances, the smaller one first, such "
            "as 0.1:10"
        )

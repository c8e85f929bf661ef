"""Types of values in files, with their readers and writers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from varsim.compute import lazy

if TYPE_CHECKING:
    from varsim.statistics import moments
else:
    moments = lazy("varsim.statistics.moments")  # it loads NumPy

T = TypeVar("T")

READ_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Exceptions of readers for a value of another type."""


# A spreadsheet runs a cell of CSV that begins so. A text of varsim never does.
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def identity(value: Any) -> Any:
    """Return the value unchanged (scalars need no conversion)."""
    return value


@dataclass(frozen=True)
class ValueType(Generic[T]):
    """The type of a column's values.

    Attributes:
        read: Returns the value of its JSON form, or raises one of :data:`READ_ERRORS`.
        write: Returns the JSON form of a value.
        is_text: Whether a CSV cell is the value itself, and not JSON.
        is_scalar: Whether a value is a single text, number or truth value.
        is_optional: Whether a value can be None: empty in CSV, null in JSON.
    """

    read: Callable[[Any], T]
    write: Callable[[T], object] = identity
    is_text: bool = False
    is_scalar: bool = False
    is_optional: bool = False


def _text(value: Any) -> str:
    if not isinstance(value, str) or value.startswith(_FORMULAS):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():  # as spreadsheets and pandas write it
        return int(value)
    raise TypeError


def _number(value: Any) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is not int:
        raise TypeError
    return float(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


TEXT = ValueType(_text, is_text=True, is_scalar=True)
WHOLE = ValueType(_whole, is_scalar=True)
NUMBER = ValueType(_number, is_scalar=True)
TRUTH = ValueType(_truth, is_scalar=True)


def optional(of: ValueType[T]) -> ValueType[T | None]:
    """Return the type of values that can be None."""
    return ValueType(
        lambda value: None if value is None else of.read(value),
        of.write if of.write is identity else lambda v: None if v is None else of.write(v),
        of.is_text,
        of.is_scalar,
        is_optional=True,
    )


def sequence(of: ValueType[T]) -> ValueType[tuple[T, ...]]:
    """Return the type of lists with items of one type."""

    def read(value: Any) -> tuple[T, ...]:
        if value is None:  # an empty cell of CSV
            return ()
        if not isinstance(value, list):
            raise TypeError
        return tuple(map(of.read, value))

    return ValueType(read, lambda values: list(map(of.write, values)))


def mapping(**types: ValueType[Any]) -> ValueType[Mapping[str, Any]]:
    """Return the type of objects with these names."""

    def read(value: Any) -> dict[str, Any]:
        return {name: of.read(value[name]) for name, of in types.items()}

    def write(values: Mapping[str, Any]) -> dict[str, object]:
        return {name: of.write(values[name]) for name, of in types.items()}

    return ValueType(read, write)


_BINS = mapping(low=NUMBER, width=NUMBER, number=WHOLE)

BINS: ValueType[moments.Bins] = ValueType(
    lambda value: moments.Bins(**_BINS.read(value)), lambda bins: bins._asdict()
)
"""The bins of a histogram."""

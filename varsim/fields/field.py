"""Fields: one declaration per value of a row, for files, tables, captions and figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from varsim.fields.rounding import beside, needs_exponent, power_of, with_error
from varsim.fields.values import ValueType
from varsim.statistics import Estimate

if TYPE_CHECKING:
    from varsim.fields.row import RowBase

R = TypeVar("R", bound="RowBase")
R_contra = TypeVar("R_contra", bound="RowBase", contravariant=True)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(kw_only=True, eq=False)
class Field(Generic[R_contra, T_co]):
    """A value of a row: its forms in files, tables, captions and figures.

    Attributes:
        value_type: The form of the value in files.
        about: A description of the value, in one sentence.
        get: Returns the value of a row.
        name: The name.
        stored: Whether a reader takes it from a file; other values are computed from these.
        header: Header of the column in tables for people; ``{level}`` is the interval's level.
            Empty without a column.
        cell: Returns the text of the cell, from the row.
        measured: Returns the estimate that sets the digits of the number, from the row.
        interval: Whether the cell is that estimate itself, with the half-width of its interval.
        numeric: Whether the column is aligned to the right.
        drop_priority: Rank at which a narrow terminal omits the column, lowest first; None for
            never.
        phrase: A setting in captions and in the names of rows, such as ``"gain {}"``.
        show: Returns the text of a value.
        when_varying: Whether it has a column only if it differs between rows.
        is_default: Returns whether a row's setting is the default, which captions omit.
        always_in_caption: Whether captions name the default too.
        axis: Label of a figure's axis; empty without one.
    """

    value_type: ValueType[T_co]
    about: str
    get: Callable[[R_contra], T_co]
    name: str = ""
    stored: bool = False
    header: str = ""
    cell: Callable[[R_contra], str] | None = None
    measured: Callable[[R_contra], Estimate | None] | None = None
    interval: bool = False
    numeric: bool = True
    drop_priority: int | None = None
    phrase: str = ""
    show: Callable[[Any], str] = str
    when_varying: bool = False
    is_default: Callable[[R_contra], bool] = lambda _: False
    always_in_caption: bool = False
    axis: str = ""

    def values(self, rows: Iterable[R_contra]) -> set[T_co]:
        """Return the distinct values of rows."""
        return set(map(self.get, rows))

    def text(self, row: R_contra, *, exponent: bool | None = None) -> str:
        """Return the cell of a row.

        Args:
            row: The row.
            exponent: Whether a number beside a measurement has an exponent, as its whole column
                does; by default if it needs one.
        """
        if self.cell is not None:
            return self.cell(row)
        value = self.get(row)
        if value is None:
            return ""
        estimate = None if self.measured is None else self.measured(row)
        number = self.number(row)
        if estimate is None or number is None:
            return self.show(value)
        if self.interval:
            return interval_text(estimate, row.confidence, exponent=exponent)
        power = _power(estimate, exponent=exponent)
        if power is None:  # there is no measurement to share one with
            power = power_of(number) if needs_exponent(number) else 0
        return beside(number, estimate.value, estimate.half_width(row.confidence), power=power)

    def number(self, row: R_contra) -> float | None:
        """Return the value of a row as a number, or None if it is none."""
        value = self.get(row)
        return float(value) if isinstance(value, int | float) else None

    def to_json(self, row: R_contra) -> object:
        """Return the JSON form of a row's value."""
        return self.value_type.write(self.get(row))


class Declared(Field[R_contra, T_co]):
    """A field declared as an attribute of its row class: the attribute's name is the field's.

    As an attribute of a row it is the value; as one of the class, the field itself. A value that
    the row stores has a field with a private attribute and an explicit public name.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name of the attribute, unless a name is given."""
        self.name = self.name or name

    @overload
    def __get__(self, row: None, owner: type) -> Self: ...
    @overload
    def __get__(self, row: R_contra, owner: type) -> T_co: ...
    def __get__(self, row: R_contra | None, owner: type) -> Self | T_co:
        """Return the value of a row, or the field itself from the class."""
        return self if row is None else self.get(row)


class Columns(Generic[R]):
    """A factory of fields for one kind of row, which types their functions."""

    def __call__(
        self,
        value_type: ValueType[T],
        about: str,
        get: Callable[[R], T],
        *,
        name: str = "",
        stored: bool = False,
        header: str = "",
        cell: Callable[[R], str] | None = None,
        measured: Callable[[R], Estimate | None] | None = None,
        interval: bool = False,
        numeric: bool = True,
        drop_priority: int | None = None,
        phrase: str = "",
        show: Callable[[Any], str] = str,
        when_varying: bool = False,
        is_default: Callable[[R], bool] = lambda _: False,
        always_in_caption: bool = False,
        axis: str = "",
    ) -> Declared[R, T]:
        """Return a field: see :class:`Field`."""
        return Declared(
            value_type=value_type, about=about, get=get, name=name, stored=stored, header=header,
            cell=cell, measured=measured, interval=interval, numeric=numeric,
            drop_priority=drop_priority, phrase=phrase, show=show, when_varying=when_varying,
            is_default=is_default, always_in_caption=always_in_caption, axis=axis,
        )  # fmt: skip


def interval_text(estimate: Estimate, confidence: float, *, exponent: bool | None = None) -> str:
    """Return an estimate with the half-width of its interval; see :meth:`Field.text`."""
    half_width, power = estimate.half_width(confidence), _power(estimate, exponent=exponent)
    return with_error(estimate.value, half_width, power=power)


def _power(estimate: Estimate, *, exponent: bool | None) -> int | None:
    """Return the exponent of 10 of a measurement, that of its claim if both are alike."""
    if not exponent:
        return None if exponent is None else 0
    value, claim = estimate.value, estimate.claim
    near = value and claim and 0.1 < value / claim < 10.0
    shown = claim if near else value or claim
    return power_of(shown) if shown else None

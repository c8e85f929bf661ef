"""The fields of rows: one table for each kind of row says all that files, tables and figures need.

CSV, JSON, reading, type checks, the columns of a table, what a narrow terminal leaves out first,
captions and the axes of figures follow from a :class:`Field`.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from varsim import __version__
from varsim.compute import lazy
from varsim.errors import InputError, shortened
from varsim.fields.rounding import beside, needs_exponent, power_of, with_error
from varsim.statistics import Caveat, Estimate

if TYPE_CHECKING:
    from varsim.statistics.moments import Bins

moments = lazy("varsim.statistics.moments")  # it loads NumPy

Row = TypeVar("Row", bound="RowBase")

UNUSABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What a reader raises for a value that is not of its type."""

# Values that follow from the rest of a row are computed again, perhaps by another libm.
_RELATIVE_TOLERANCE = 1e-6


def single(value: Any) -> Any:
    """Return a value as it is: what has no parts needs no other form in a file."""
    return value


@dataclass(frozen=True)
class Field:
    """One value of a row.

    Attributes:
        name: Its name in files, and as an attribute of the row.
        type: Returns the value that a file holds, or raises one of :data:`UNUSABLE`.
        about: What it is.
        of: Returns it, from the row; None where it is an attribute of the row or of its question.
        optional: Whether it can be None: empty in CSV, null in JSON.
        derived: Whether it follows from the other fields; a file is checked against that.
        tolerance: Absolute difference that such a check allows.
        plain: Turns the value into what JSON can hold; :func:`single` where it has no parts.
        header: Its column's header in tables for people; ``{level}`` is the interval's level. Empty
            where it has no column.
        cell: Returns the text of the cell, from the row.
        measured: Returns the estimate to whose digits a number is shown, from the row.
        interval: Whether the cell is that estimate itself, with the half-width of its interval.
        note: What a reader must know of the column, for the lines below a table.
        numeric: Whether the column is aligned to the right.
        drop_priority: Rank at which a narrow terminal leaves the column out, lowest first; None
            for never.
        phrase: How a setting reads in captions and in the names of rows, such as ``"gain {}"``.
        show: Returns the text of a setting's value.
        when_varying: Whether it has a column only where it tells rows apart.
        usual: Tells whether a setting is as usual, and not worth a word.
        always: Whether captions name it though it is as usual.
        axis: Its label on the axis of a figure; empty where it has none.
    """

    name: str
    type: Callable[[Any], Any]
    about: str = ""
    of: Callable[[Any], Any] | None = None
    _: KW_ONLY
    optional: bool = False
    derived: bool = False
    tolerance: float = 0.0
    plain: Callable[[Any], Any] = single
    header: str = ""
    cell: Callable[[Any], str] | None = None
    measured: Callable[[Any], Estimate | None] | None = None
    interval: bool = False
    note: str = ""
    numeric: bool = True
    drop_priority: int | None = None
    phrase: str = ""
    show: Callable[[Any], str] = str
    when_varying: bool = False
    usual: Callable[[Any], bool] = lambda _: False
    always: bool = False
    axis: str = ""

    def value(self, row: Any) -> Any:
        """Return the value of a row, or of a question."""
        return getattr(row, self.name) if self.of is None else self.of(row)

    def values(self, rows: Iterable[Any]) -> set[Any]:
        """Return the different values of rows."""
        return set(map(self.of or attrgetter(self.name), rows))

    def text(self, row: Any, *, exponent: bool | None = None) -> str:
        """Return the cell of a row.

        Args:
            row: The row.
            exponent: Whether a number beside a measurement has an exponent, as all of its column
                have; by default where it needs one.
        """
        if self.cell is not None:
            return self.cell(row)
        value = self.value(row)
        if value is None:
            return ""
        estimate = None if self.measured is None else self.measured(row)
        if estimate is None:
            return self.show(value)
        if self.interval:
            return interval_text(estimate, row.confidence, exponent=exponent)
        power = _power(estimate, exponent=exponent)
        if power is None:  # nothing was measured to share one with
            power = power_of(value) if needs_exponent(value) else 0
        return beside(value, estimate.value, estimate.half_width(row.confidence), power=power)

    def read(self, value: Any) -> Any:
        """Return the value that a file holds, or raise one of :data:`UNUSABLE`."""
        return None if value is None and self.optional else self.type(value)

    def follows(self, told: Any, row: Any) -> bool:
        """Tell whether a value that a file holds is what follows from the rest of its row."""
        return self._close(told, self.value(row))

    def _close(self, told: Any, value: Any) -> bool:
        if isinstance(told, tuple) and isinstance(value, tuple):
            return len(told) == len(value) and all(map(self._close, told, value))
        if not (isinstance(told, float) and isinstance(value, float)):
            return bool(told == value)
        return math.isclose(told, value, rel_tol=_RELATIVE_TOLERANCE, abs_tol=self.tolerance)


@dataclass(frozen=True)
class Schema(Generic[Row]):
    """The fields of one kind of row, in the order of its files.

    Attributes:
        kind: What the rows are called in a sentence.
        number: Number of the schema; raised whenever the fields change.
        fields: The fields.
        question: Makes the question of a row from the values of its fields, and checks it; the
            second argument tells that it was checked before, and has the key that it says.
        build: Makes a row of its question and the values; both raise an InputError or one of
            :data:`UNUSABLE` where there is none.
        marker: A field that no other kind of row has.
        table: The columns of a table for people, in their order.
        settings: The settings that captions name, in their order.
        named_by: The settings that name a row in a sentence; others do where they are not as usual.
        brief: What the one line of a row says: pairs of a label and a field.
    """

    kind: str
    number: int
    fields: tuple[Field, ...]
    question: Callable[[Mapping[str, Any], bool], Any]
    build: Callable[[Any, Mapping[str, Any]], Row]
    marker: str
    table: tuple[str, ...]
    settings: tuple[str, ...]
    named_by: tuple[str, ...]
    brief: tuple[tuple[str, str], ...] = ()

    @cached_property
    def names(self) -> list[str]:
        """The names of a record, in their order."""
        return ["schema", *self.by_name, CHECKSUM]

    @cached_property
    def by_name(self) -> dict[str, Field]:
        """Every field by its name."""
        return {field.name: field for field in self.fields}

    def name_of(self, row: Row, without: Sequence[str] = ()) -> str:
        """Return what a row is called: each setting that names it or is not as usual."""
        phrases = []
        for name in dict.fromkeys((*self.named_by, *self.settings)):
            field = self.by_name[name]
            value = field.value(row)
            if value is not None and not field.usual(row) and name not in without:
                phrases.append(field.phrase.format(field.show(value)))
        return ", ".join(phrases)

    def line(self, row: Row) -> str:
        """Return a row in one line: what it is called, what was measured, theory and verdict."""
        texts = [(label, self.by_name[name].text(row)) for label, name in self.brief]
        told = ", ".join(f"{label} {text}".strip() for label, text in texts if text)
        return f"{self.name_of(row)}: {told}"

    def describe(self, kind: type[Row], question: type[Any]) -> None:
        """Give a kind of row these fields and the settings of its question as attributes."""
        kind.schema = self
        own = kind.__dataclass_fields__.keys()
        names = dict.fromkeys((*self.by_name, *question.__dataclass_fields__))
        for name in (name for name in names if name not in own and not hasattr(kind, name)):
            field = self.by_name.get(name)
            of = None if field is None else field.of
            setattr(kind, name, property(of or attrgetter(f"question.{name}")))

    def record(self, row: Row) -> dict[str, Any]:
        """Return a row as a record of plain values, in the order of the fields."""
        values = ((field, field.value(row)) for field in self.fields)
        plain = {
            field.name: None if value is None else field.plain(value) for field, value in values
        }
        record = {"schema": self.number, **plain}
        return record | {CHECKSUM: checksum(record)}

    def row(self, record: Mapping[str, Any], *, is_older: bool = False) -> Row:
        """Return the row that a record holds: its question and its totals.

        What else a record says follows from these. That is computed again and compared where the
        checksum is not that of the record as it stands: it may have been written by another
        program, which writes numbers in other ways, or it was changed.

        Args:
            record: The record.
            is_older: Whether it is of an older schema, without a checksum, and was upgraded.

        Raises:
            InputError: It is no such record, or it was changed.
        """
        if record.keys() != set(self.names if not is_older else self.names[:-1]):
            raise InputError(f"this is not a row of {self.kind}")
        if not is_older and is_intact(record):
            return self.intact_row(record)
        row = self._concluded(record)  # which has the types that are written
        if not is_older and not is_intact(
            _as_written(record, self.record(row) | {CHECKSUM: record[CHECKSUM]})
        ):
            raise InputError("its checksum is not that of its values: the row was changed")
        return row

    def intact_row(self, record: Mapping[str, Any]) -> Row:
        """Return the row of a record that is intact, without concluding it again.

        Raises:
            InputError: It is no such record.
        """
        try:
            values, fields = dict(record), self.by_name
            if not values.keys() >= fields.keys():
                raise KeyError
            for name, value in record.items():
                if type(value) in _WITH_PARTS and name != CAVEATS.name and name in fields:
                    values[name] = fields[name].read(value)
            return self.build(self.question(values, True), values)
        except InputError:
            raise
        except UNUSABLE:
            raise InputError(f"this is not a row of {self.kind}") from None

    def _concluded(self, record: Mapping[str, Any]) -> Row:
        try:
            values = {field.name: field.read(record[field.name]) for field in self.fields}
            row = self.build(self.question(values, False), values)
            if row.key != values["key"]:
                raise InputError(f"its key {values['key']:.8} is not that of its settings")
            if not 0.0 < values["confidence"] < 1.0:
                raise InputError("invalid row: its confidence is not between 0 and 1")
            settings = row.question.__dataclass_fields__.keys()
            for field in self.fields:
                is_known = field.derived or field.name in settings
                if is_known and not field.follows(values[field.name], row):
                    raise InputError(
                        f"{field.name} is {shortened(values[field.name])}, but "
                        f"{shortened(field.value(row))} follows from the rest of the row: the row "
                        "was changed"
                    )
        except InputError:
            raise
        except UNUSABLE:
            raise InputError(f"this is not a row of {self.kind}") from None
        return row


@dataclass(frozen=True, kw_only=True, repr=False)
class RowBase:
    """A row: its fields, and the settings of its question, are attributes: ``row.z, row.dim``.

    Attributes:
        confidence: Level of the intervals.
        varsim: Version of varsim that measured it.
        init_package: Package of the initializer, with its version; None where there is none.
        agrees: The verdict, Holm-adjusted over the table at ``alpha``; None before it is passed,
            and where there is no claim.
        alpha: False-alarm rate that all verdicts of the table share; None before they are passed.
        pooled: Further seeds, whose replicates the totals hold too.
    """

    schema: ClassVar[Schema[Any]]
    rendered: ClassVar[Callable[[Sequence[Any], str], str] | None] = None
    """Returns rows as a table in a format, for notebooks; set by the reports, which know tables."""

    confidence: float = 0.95
    varsim: str = __version__
    init_package: str | None = None
    agrees: bool | None = None
    alpha: float | None = None
    pooled: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """What was measured, without the seed; further seeds that are pooled follow: ``key+1+2``.

        So a pooled row is never taken for a row of its first seed alone.
        """
        return "+".join([self.question.key, *map(str, self.pooled)])

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed whose replicates the totals hold."""
        return (self.question.seed, *self.pooled)

    @property
    def pooling(self) -> tuple[Caveat, ...]:
        """The caveat of a pooled row."""
        if not self.pooled:
            return ()
        *most, last = map(str, self.seeds)
        listed = many_seeds(self.seeds) or f"seeds {', '.join(most)} and {last}"
        message = f"the totals of {listed} are pooled"
        if " and " in self.varsim:
            message += f"; they are of varsim {self.varsim}"
        return (Caveat("pooled", message),)

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """What the verdict is about."""
        return (self.estimate,)

    @property
    def relative_error(self) -> float:
        """The relative standard error of that; 0 where there is nothing to measure."""
        return max((each.relative_error for each in self.estimates), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that hold a single value: a record for ``pandas.DataFrame``.

        The names and values are those of the machine formats; an unknown is None. Left out are
        the running totals, histograms and lists, which have several values.
        """
        fields = type(self).schema.fields
        return {field.name: field.value(self) for field in fields if field.plain is single}

    def __repr__(self) -> str:
        """Return one line: the settings, what was measured, theory and the verdict."""
        try:
            return f"{type(self).__name__}({type(self).schema.line(self)})"
        except UNUSABLE:  # a debugger shows rows without any totals too
            return f"{type(self).__name__}({type(self).schema.name_of(self)})"

    def _repr_html_(self) -> str | None:
        render = type(self).rendered
        return None if render is None else render([self], "html")

    def _repr_markdown_(self) -> str | None:
        render = type(self).rendered
        return None if render is None else render([self], "markdown")

    @classmethod
    def state(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a row holds beside its question and its totals, from the values of a file."""
        _, *pooled = values["key"].split("+")
        return {name: values[name] for name in _STATE} | {"pooled": tuple(map(int, pooled))}

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a field of the row, or a setting of its question: see Schema.describe."""


_LISTED_SEEDS = 8

_WITH_PARTS = (list, dict)

_STATE = tuple(field.name for field in dataclasses.fields(RowBase) if field.name != "pooled")

CHECKSUM = "checksum"
"""The last name of a record."""


def checksum(record: Mapping[str, Any]) -> str:
    """Return the checksum of a record: the CRC-32 of its JSON, without the checksum itself.

    It finds every change within four neighbouring characters, so every digit, and is in every
    language's library.
    """
    return _crc32(json.dumps({name: v for name, v in record.items() if name != CHECKSUM}))


def is_intact(record: Mapping[str, Any]) -> bool:
    """Tell whether a record has its checksum."""
    told = record.get(CHECKSUM)
    return told is not None and told == checksum(record)


def is_intact_line(line: str) -> bool:
    """Tell whether a line of JSON, as varsim writes it, has its checksum."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    return tail == f', "{CHECKSUM}": "{_crc32(body + "}")}"}}'


def _crc32(text: str) -> str:
    return f"crc32:{zlib.crc32(text.encode()):08x}"


_TAIL = len(f', "{CHECKSUM}": "{_crc32("")}"}}')


def _as_written(told: Any, value: Any) -> Any:
    """Return what a record says in the way that varsim writes it: 1.0 for 1, and in its order."""
    if isinstance(value, dict) and isinstance(told, Mapping) and told.keys() == value.keys():
        return {name: _as_written(told[name], value[name]) for name in value}
    if isinstance(value, list | tuple) and isinstance(told, list) and len(told) == len(value):
        return [_as_written(*pair) for pair in zip(told, value, strict=True)]
    return float(told) if isinstance(value, float) and type(told) is int else told


def restored(kind: type[Any], settings: Mapping[str, Any], key: str) -> Any:
    """Return a question whose settings were checked when they were written, as pickle does."""
    question = object.__new__(kind)
    for name, value in settings.items():  # one by one, which takes less memory than update
        object.__setattr__(question, name, sys.intern(value) if type(value) is str else value)
    object.__setattr__(question, "key", key.partition("+")[0])  # further seeds may follow
    return question


def interval_text(estimate: Estimate, confidence: float, *, exponent: bool | None = None) -> str:
    """Return an estimate with the half-width of its interval; ``exponent`` is as for a field."""
    half_width, power = estimate.half_width(confidence), _power(estimate, exponent=exponent)
    return with_error(estimate.value, half_width, power=power)


def _power(estimate: Estimate, *, exponent: bool | None) -> int | None:
    """Return the exponent of 10 of a measurement and its claim: one, if they are alike."""
    if not exponent:
        return None if exponent is None else 0
    value, claim = estimate.value, estimate.claim
    near = value and claim and 0.1 < value / claim < 10.0
    shown = claim if near else value or claim
    return power_of(shown) if shown else None


def text(value: Any) -> str:
    """Return a text, or raise one of :data:`UNUSABLE`."""
    if not isinstance(value, str):
        raise TypeError
    return value


def whole(value: Any) -> int:
    """Return a whole number, or raise one of :data:`UNUSABLE`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def number(value: Any) -> float:
    """Return a finite number, or raise one of :data:`UNUSABLE`."""
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def truth(value: Any) -> bool:
    """Return a truth value, or raise one of :data:`UNUSABLE`."""
    if not isinstance(value, bool):
        raise TypeError
    return value


SCALARS = (text, whole, number, truth)
"""The types whose values have an order."""


def sequence(of: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    """Return the type of a list whose items are of one type."""

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise TypeError
        return tuple(map(of, value))

    return read


def mapping(**types: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    """Return the type of an object with these names; a value of each is of its type."""

    def read(value: Any) -> dict[str, Any]:
        if value.keys() != types.keys():
            raise ValueError
        return {name: of(value[name]) for name, of in types.items()}

    return read


def bins(value: Any) -> Bins:
    """Return where values were counted, or raise one of :data:`UNUSABLE`."""
    return cast("Bins", moments.Bins(**mapping(low=number, width=number, number=whole)(value)))


def optional(of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a type that can be None."""
    return lambda value: None if value is None else of(value)


def _caveats(value: Any) -> tuple[Caveat, ...]:
    return tuple(Caveat(**each) for each in sequence(mapping(id=text, message=text))(value))


CAVEATS = Field(
    "caveats",
    _caveats,
    "What a reader should know.",
    plain=lambda caveats: [{"id": c.id, "message": c.message} for c in caveats],
)
"""What a reader of the row should know."""


def many_seeds(seeds: Sequence[int]) -> str:
    """Return in words how many seeds there are, the first and the last; nothing for a few.

    >>> many_seeds(range(8)), many_seeds(range(20_000))
    ('', '20,000 seeds from 0 to 19999')
    """
    few = len(seeds) <= _LISTED_SEEDS
    return "" if few else f"{len(seeds):,} seeds from {min(seeds)} to {max(seeds)}"


def level(rows: Sequence[Any]) -> str:
    """Return the level of the rows' intervals, such as ``95%``."""
    return f"{100 * rows[0].confidence:.12g}%"

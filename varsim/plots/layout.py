"""What was swept decides the figure: its axis, and which rows make a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from varsim.catalog.scales import canonical_name
from varsim.fields import Field
from varsim.layer.result import RESULTS, Result

MOST_LINES = 8
"""More lines than this are not told apart."""

MOST_CATEGORIES = 40
"""More categories than this do not fit on a page."""

_DECADE = 10.0


class Axis(NamedTuple):
    """The setting along the x axis.

    Attributes:
        field: Its name in a :class:`~varsim.layer.experiment.Result`.
        label: Its name on the page.
        always_log: Whether its axis is logarithmic over less than a decade too.
    """

    field: str
    label: str
    always_log: bool = False


class Line(NamedTuple):
    """Rows that differ in nothing but the setting along the axis, sorted by it."""

    label: str
    results: list[Result]


class Layout(NamedTuple):
    """A figure to be.

    Attributes:
        axis: The setting along the x axis, or None where no number was swept: every line is then a
            category with rows of its own.
        lines: The lines.
        left_out: Number of lines that there is no room for.
        placeless: Number of rows that have no value on the axis, such as a gain.
    """

    axis: Axis | None
    lines: list[Line]
    left_out: int = 0
    placeless: int = 0

    @property
    def results(self) -> list[Result]:
        """All rows that are in the figure."""
        return [result for line in self.lines for result in line.results]

    @property
    def is_log(self) -> bool:
        """Whether the x axis is logarithmic."""
        if self.axis is None:
            return False
        values = [value_of(result, self.axis) for result in self.results]
        return min(values) > 0 and (self.axis.always_log or max(values) > _DECADE * min(values))


_SETTINGS = [field for field in map(RESULTS.by_name.__getitem__, RESULTS.table) if field.phrase]

_K = RESULTS.by_name["k"]


def layout(results: Sequence[Result]) -> Layout:
    """Return how results are to be drawn.

    Args:
        results: At least one row.
    """
    varying = [field for field in _SETTINGS if len({field.text(row) for row in results}) > 1]
    axis = _axis(results, varying)
    told = [field for field in varying if axis is None or field.name != axis.field]
    if axis is not None and axis.field == "k":
        told = [field for field in told if field.name != "scale"]
    lines: dict[str, list[Result]] = {}
    for result in results:
        if axis is None or getattr(result, axis.field) is not None:
            lines.setdefault(_label(result, told), []).append(result)
    if axis is not None:
        for rows in lines.values():
            rows.sort(key=lambda row: value_of(row, axis))
    kept = [Line(label, rows) for label, rows in lines.items()]
    most = MOST_CATEGORIES if axis is None else MOST_LINES
    placeless = len(results) - sum(map(len, lines.values()))
    return Layout(axis, kept[:most], max(0, len(kept) - most), placeless)


def value_of(result: Result, axis: Axis) -> float:
    """Return where a row is on the axis."""
    return float(getattr(result, axis.field))


def _axis(results: Sequence[Result], varying: Sequence[Field]) -> Axis | None:
    """Return the first setting with an axis that varies; k where all schemes are numbers."""
    for field in varying:
        if field.axis and len({field.value(row) for row in results} - {None}) > 1:
            return Axis(field.name, field.axis, always_log=field.name == "dim")
    numbers = all(_is_number(result.question.scale) for result in results)
    swept = any(field.name == "scale" for field in varying)
    return Axis(_K.name, _K.axis) if numbers and swept else None


def _is_number(scale: str) -> bool:
    try:
        float(canonical_name(scale))
    except ValueError:
        return False
    return True


def _label(result: Result, told: Sequence[Field]) -> str:
    """Return what tells a row from others; a scheme goes by its name alone."""
    parts = [
        text if field.name == "scale" else field.phrase.format(text)
        for field in told
        if (text := field.text(result))
    ]
    return ", ".join(parts)

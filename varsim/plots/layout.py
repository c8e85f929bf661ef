"""What was swept decides the figure: its axis, and which rows make a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from varsim.catalog.scales import canonical_name
from varsim.layer.experiment import Result
from varsim.report.results import setting_columns

MOST_LINES = 8
"""More lines than this are not told apart."""

MOST_CATEGORIES = 40
"""More categories than this do not fit on a page."""

_DECADE = 10.0
_NAMES = frozenset({"scale", "design", "dtype"})


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


_AXES = {
    "D": Axis("dim", "D (fan-in)", always_log=True),
    "fan-out": Axis("fan_out", "n (fan-out)"),
    "gain": Axis("gain", "g (gain)"),
    "x mean": Axis("x_mean", "mean of the entries of x"),
    "x std": Axis("x_std", "deviation of the entries of x"),
    "W mean": Axis("w_mean", "mean of the entries of W"),
    "W std": Axis("w_std", "deviation of the entries of W"),
}
"""Every setting that is a number, by the header of its column; the first that varies is taken."""

_K = Axis("k", "k (divisor of W)")


def layout(results: Sequence[Result]) -> Layout:
    """Return how results are to be drawn.

    Args:
        results: At least one row.
    """
    cells = {column.header: column.cells for column in setting_columns(results)}
    varying = {header: column for header, column in cells.items() if len(set(column)) > 1}
    axis = _axis(results, varying)
    if axis is not None and axis.field == "k":
        varying.pop("scale")
    labels = list(_labels(len(results), varying, axis))
    lines: dict[str, list[Result]] = {}
    for label, result in zip(labels, results, strict=True):
        if axis is None or getattr(result, axis.field) is not None:
            lines.setdefault(label, []).append(result)
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


def _axis(results: Sequence[Result], varying: Mapping[str, Sequence[str]]) -> Axis | None:
    for header, axis in _AXES.items():
        if len(set(varying.get(header, ())) - {""}) > 1:
            return axis
    numbers = all(_is_number(result.scale) for result in results)
    return _K if numbers and "scale" in varying else None


def _is_number(scale: str) -> bool:
    try:
        float(canonical_name(scale))
    except ValueError:
        return False
    return True


def _labels(count: int, varying: Mapping[str, Sequence[str]], axis: Axis | None) -> Iterator[str]:
    told = {h: cells for h, cells in varying.items() if axis is None or _AXES.get(h) != axis}
    for row in range(count):
        parts = [
            cells[row] if header in _NAMES else f"{header} {cells[row]}"
            for header, cells in told.items()
            if cells[row]
        ]
        yield ", ".join(parts)

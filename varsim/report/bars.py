"""Text drawings of results, for a terminal or a pasted block."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from varsim.fields.rounding import significant
from varsim.layer.result import Result
from varsim.report.rows import setting_columns

if TYPE_CHECKING:
    from varsim.statistics.moments import Bins

NARROWEST = 24
"""Least width of a drawing in columns."""

_MOST_BARS = 24
_LEAST_BAR = 10


class Ink(NamedTuple):
    """The characters of a drawing."""

    bar: str
    theory: str
    low: str
    line: str
    point: str
    high: str


INK: Ink = Ink("█", "│", "├", "─", "●", "┤")
ASCII_INK: Ink = Ink("#", "|", "[", "-", "o", "]")


def drawing(results: Sequence[Result], width: int, ink: Ink = INK) -> str:
    """Return two blocks: bars of variances with theory marked, and ratios with intervals.

    A single row with a histogram has bars of densities instead of its variance.

    Args:
        results: The rows.
        width: Largest number of columns of a line; it is at least :data:`NARROWEST`.
        ink: The characters.
    """
    width = max(NARROWEST, width)
    bins = results[0].histogram if len(results) == 1 else None
    bars = _histogram(results[0], bins, width, ink) if bins else _variances(results, width, ink)
    blocks = [bars, _ratios(results, width, ink)]
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks) + "\n"


def _variances(results: Sequence[Result], width: int, ink: Ink) -> Iterator[str]:
    given = " given x" * any(row.conditional_theory is not None for row in results)
    yield from textwrap.wrap(
        f"Var[x @ W], measured {ink.bar * 2} and in theory{given} {ink.theory}", width
    )
    labels, values = _labels(results, width), [significant(row.empirical, 4) for row in results]
    room = _room(width, labels, values)
    positive = [v for row in results for v in (row.empirical, row.claim.variance) if v > 0] or [1.0]
    low = math.floor(math.log10(0.99 * min(positive)))
    high = math.ceil(math.log10(1.01 * max(positive)))

    def share(value: float) -> float:
        """Return the place of a variance on the logarithmic axis, from 0 to 1."""
        return (math.log10(value) - low) / (high - low) if value > 0 else 0.0

    for label, row, value in zip(labels, results, values, strict=True):
        yield f"{label} {_bar(share(row.empirical), share(row.claim.variance), room, ink)} {value}"
    yield _axis(len(labels[0]), room, [(0, f"{10.0**low:g}"), (room - 1, f"{10.0**high:g} (log)")])


def _ratios(results: Sequence[Result], width: int, ink: Ink) -> Iterator[str]:
    levels = {row.confidence for row in results}
    level = f"{100 * levels.pop():.12g}% " if len(levels) == 1 else ""
    sample = ink.low + ink.line + ink.point + ink.line + ink.high
    wrong = "; ! disagrees" * any(row.agrees is False for row in results)
    yield from textwrap.wrap(
        f"ratio to theory {sample} ({level}interval); {ink.theory} is 1{wrong}", width
    )
    labels = _labels(results, width)
    values = [
        "" if row.ratio is None else f"{row.ratio:.4f}{' !' * (row.agrees is False)}"
        for row in results
    ]
    room = _room(width, labels, values)
    room -= 1 - room % 2  # a middle column for 1
    spread = [abs(end - 1.0) for row in results for end in _ends(row)]
    reach = 1.02 * max(spread, default=0.0) or 0.01
    for label, row, value in zip(labels, results, values, strict=True):
        yield f"{label} {_interval(row, reach, room, ink)} {value}"
    ends = (significant(1.0 - reach, 3), significant(1.0 + reach, 4))
    yield _axis(len(labels[0]), room, [(0, ends[0]), (room // 2, "1"), (room - 1, ends[1])])


def _histogram(result: Result, bins: Bins, width: int, ink: Ink) -> Iterator[str]:
    from varsim.layer.density import density_of  # only histograms need it

    theory = density_of(result, bins)
    yield from textwrap.wrap(
        f"Density of the outputs of x @ W, measured {ink.bar * 2} and {theory.name} {ink.theory}",
        width,
    )
    counts = (result.totals.counts or ())[1:-1]
    group = -(-bins.number // _MOST_BARS)
    starts = range(0, bins.number, group)
    measured = [fmean(counts[i : i + group]) / (result.samples * bins.width) for i in starts]
    expected = [fmean(theory.heights[i : i + group].tolist()) for i in starts]
    middles = [bins.low + bins.width * (i + min(group, bins.number - i) / 2) for i in starts]
    labels = [significant(middle, 3) for middle in middles]
    wide = max(map(len, labels))
    room, highest = width - wide - 2, max(*measured, *expected) or 1.0
    for label, height, law in zip(labels, measured, expected, strict=True):
        yield f"{label:>{wide}} {_bar(height / highest, law / highest, room, ink)}"
    yield _axis(wide, room, [(0, "0"), (room - 1, significant(highest, 3))])


def _bar(share: float, theory: float, room: int, ink: Ink) -> str:
    """Return a bar with a mark at theory; they touch if they differ by less than a column."""
    mark = _column(theory, 0.0, 1.0, room)
    length = max(0, mark + round((share - theory) * (room - 1)))
    cells = list((ink.bar * length).ljust(room))[:room]
    cells[mark] = ink.theory
    return "".join(cells)


def _interval(row: Result, reach: float, room: int, ink: Ink) -> str:
    """Return a ratio with its interval, on an axis of 1 ± reach."""
    cells = [" "] * room
    columns = [_column(end, 1.0 - reach, 1.0 + reach, room) for end in _ends(row)]
    if columns:
        low, point, high = columns
        cells[low : high + 1] = ink.line * (high + 1 - low)
    cells[room // 2] = ink.theory
    if columns:
        cells[low], cells[high] = ink.low, ink.high
        cells[point] = ink.point
    return "".join(cells)


def _column(value: float, low: float, high: float, room: int) -> int:
    return min(room - 1, max(0, round((value - low) / (high - low) * (room - 1))))


def _labels(results: Sequence[Result], width: int) -> list[str]:
    """Return the settings that vary, padded to one width, or row numbers if they are too wide."""
    columns = setting_columns(results)
    varying = [column for column in columns if len(set(column.cells)) > 1]
    for chosen in (columns, varying):
        cells = zip(*(column.aligned()[1:] for column in chosen), strict=True)
        labels = [" ".join(row) for row in cells]
        if labels and len(labels[0]) <= 0.4 * width:
            return labels
    digits = len(str(len(results)))
    return [f"{number:>{digits}}" for number in range(1, len(results) + 1)]


def _room(width: int, labels: Sequence[str], values: list[str]) -> int:
    """Return the number of columns for bars; values are emptied if they leave too few."""
    room = width - len(labels[0]) - 2 - max(map(len, values))
    if room < _LEAST_BAR:
        values[:] = [""] * len(values)
        room = width - len(labels[0]) - 2
    return room


def _axis(before: int, room: int, ticks: Sequence[tuple[int, str]]) -> str:
    """Return a line with numbers centred below their columns; the last is aligned to the right."""
    cells = [" "] * room
    for place, text in ticks:
        start = min(place - (len(text) // 2 if 0 < place < room - 1 else 0), room - len(text))
        if all(cell == " " for cell in cells[max(0, start - 1) : start + len(text)]):
            cells[max(0, start) : start + len(text)] = text
    return " " * (before + 1) + "".join(cells)[:room]


def _ends(row: Result) -> tuple[float, ...]:
    """Return low end, ratio and high end of the interval; empty if theory is 0."""
    ends = row.estimate.ratio_interval(row.confidence)
    return () if ends is None or row.ratio is None else (ends[0], row.ratio, ends[1])

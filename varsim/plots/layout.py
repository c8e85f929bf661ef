"""Which rows make a line of a figure, what the line is called, and what all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from varsim.catalog.scales import canonical_name
from varsim.errors import shortened
from varsim.fields import Field
from varsim.fields.field import R
from varsim.layer.result import RESULTS, Result
from varsim.report.rows import seeds, span
from varsim.stack.result import LAYERS, LayerResult

MOST_LINES = 8
"""More lines than this are not told apart."""

MOST_CATEGORIES = 40
"""More categories than this do not fit on a page."""

_DECADE = 10.0

# Characters of a setting in a caption.
_LONGEST = 120

_K = RESULTS.by_name["k"]

_SETTINGS = [RESULTS.by_name[name] for name in (*RESULTS.named_by, _K.name, *RESULTS.settings)]

_OF_STACKS = ("widths", "depth", "batch", "networks", "seed")
_STACK_SETTINGS = [LAYERS.by_name[name] for name in (*LAYERS.settings, *_OF_STACKS)]


@dataclass(frozen=True)
class Line(Generic[R]):
    """Rows in the order of the axis, and the settings that tell them from other lines."""

    label: str
    rows: Sequence[R]


@dataclass(frozen=True)
class Layout(Generic[R]):
    """What a figure shows.

    Attributes:
        lines: The lines. Without an axis, the rows of each line are categories.
        left_out: Number of lines that there is no room for.
        sampled: What was sampled, and the settings that all rows share: a sentence.
        axis: The field along the x axis, or None.
        placeless: Number of rows that have no value on the axis.
    """

    lines: Sequence[Line[R]]
    left_out: int
    sampled: str
    axis: Field[R, object] | None = None
    placeless: int = 0

    @property
    def rows(self) -> list[R]:
        """All rows that are in the figure."""
        return [row for line in self.lines for row in line.rows]

    def crowding(self, lines: str) -> list[str]:
        """Return a remark on lines without room, if there are any; ``lines`` is their name."""
        if not self.left_out:
            return []
        shown = len(self.lines)
        return [
            f"The figure has room for {shown} of {shown + self.left_out} {lines}; plot fewer "
            "settings at a time."
        ]


def layer_layout(results: Sequence[Result]) -> Layout[Result]:
    """Return how results are drawn: along the first number that was swept, else as categories."""
    told = _varying(results, _SETTINGS)
    axis = _axis(results, told)
    implied = ("k", "scale") if axis is _K else ("k",)
    told = [field for field in told if field is not axis and field.name not in implied]
    placed = [row for row in results if axis is None or axis.number(row) is not None]
    groups: dict[str, list[Result]] = {}
    for row in placed:
        groups.setdefault(_label(row, told), []).append(row)
    if axis is not None:
        for rows in groups.values():
            rows.sort(key=lambda row: axis.number(row) or 0.0)
    most = MOST_CATEGORIES if axis is None else MOST_LINES
    lines = [Line(label, rows) for label, rows in groups.items()][:most]
    shown = [row for line in lines for row in line.rows]
    sampled = f"{_outputs(shown)}; {', '.join([*_shared(shown, _SETTINGS), seeds(shown)])}."
    return Layout(lines, len(groups) - len(lines), sampled, axis, len(results) - len(placed))


def stack_layout(rows: Sequence[LayerResult]) -> Layout[LayerResult]:
    """Return how layers are drawn: a line for each stack, along its layers."""
    stacks: dict[tuple[str, int, int], dict[int, LayerResult]] = {}
    for row in rows:
        stacks.setdefault((row.key, row.seed, row.networks), {})[row.layer] = row
    groups = [[layers[number] for number in sorted(layers)] for layers in stacks.values()]
    told = _varying(rows, _STACK_SETTINGS)
    lines = [Line(_label(group[0], told), group) for group in groups[:MOST_LINES]]
    shown = [line.rows[0] for line in lines]
    sampled = f"{', '.join(_shared(shown, _STACK_SETTINGS))}."
    return Layout(lines, len(groups) - len(lines), sampled, LAYERS.by_name["layer"])


def is_log(values: Sequence[float], *, always: bool = False) -> bool:
    """Tell whether an axis of values is logarithmic: over more than a decade, or always."""
    return min(values, default=0.0) > 0 and (always or max(values) > _DECADE * min(values))


def _varying(rows: Sequence[R], fields: Iterable[Field[R, object]]) -> list[Field[R, object]]:
    """Return the settings that tell rows apart."""
    return [
        field
        for field in fields
        if len(_texts(field, rows)) > 1 and not all(map(field.is_default, rows))
    ]


def _shared(rows: Sequence[R], fields: Iterable[Field[R, object]]) -> Iterator[str]:
    """Yield the settings that all rows share and that are worth a word."""
    for field in fields:
        texts = _texts(field, rows)
        if (
            len(texts) == 1
            and any(texts)
            and (field.always_in_caption or not all(map(field.is_default, rows)))
        ):
            text = " ".join(texts.pop().split())
            yield field.phrase.format(shortened(text, _LONGEST))


def _texts(field: Field[R, object], rows: Sequence[R]) -> set[str]:
    """Return how a setting reads in rows: of many rows, few values are written."""
    return {"" if value is None else field.show(value) for value in field.values(rows)}


def _label(row: R, told: Sequence[Field[R, object]]) -> str:
    """Return what distinguishes a row from the others; a scheme is given by its name alone."""
    phrases = [
        text if field.name == "scale" else field.phrase.format(text)
        for field in told
        if (text := field.text(row))
    ]
    return ", ".join(phrases or [f"no {field.name}" for field in told])


def _axis(
    results: Sequence[Result], varying: Sequence[Field[Result, object]]
) -> Field[Result, object] | None:
    """Return the first number that varies; k only where all schemes are numbers."""
    for field in varying:
        values = {field.get(row) for row in results} - {None}
        if field.axis and field is not _K and len(values) > 1:
            return field
    is_swept = any(field.name == "scale" for field in varying)
    return _K if is_swept and all(_is_number(row.question.scale) for row in results) else None


def _is_number(scale: str) -> bool:
    try:
        float(canonical_name(scale))
    except ValueError:
        return False
    return True


def _outputs(results: Sequence[Result]) -> str:
    """Return how many outputs each row has, and to what precision."""
    counts = span([row.samples for row in results])
    precisions = {row.question.precision for row in results}
    precision = precisions.pop() if len(precisions) == 1 else None
    aim = "" if precision is None else f", to {100 * precision:.3g}%"
    return f"{counts} outputs{' per row' * (len(results) > 1)}{aim}"

"""The layout of a figure: rows grouped into lines, their labels, and their shared settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic

from varsim.catalog.scales import canonical_name, find_scale
from varsim.check.result import CHECKS, InitializerCheck
from varsim.errors import InputError, shortened
from varsim.fields import Field
from varsim.fields.field import R
from varsim.fields.rounding import exact
from varsim.layer.result import RESULTS, Result
from varsim.model.result import MODULES, ModuleResult
from varsim.report.rows import seeds, span
from varsim.stack.result import LAYERS, LayerResult

MOST_LINES = 8
"""Largest number of lines in a figure; more are hard to distinguish."""

MOST_CATEGORIES, MOST_INITIALIZERS, MOST_MODULES = 40, 60, 60
"""Largest numbers of categories, initializers and modules in a figure; a page has no room for
more."""

_DECADE = 10.0

_MOST_INTERVALS = 500

# Most characters of a setting in a caption.
_MOST_CHARACTERS = 120

_K = RESULTS.by_name["k"]

_SETTINGS = [RESULTS.by_name[name] for name in (*RESULTS.named_by, _K.name, *RESULTS.settings)]

_STACK_SETTINGS = [
    LAYERS.by_name[name]
    for name in (*LAYERS.settings, "widths", "depth", "batch", "networks", "seed")
]


_MODEL_SETTINGS = [MODULES.by_name[name] for name in ("model", *MODULES.settings, "seed")]

_CHECK_SETTINGS = [CHECKS.by_name[name] for name in ("dim", "fan_out", "dtype")]


@dataclass(frozen=True)
class Line(Generic[R]):
    """Rows in the order of the axis; the label has the settings that distinguish the line."""

    label: str
    rows: Sequence[R]


@dataclass(frozen=True)
class Layout(Generic[R]):
    """The rows of a figure in lines.

    Attributes:
        lines: The lines. Without an axis, the rows of each line are categories.
        left_out: Number of lines without room in the figure.
        sampled: A sentence: the number of outputs, and the settings common to all rows.
        axis: The field along the x axis, or None.
        is_crowded: Whether there are too many rows for intervals.
        placeless: Number of rows without a value on the axis.
    """

    lines: Sequence[Line[R]]
    left_out: int
    sampled: str
    axis: Field[R, object] | None = None
    is_crowded: bool = False
    placeless: int = 0

    @property
    def rows(self) -> list[R]:
        """All rows in the figure."""
        return [row for line in self.lines for row in line.rows]

    def crowding(self, lines: str) -> list[str]:
        """Return a remark on lines without room, if there are any; they are called ``lines``."""
        if not self.left_out:
            return []
        shown = len(self.lines)
        return [
            f"The figure has room for {shown} of {shown + self.left_out} {lines}; plot fewer "
            "settings at a time."
        ]


def layer_layout(results: Sequence[Result]) -> Layout[Result]:
    """Return the layout of results: along the first swept number, else by category."""
    varying = _varying(results, _SETTINGS)
    axis = _axis(results, varying)
    implied = ("k", "scale") if axis is _K else ("k",)
    varying = [field for field in varying if field is not axis and field.name not in implied]
    placed = [row for row in results if axis is None or axis.number(row) is not None]
    groups: dict[str, list[Result]] = {}
    for row in placed:
        groups.setdefault(_label(row, varying), []).append(row)
    if axis is not None:
        for rows in groups.values():
            rows.sort(key=lambda row: axis.number(row) or 0.0)
    most = MOST_CATEGORIES if axis is None else MOST_LINES
    lines = [Line(label, rows) for label, rows in groups.items()][:most]
    shown = [row for line in lines for row in line.rows]
    sampled = f"{_outputs(shown)}; {', '.join([*_shared(shown, _SETTINGS), seeds(shown)])}."
    return Layout(
        lines,
        len(groups) - len(lines),
        sampled,
        axis,
        is_crowded=len(shown) > _MOST_INTERVALS,
        placeless=len(results) - len(placed),
    )


def stack_layout(rows: Sequence[LayerResult]) -> Layout[LayerResult]:
    """Return the layout of layers: a line per stack, along its layers."""
    stacks: dict[tuple[str, int, int], dict[int, LayerResult]] = {}
    for row in rows:
        stacks.setdefault((row.key, row.seed, row.networks), {})[row.layer] = row
    groups = [[layers[number] for number in sorted(layers)] for layers in stacks.values()]
    varying = _varying(rows, _STACK_SETTINGS)
    if all(row.question.g == find_scale(row.question.scale).gain for row in rows):
        varying = [field for field in varying if field.name != "gain"]
    lines = [Line(_label(group[0], varying), group) for group in groups[:MOST_LINES]]
    shown = [line.rows[0] for line in lines]
    sampled = f"{', '.join(_shared(shown, _STACK_SETTINGS))}."
    return Layout(lines, len(groups) - len(lines), sampled, LAYERS.by_name["layer"])


def check_layout(rows: Sequence[InitializerCheck]) -> Layout[InitializerCheck]:
    """Return the layout of checks: a line per row with a claim above 0.

    Raises:
        InputError: There is no such row.
    """
    placed = [row for row in rows if row.estimate.claim]
    if not placed:
        raise InputError("no initializer claims a variance above 0, so there is no ratio to draw")
    varying = _varying(placed, [*_CHECK_SETTINGS, CHECKS.by_name["seed"]])
    lines = [Line(_initializer(row, varying), [row]) for row in placed[:MOST_INITIALIZERS]]
    shown = [row for line in lines for row in line.rows]
    draws = f"{span([row.draws for row in shown])} draws each"
    sampled = f"{', '.join([draws, *_shared(shown, _CHECK_SETTINGS), seeds(shown)])}."
    left_out = len(placed) - len(lines)
    return Layout(lines, left_out, sampled, placeless=len(rows) - len(placed))


def model_layout(rows: Sequence[ModuleResult]) -> Layout[ModuleResult]:
    """Return the layout of modules: a line per model, in the order of calls."""
    models: dict[tuple[str, int, int], list[ModuleResult]] = {}
    for row in rows:
        models.setdefault((row.key, row.seed, row.inits), []).append(row)
    groups = [sorted(group, key=lambda row: row.number) for group in models.values()]
    varying = _varying(rows, _MODEL_SETTINGS)
    lines = [Line(_label(group[0], varying), group) for group in groups[:MOST_LINES]]
    shown = [line.rows[0] for line in lines]
    inits = f"{span([row.inits for row in shown])} initializations"
    sampled = f"{', '.join([inits, *_shared(shown, _MODEL_SETTINGS)])}."
    return Layout(lines, len(groups) - len(lines), sampled)


def _initializer(row: InitializerCheck, varying: Sequence[Field[InitializerCheck, object]]) -> str:
    """Return the name of a row's initializer, with the settings that differ between rows."""
    package, init = CHECKS.by_name["init_package"], CHECKS.by_name["init"]
    others = [field for field in varying if field.name not in ("dim", "fan_out")]
    shape = [f"{row.dim} × {row.fan_out}"] * (len(others) < len(varying))
    settings = (field.phrase.format(field.text(row)) for field in others)
    return ", ".join([f"{package.text(row)} {init.text(row)}", *shape, *settings])


def is_log(values: Sequence[float], *, always: bool = False) -> bool:
    """Return whether an axis of values is logarithmic: over more than a decade, or always."""
    return min(values, default=0.0) > 0 and (always or max(values) > _DECADE * min(values))


def _varying(rows: Sequence[R], fields: Iterable[Field[R, object]]) -> list[Field[R, object]]:
    """Return the settings that differ between rows."""
    return [
        field
        for field in fields
        if len(_texts(field, rows)) > 1 and not all(map(field.is_default, rows))
    ]


def _shared(rows: Sequence[R], fields: Iterable[Field[R, object]]) -> Iterator[str]:
    """Yield the common settings of rows, without usual ones."""
    for field in fields:
        texts = _texts(field, rows)
        if (
            len(texts) == 1
            and any(texts)
            and (field.always_in_caption or not all(map(field.is_default, rows)))
        ):
            text = " ".join(texts.pop().split())
            yield field.phrase.format(shortened(text, _MOST_CHARACTERS))


def _texts(field: Field[R, object], rows: Sequence[R]) -> set[str]:
    """Return the different texts of a setting; each value is formatted once."""
    return {"" if value is None else field.show(value) for value in field.values(rows)}


def _label(row: R, varying: Sequence[Field[R, object]]) -> str:
    """Return the varying settings of a row."""
    phrases = [
        scheme(str(field.get(row))) if field.name == "scale" else field.phrase.format(text)
        for field in varying
        if (text := field.text(row))
    ]
    return ", ".join(phrases or [f"no {field.name}" for field in varying])


def scheme(name: str) -> str:
    """Return a scheme in a legend: its k, or the name that the literature has for it.

    >>> [scheme(name) for name in ("none", "sqrt", "he", "D^0.25", "22.627")]
    ['k = 1', 'k = √D', 'he', 'k = D^0.25', 'k = 22.627']
    """
    scale = find_scale(name)
    k = exact(float(canonical_name(name))) if _is_number(name) else scale.formula
    return name if scale.source else f"k = {k}"


def _axis(
    results: Sequence[Result], varying: Sequence[Field[Result, object]]
) -> Field[Result, object] | None:
    """Return the first varying number; k only if all schemes are numbers."""
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
    """Return the number of outputs per row, and the precision."""
    counts = span([row.samples for row in results])
    precisions = {row.question.precision for row in results}
    precision = precisions.pop() if len(precisions) == 1 else None
    aim = "" if precision is None else f", to {100 * precision:.3g}%"
    return f"{counts} outputs{' per row' * (len(results) > 1)}{aim}"

"""The explanation of a model: where signals and gradients are lost, in the numbers of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from varsim.fields import interval_text
from varsim.fields.rounding import significant
from varsim.model.result import ModuleResult
from varsim.statistics import Estimate

# Without a band, a factor beyond these is a loss or an explosion.
_USUAL = (0.1, 10.0)


def explain(rows: Sequence[ModuleResult]) -> str:
    """Return the explanation of the first model: both directions, and one initialization alone."""
    key, seed = rows[0].question.key, rows[0].question.seed
    model = [row for row in rows if (row.question.key, row.question.seed) == (key, seed)]
    paragraphs = [
        "Why? A module multiplies the variance of its inputs by its gain, and the gains of a chain "
        "multiply. Far below 1 signals are lost, far above 1 they blow up; so are gradients on the "
        "way back, which start at the last module with variance 1.",
        " ".join(_along(model, "Forward", "Var[y]", lambda row: row.forward)),
        " ".join(_along(model[::-1], "Backward", "Var[∂y]", lambda row: row.back)),
        " ".join(_alone(model)),
    ]
    if len(model) < len(rows):
        paragraphs.append(f"(These are the numbers of the first model, seed {seed}.)")
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def _along(
    rows: Sequence[ModuleResult],
    direction: str,
    quantity: str,
    estimate_of: Callable[[ModuleResult], Estimate | None],
) -> Iterator[str]:
    """Yield the first and the last variance in a direction, and the first outside the band."""
    measured = [(row, each) for row in rows if (each := estimate_of(row)) is not None]
    if not measured:
        return
    (first, start), (last, end) = measured[0], measured[-1]
    yield (
        f"{direction}, {quantity} goes from {interval_text(start, first.confidence)} in "
        f"{_name(first)} to {interval_text(end, last.confidence)} in {_name(last)}"
        + (f": {significant(end.value / start.value, 3)} times." if start.value else ".")
    )
    low, high = first.between or _USUAL
    for row, each in measured:
        least, most = each.interval(row.confidence)
        if most < low or least > high:
            side = f"below {low:g}" if most < low else f"above {high:g}"
            yield f"It is first {side} in {_name(row)}: {interval_text(each, row.confidence)}."
            return
    yield f"It is nowhere outside {low:g} to {high:g} beyond its error."


def _alone(rows: Sequence[ModuleResult]) -> Iterator[str]:
    """Yield the error that one initialization would claim where it is most wrong."""
    known = [
        (row.deviation / row.naive_error, row) for row in rows if row.deviation and row.naive_error
    ]
    if not known:
        return
    factor, row = max(known, key=lambda pair: pair[0])
    yield (
        f"One initialization alone would claim a standard error of "
        f"{significant(row.naive_error or 0.0, 2)} for E y² of {_name(row)}, from the spread of "
        f"its outputs. Between initializations it varies by {significant(row.deviation or 0.0, 2)}"
        f": {significant(factor, 2)} times as much. So every initialization counts once here."
    )


def _name(row: ModuleResult) -> str:
    return f"{row.module} ({row.module_type})"

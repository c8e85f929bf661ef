"""Figures of checks of initializers: measured variances over their claims."""

from __future__ import annotations

from collections.abc import Sequence

from varsim.check.result import InitializerCheck
from varsim.plots import page
from varsim.plots.axes import check_drawable, finish_ratios
from varsim.plots.categories import category_panels, draw_line_at_one
from varsim.plots.layout import check_layout
from varsim.study import Drawn

_QUANTITIES = ("x @ W / claim", "g @ Wᵀ / claim")

_MEANING = "Measured variances over those of the documentation."


def check_figure(rows: Sequence[InitializerCheck], width: float) -> Drawn:
    """Return the figure of checks: the ratios to the claim forward and backward, per initializer.

    Raises:
        InputError: No row has a claim above 0, or a number is too large for an axis.
    """
    check_drawable(rows)
    plan = check_layout(rows)
    placed = plan.rows
    mark = page.MARKS[0]
    handles = page.measured_handles(plan, mark.color, mark.marker)
    labels = [line.label for line in plan.lines]
    figure, left, right, length = category_panels(width, labels, _QUANTITIES, handles)
    estimates = (lambda row: row.estimate), (lambda row: row.back)
    for axes, estimate_of in zip((left, right), estimates, strict=True):
        draw_line_at_one(axes)
        page.draw_estimates(
            axes, placed, estimate_of, range(len(placed)), "x", relative=True, color=mark.color,
            marker=mark.marker,
        )  # fmt: skip
        finish_ratios(axes, placed, estimate_of, "x", length)
    remarks = plan.crowding("initializers")
    if plan.placeless:
        have = "row claims" if plan.placeless == 1 else "rows claim"
        remarks.append(f"{plan.placeless} {have} no variance above 0, and have no ratio to draw.")
    return Drawn(figure, page.caption_of(plan, _MEANING, "{error bars}."), remarks)

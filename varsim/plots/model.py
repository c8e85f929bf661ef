"""Figures of models: variances forward and backward, module by module."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from varsim.model.result import MODULES, ModuleResult
from varsim.plots import page
from varsim.plots.axes import check_drawable, finish_variances, with_ends, without_marker
from varsim.plots.categories import category_panels
from varsim.plots.layout import MOST_MODULES, model_layout
from varsim.statistics import Estimate
from varsim.study import Drawn

_QUANTITIES = MODULES.by_name["variance"].axis, MODULES.by_name["gradient"].axis

# Distance of two models in one module.
_STEP = 0.6

_MEANING = "Modules in the order of their calls, from above."


def model_figure(rows: Sequence[ModuleResult], width: float) -> Drawn:
    """Return the figure of models: variances forward and backward on logarithmic axes.

    Raises:
        InputError: A number is too large for an axis.
    """
    check_drawable(rows)
    plan = model_layout(rows)
    every = dict.fromkeys(row.module for row in plan.rows)
    place_of = {name: place for place, name in enumerate([*every][:MOST_MODULES])}
    several = len(plan.lines) > 1
    color = "black" if several else page.MARKS[0].color
    marks = list(zip(plan.lines, page.MARKS, strict=False))
    handles = [page.handle(line.label, m.color, m.marker) for line, m in marks if line.label]
    handles += page.measured_handles(plan, color, page.MARKS[0].marker)
    panels = category_panels(width, list(place_of), _QUANTITIES, handles)
    estimates: list[Callable[[ModuleResult], Estimate | None]]
    estimates = [lambda row: row.forward, lambda row: row.back]
    for axes, estimate_of in zip(panels[1:3], estimates, strict=True):
        values, ends = list[float](), list[float]()
        for number, (line, mark) in enumerate(marks):
            shift = _STEP * ((number + 0.5) / len(marks) - 0.5)
            shown = [row for row in line.rows if row.module in place_of]
            places = [place_of[row.module] + shift for row in shown]
            page.draw_estimates(
                axes, shown, estimate_of, places, "x", color=mark.color, marker=mark.marker
            )
            for row in shown:
                if (each := estimate_of(row)) is not None and each.value > 0.0:
                    values.append(each.value)
                    ends += each.interval(row.confidence)
        for edge in plan.rows[0].between or ():
            values += [edge] * (edge > 0.0)
            axes.axvline(edge, color=page.GREY, linewidth=page.points(0.8), gid="band")
        finish_variances(axes, with_ends(values, ends) or [1.0], "x", always_log=True)
    remarks = plan.crowding("models")
    if len(every) > len(place_of):
        remarks.append(f"The figure has room for {len(place_of)} of {len(every)} modules.")
    known = (each.value for row in plan.rows for each in (row.forward, row.back) if each)
    band = "Lines: the band." if plan.rows[0].between else ""
    caption = page.caption_of(plan, _MEANING, "{error bars}.", band, without_marker(known))
    return Drawn(panels[0], caption, remarks)

"""Figures of gains: those of activations beside torch's, or along the variance of the inputs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from varsim.activations.gains import TORCH, Gains
from varsim.fields.rounding import significant
from varsim.plots import page
from varsim.plots.axes import finish_swept, finish_variances
from varsim.plots.categories import category_panels, draw_line_at_one
from varsim.plots.layout import MOST_LINES, is_log
from varsim.report.gains import NamedGains
from varsim.study import Drawn

_GAIN, _CHI = "gain g", "χ per layer"

_MEANING = (
    "g = √(q / E φ²) keeps the variance from layer to layer; χ = g² E φ′² is the factor per layer "
    "of the variance of gradients."
)


def gains_figure(rows: Sequence[NamedGains], width: float) -> Drawn:
    """Return the figure of gains: per activation at one variance, else along the variance.

    Args:
        rows: The gains.
        width: Width of the figure in inches.
    """
    variances = sorted({row.gains.variance for row in rows})
    if len(variances) == 1:
        inputs = f"h normal with mean 0 and variance q = {significant(variances[0])}."
        return Drawn(_categories(rows, width), f"{inputs} {_MEANING}", [])
    lines: dict[str, list[Gains]] = {}
    for row in rows:
        lines.setdefault(row.name, []).append(row.gains)
    caption, remarks = f"h normal with mean 0 and variance q. {_MEANING}", []
    if len(lines) > MOST_LINES:
        caption += f" {len(lines) - MOST_LINES} more are not shown."
        remarks.append(
            f"The figure has room for {MOST_LINES} of {len(lines)} activations; name fewer of them."
        )
    shown = dict(list(lines.items())[:MOST_LINES])
    return Drawn(_curves(shown, variances, width), caption, remarks)


def _categories(rows: Sequence[NamedGains], width: float) -> Figure:
    """Return the figure of one variance: gains beside torch's on the left, χ on the right."""
    torch = [TORCH[row.name].gain if row.name in TORCH else None for row in rows]
    chi = [row.gains.chi for row in rows]
    exact = [row.gains.gain for row in rows]
    mark = page.MARKS[1]
    handles = [page.handle("exact", "black", "|")]
    if any(torch):
        handles.append(page.handle("torch.nn.init", mark.color, mark.marker))
    labels = [row.name for row in rows]
    figure, left, right, _ = category_panels(width, labels, (_GAIN, _CHI), handles)
    draw_line_at_one(right)
    for axes, values in ((left, exact), (right, chi)):
        page.draw_known(
            axes, range(len(rows)), values, "x", color="black", linestyle="none", marker="|",
            markersize=page.points(8.0), markeredgewidth=page.points(1.2),
        )  # fmt: skip
    page.draw_known(
        left, range(len(rows)), torch, "x", color=mark.color, linestyle="none", marker=mark.marker,
        markerfacecolor="none",
    )  # fmt: skip
    finish_variances(left, [*exact, *filter(None, torch)], "x")
    finish_variances(right, [1.0, *chi], "x")
    return figure


def _curves(lines: dict[str, list[Gains]], variances: Sequence[float], width: float) -> Figure:
    """Return the figure of several variances: gains above, χ below, a line per activation."""
    handles = [page.handle(name, *mark) for name, mark in zip(lines, page.MARKS, strict=False)]
    figure = page.blank(width, 3.0, handles)
    top, bottom = figure.subplots(2, 1, sharex=True)
    bottom.axhline(1.0, color=page.GREY, linewidth=page.points(0.8))
    for rows, mark in zip(lines.values(), page.MARKS, strict=False):
        ordered = sorted(rows, key=lambda row: row.variance)
        q = [row.variance for row in ordered]
        look = {**mark._asdict(), "markerfacecolor": "none"}
        top.plot(q, [row.gain for row in ordered], **look)
        bottom.plot(q, [row.chi for row in ordered], **look)
    every = [row for rows in lines.values() for row in rows]
    finish_variances(top, [each.gain for each in every], "y")
    finish_variances(bottom, [1.0, *(each.chi for each in every)], "y")
    top.set_ylabel(_GAIN)
    bottom.set_ylabel(_CHI)
    finish_swept(bottom, variances, log=is_log(variances))
    bottom.set_xlabel("variance q of the inputs")
    figure.align_ylabels()
    page.legend(figure, handles)
    return figure

"""Axes: scales, limits and ticks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import MaxNLocator, MultipleLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from varsim.errors import InputError
from varsim.fields import RowBase
from varsim.fields.field import R
from varsim.fields.rounding import short
from varsim.plots.layout import is_log
from varsim.plots.page import COLUMN, room
from varsim.statistics import Estimate

# Number of ticks of an axis of variances and of ratios, and the margin at either end of a
# logarithmic axis, as a share of its decades.
_TICKS, _RATIO_TICKS, _BEYOND = {"x": 3, "y": 5}, {"x": 5, "y": 4}, {"x": 0.1, "y": 0.07}

# Most characters of a plain number at a tick of a logarithmic axis, and at one of a swept number.
_LONGEST, _LONGEST_SWEPT = 5, 7

_TIMES = r"\times"

# Ratios between these are on a linear axis.
_LINEAR = (1.0 / 3.0, 3.0)

# Range of an axis; matplotlib's arithmetic overflows beyond it.
_SMALLEST, _LARGEST = 1e-300, 1e300

# Up to this number of values on the axis, ticks are at values.
_MOST_PLACES = 100

# Length of the x axis as a share of the width, and width of a character of its labels in points.
_AXIS_SHARE, _CHARACTER = 0.72, 4.5


def check_drawable(rows: Iterable[RowBase]) -> None:
    """Check that an axis can show the estimates of rows.

    Raises:
        InputError: A number is too large for an axis; the message has the row's number.
    """
    for number, row in enumerate(rows, 1):
        for estimate in row.estimates:
            ends = (*estimate.interval(row.confidence), estimate.value, estimate.claim or 0.0)
            worst = max(ends, key=lambda end: math.inf if math.isnan(end) else abs(end))
            if not abs(worst) <= _LARGEST:
                raise InputError(
                    f"row {number} cannot be drawn: {worst:.3g} is beyond what an axis holds; "
                    f"leave out rows with numbers above {_LARGEST:g}"
                )


def without_marker(values: Iterable[float | None]) -> str:
    """Return a sentence about values that no logarithmic axis shows; empty without any."""
    is_lost = any(value is not None and value < _SMALLEST for value in values)
    return "Without a marker on a logarithmic axis: 0." if is_lost else ""


def with_ends(values: Sequence[float], ends: Sequence[float]) -> list[float]:
    """Return values with the ends of their intervals, for the limits of an axis.

    Ends are limited to a third of the least value and three times the largest.
    """
    if not values:
        return []
    low, high = min(values) / 3.0, 3.0 * max(values)
    return [*values, *(min(max(end, low), high) for end in ends if end > 0.0)]


def finish_variances(
    axes: Axes, values: Sequence[float], along: str, *, always_log: bool = False
) -> None:
    """Set scale, limits and ticks of an axis of variances: linear from 0, or logarithmic."""
    most = _most_ticks(axes, along)
    if is_log(values, always=always_log):
        _finish_log(axes, values, along, most)
        return
    axes.set(**{f"{along}lim": (0.0, 1.25 * max(values, default=1.0))})
    _axis_of(axes, along).set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))


def finish_ratios(
    axes: Axes,
    rows: Sequence[R],
    estimate_of: Callable[[R], Estimate],
    along: str,
    length: float = math.inf,
) -> None:
    """Set scale, limits and ticks of an axis of ratios to claims; one tick is at 1.

    Args:
        axes: The panel.
        rows: The rows.
        estimate_of: Returns the estimate of a row.
        along: The axis, ``"x"`` or ``"y"``.
        length: Length of an x axis in points of the usual type, which limits its labels.
    """
    estimates = list(map(estimate_of, rows))
    ratios = [each.ratio for each in estimates if each.ratio is not None]
    ends = [
        end
        for row, each in zip(rows, estimates, strict=True)
        for end in each.ratio_interval(row.confidence) or ()
        if end > 0
    ]
    if not all(_LINEAR[0] <= ratio <= _LINEAR[1] for ratio in ratios):
        values = [1.0, *(ratio for ratio in ratios if ratio > 0.0)]
        _finish_log(axes, with_ends(values, ends), along, _most_ticks(axes, along))
        return
    reach = max(ratios, default=1.0) + 2.0
    low, high = min([1.0, *ratios, *ends]), max([1.0, *ratios, *(min(end, reach) for end in ends)])
    pad = 0.06 * (high - low) or 0.01
    low, high = low - pad, high + pad
    step = _step(low, high, _RATIO_TICKS[along], length)
    axes.set(**{f"{along}lim": (low, high)})
    _axis_of(axes, along).set_major_locator(MultipleLocator(step, offset=1.0))


def _step(low: float, high: float, most: int, length: float) -> float:
    """Return the distance of ticks around 1, in at most ``most`` parts, whose labels fit."""
    for parts in range(most, 0, -1):
        locator = MaxNLocator(parts, steps=[1, 2, 5, 10], min_n_ticks=1)
        first, second, *_ = locator.tick_values(low, high)
        step = float(second - first)
        decimals = max(0, -math.floor(math.log10(step) + 1e-6))
        if step / (high - low) * length >= (decimals + 2.2) * _CHARACTER:  # with a point and a gap
            break
    return step


def length_of(axes: Axes) -> float:
    """Return the length of an x axis across the page in points of the usual type, about."""
    return _AXIS_SHARE * 72.0 * room(axes)


def finish_swept(axes: Axes, values: Sequence[float], *, log: bool) -> None:
    """Set scale and ticks of the x axis of a swept number.

    A few values have ticks, with as many labels as fit.

    Args:
        axes: The panel.
        values: The values in ascending order.
        log: Whether the axis is logarithmic.
    """
    if log:
        axes.set_xscale("log")
    labels = tick_labels(values, _LONGEST_SWEPT)
    labelled = _labelled(np.log(values) if log else np.array(values), labels, length_of(axes))
    if len(values) > _MOST_PLACES and log:
        _set_log_ticks(axes.xaxis, math.log10(values[0]), math.log10(values[-1]), 5)
    elif len(values) > _MOST_PLACES or not (log or len(labelled) == len(values)):
        axes.xaxis.set_major_locator(MaxNLocator(5))
    else:
        axes.set_xticks([values[i] for i in labelled], [labels[i] for i in labelled])
        axes.set_xticks(values, minor=True)
        axes.xaxis.set_minor_formatter(NullFormatter())


def _axis_of(axes: Axes, along: str) -> Axis:
    return axes.xaxis if along == "x" else axes.yaxis


def _most_ticks(axes: Axes, along: str) -> int:
    """Return the number of ticks of an axis; along x it follows the width of the page in type."""
    usual = _TICKS[along]
    return usual if along == "y" else max(2, round(usual * room(axes) / COLUMN))


def _finish_log(axes: Axes, values: Sequence[float], along: str, most: int) -> None:
    """Make an axis logarithmic, with all values inside and about ``most`` ticks."""
    low, high = (math.log10(max(end, _SMALLEST)) for end in (min(values), max(values)))
    pad = max(
        math.log10(1.4), (high - low) * _BEYOND[along], (math.log10(12.0) - (high - low)) / 2.0
    )
    low, high = max(low - pad, math.log10(_SMALLEST)), min(high + pad, 307.0)
    axes.set(**{f"{along}scale": "log", f"{along}lim": (10.0**low, 10.0**high)})
    _set_log_ticks(_axis_of(axes, along), low, high, most)


def _set_log_ticks(axis: Axis, low: float, high: float, most: int) -> None:
    """Put about ``most`` ticks between 10^low and 10^high; 1 is a tick if it lies between."""
    factors = (1, 2, 5) if high - low < 1.3 else (1, 3) if high - low < 2.5 else (1,)
    ticks: list[float]
    for count in range(most, most + 5):
        decades = MaxNLocator(count, integer=True, min_n_ticks=1).tick_values(low, high)
        every = np.outer(np.power(10.0, decades), factors).ravel().tolist()
        ticks = [tick for tick in every if low <= math.log10(tick) <= high]
        if len(ticks) > 1:  # a single tick shows no scale
            break
    else:
        ticks = list(map(float, MaxNLocator(most).tick_values(10.0**low, 10.0**high)[1:-1]))
    axis.set_ticks(ticks, tick_labels(ticks, _LONGEST))
    axis.set_minor_locator(NullLocator())


def tick_labels(values: Sequence[float], longest: int) -> list[str]:
    r"""Return the labels of the ticks of an axis: all are plain numbers, or all are powers of ten.

    Args:
        values: The values at the ticks.
        longest: Most characters of a plain number.

    >>> tick_labels([0.01, 1, 100], 5), tick_labels([1, 1e5], 5), tick_labels([3e8], 5)
    (['0.01', '1', '100'], ['$10^{0}$', '$10^{5}$'], ['$3\\times10^{8}$'])
    """
    plain = list(map(short, values))
    if all(len(text) <= longest and "e" not in text for text in plain):
        return plain
    parts = (f"{value:e}".split("e") for value in values)
    return [
        f"${'' if float(mantissa) == 1.0 else short(float(mantissa)) + _TIMES}10^{{{int(power)}}}$"
        for mantissa, power in parts
    ]


def _labelled(places: NDArray[np.float64], labels: Sequence[str], length: float) -> list[int]:
    """Return the indices of the values with a label: from the last one, as many as fit.

    Args:
        places: The values along the axis, in ascending order.
        labels: The labels of all of them.
        length: Length of the axis in points.
    """
    chosen: list[int] = []
    unit = length / (float(np.ptp(places)) or 1.0)
    for i in reversed(range(len(places))):
        last = chosen[-1] if chosen else i
        characters = (len(labels[i]) + len(labels[last])) / 2.0 + 1.0
        if i == last or unit * (places[last] - places[i]) >= _CHARACTER * characters:
            chosen.append(i)
    return chosen

"""The explanation of the signal along a stack, in the numbers of the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from varsim.fields import interval_text
from varsim.fields.rounding import significant
from varsim.report.rows import row_name
from varsim.stack.result import LayerResult

# Number of layers at either end of a deep stack with a line each.
_SHOWN = 8

# Factors this near to 1 count as 1.
_TOLERANCE = 0.02


def explain(rows: Sequence[LayerResult]) -> str:
    """Return the explanation of the first stack: the factors of the signal, layer by layer."""
    key, seed = rows[0].question.key, rows[0].question.seed
    stack = [row for row in rows if (row.question.key, row.question.seed) == (key, seed)]
    paragraphs = [_rule(stack[0]), "\n".join(_steps(stack)), *_outcome(stack), *_back(stack)]
    if len(stack) < len(rows):
        paragraphs.append(f"(These are the numbers of the first stack: {row_name(stack[0])}.)")
    return "\n\n".join(paragraphs) + "\n"


def _rule(row: LayerResult) -> str:
    network = row.question
    factors = "fan-in / k² (from W) · E φ(h)² (what φ passes on of the layer below)"
    if network.residual is not None:
        scale = "" if network.residual == 1.0 else f"{significant(network.residual**2)} · "
        rule = f"h adds φ(h) W to the layer below, so Var[h] = Var[h below] + {scale}{factors}"
    else:
        rule = f"h is φ(h) W of the layer below, a sum of fan-in products: Var[h] = {factors}"
    if network.bias_std:
        rule += f" + {significant(network.bias_std**2)} (from the biases)"
    if network.norm != "none":
        rule += f". {network.norm.capitalize()} norm gives φ a variance of 1, whatever Var[h] is"
    source = f"; {network.init} makes W, and k is what the scheme claims" if network.init else ""
    return f"Why? In every layer {rule}{source}. In the numbers of this run:"


def _steps(rows: Sequence[LayerResult]) -> Iterator[str]:
    first = rows[0]
    yield f"  layer 1: {_of_weights(first)} (W) · E x² of the input; {_measured(first)}"
    steps = list(pairwise(rows))
    hidden = range(_SHOWN, len(steps) - _SHOWN)
    for place, (below, row) in enumerate(steps):
        if place in hidden:
            if place == hidden.start:
                yield "  ..."
            continue
        if below.empirical is None or row.empirical is None or below.rms_activation is None:
            yield f"  layer {row.layer}: beyond the range of {row.question.dtype}"
            continue
        passed = f"{_of_weights(row)} (W) · {significant(below.rms_activation**2, 4)} (φ)"
        if row.question.residual is not None:
            passed = f"{significant(below.empirical, 4)} + {_branch(row)}{passed}"
        if row.question.bias_std:
            passed += f" + {significant(row.question.bias_std**2, 4)} (bias)"
        yield f"  layer {row.layer}: {passed}; {_measured(row)}"


def _of_weights(row: LayerResult) -> str:
    return significant(row.weights.fan_in / row.weights.k_squared, 4)


def _branch(row: LayerResult) -> str:
    factor = row.question.residual or 0.0
    return "" if factor == 1.0 else f"{significant(factor**2, 4)} · "


def _measured(row: LayerResult) -> str:
    if row.forward is None:
        return f"it overflows {row.question.dtype}"
    return f"measured {interval_text(row.forward, row.confidence)}"


def _outcome(rows: Sequence[LayerResult]) -> Iterator[str]:
    """Yield the effect of each factor, and the gain for a constant variance."""
    network, first, last = rows[0].question, rows[0], rows[-1]
    if first.empirical and last.empirical and len(rows) > 1:
        total = last.empirical / first.empirical
        yield (
            f"From layer 1 to layer {last.layer} Var[h] {_changes(total)}: "
            f"{significant(total ** (1 / (len(rows) - 1)), 4)} per layer on average."
        )
    if network.residual is not None or network.norm != "none" or len(rows) == 1:
        return
    factors = [
        r.rms_activation**2 / r.empirical for r in rows[:-1] if r.empirical and r.rms_activation
    ]
    if not factors:
        return
    weights = [row.weights.fan_in / row.weights.k_squared for row in rows[1:]]
    gain = 1.0 / math.sqrt(factors[0])
    yield (
        f"φ multiplies the variance by {_span(factors)}, which {_effect(factors)} the signal. W "
        f"multiplies it by {_span(weights)}, which {_effect(weights)} it. To make up for φ at "
        f"layer 1, W would have to multiply by {significant(gain**2, 4)}: a gain of "
        f"{significant(gain, 4)} on 1/√D. varsim gains lists the gain of every activation."
    )


def _span(factors: Sequence[float]) -> str:
    low, high = (significant(factor, 4) for factor in (min(factors), max(factors)))
    return low if low == high else f"{low} to {high}"


def _effect(factors: Sequence[float]) -> str:
    low, high = min(factors), max(factors)
    if high < 1.0 - _TOLERANCE:
        return "shrinks"
    if low > 1.0 + _TOLERANCE:
        return "grows"
    return "keeps" if low > 1.0 - _TOLERANCE and high < 1.0 + _TOLERANCE else "changes"


def _changes(factor: float) -> str:
    if abs(factor - 1.0) < _TOLERANCE:
        return "stays as it is"
    return f"{'grows' if factor > 1.0 else 'shrinks'} by a factor of {significant(factor, 4)}"


def _back(rows: Sequence[LayerResult]) -> Iterator[str]:
    """Yield the growth of gradients."""
    top, bottom = rows[-1], rows[0]
    if len(rows) == 1 or not top.gradient or not bottom.gradient:
        return
    total = bottom.gradient / top.gradient
    stream = "1 + the branch's " if rows[0].question.residual is not None else ""
    yield (
        f"Backwards each layer multiplies Var[∂h] by {stream}fan-out / k² · E φ′(h)². From layer "
        f"{top.layer} to layer 1 it {_changes(total)}: "
        f"{significant(total ** (1 / (len(rows) - 1)), 4)} per layer on average."
    )

"""The explanation of a layer's variances, in the numbers of the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import find_distribution
from varsim.catalog.scales import canonical_name, find_scale
from varsim.fields import interval_text
from varsim.fields.rounding import significant
from varsim.layer.question import Experiment
from varsim.layer.result import Result
from varsim.layer.theory import predict

_WHY = "Why? An output of x @ W is a sum of D products x_d · W_dj."


def explain(results: Sequence[Result]) -> str:
    """Return the explanation in paragraphs, one line each.

    They explain the first row. Rows with the same D and the same entries add their numbers.
    """
    first = results[0].question
    alike = [result for result in results if _entries(result.question) == _entries(first)]
    if first.init is not None:
        paragraphs = ["\n".join(_claims(alike))]
    elif first.looks_up:
        paragraphs = [_lookup(first), "\n".join(_division(alike))]
    else:
        paragraphs = [_one_product(first), _sum(first), "\n".join(_division(alike))]
    if not first.looks_up:
        paragraphs.append(_unit(first))
    if DESIGNS[first.design].fixed_x:
        paragraphs.append(_one_x(alike[0]))
    paragraphs += _sources(alike)
    if len(alike) < len(results):
        paragraphs.append(
            f"(These are the numbers of the rows like the first, D = {first.dim}; "
            "the same holds for the others.)"
        )
    return "\n\n".join(paragraphs) + "\n"


def _entries(e: Experiment) -> tuple[object, ...]:
    return e.dim, e.x_entries, e.w_dist, e.w_mean, e.w_std, e.design, e.bias


def _one_product(e: Experiment) -> str:
    theory = predict(e)
    base, shifts = find_distribution(e.x_dist), (e.x_entries[1:], e.w_entries[1:])
    if shifts == ((0.0, 1.0), (0.0, 1.0)) and (base.mean, base.variance) == (0.0, 1.0):
        product = (
            "one product of two independent entries with mean 0 and variance 1 has variance "
            "1 · 1 = 1."
        )
    else:
        product = (
            "one product has variance E x² E w² - (E x)² (E w)² = "
            f"{significant(theory.product_variance)} here, with "
            f"E x² = {significant(theory.x_mean_square)}."
        )
    return f"{_WHY} Before W is divided by k, {product}"


def _lookup(e: Experiment) -> str:
    return (
        "Why? Each row of x has one entry that is not 0, at a random place, so each output of "
        "x @ W is one entry of W, as in an embedding: nothing adds up. Before W is divided by k, "
        f"its variance is {significant(e.dim * predict(e).product_variance)}, whatever D is."
    )


def _sum(e: Experiment) -> str:
    variance = predict(e).product_variance
    return (
        f"D = {e.dim} independent products add up, and so do their variances: "
        f"{e.dim} · {significant(variance)} = {significant(e.dim * variance)}."
    )


def _division(rows: Sequence[Result]) -> Iterator[str]:
    yield (
        "Dividing W by k divides every output by k. Variance is quadratic, so it is divided by k²:"
    )
    for row in rows:
        e = row.question
        total = e.dim * predict(e).product_variance
        yield (
            f"  k = {significant(row.k)} ({e.scale}): {significant(total)} / "
            f"{significant(e.k_squared)} = {_theory(row)}; {_measured(row)}"
        )


def _claims(rows: Sequence[Result]) -> Iterator[str]:
    first = rows[0].question
    bias = ", and a bias like them adds 1/k²" if first.bias else ""
    mean_square = predict(first).x_mean_square
    yield (
        f"{_WHY} An initializer makes W as a whole and it is used as it comes; the scheme claims "
        "that its entries have E w² = 1/k². Where they have mean 0 and are uncorrelated, the "
        f"variances of the products add up to D E x² / k²{bias}, with D = {first.dim} and "
        f"E x² = {significant(mean_square)}:"
    )
    for row in rows:
        e = row.question
        yield (
            f"  scale {e.scale}: 1/k² = {significant(1 / e.k_squared)} claims {_theory(row)}; "
            f"{e.init} {_measured(row)}"
        )


def _theory(row: Result) -> str:
    this_x = row.conditional_theory
    return significant(row.theory) + (
        "" if this_x is None else f", for this x {significant(this_x)}"
    )


def _measured(row: Result) -> str:
    return f"measured {interval_text(row.estimate, row.confidence)}"


def _unit(e: Experiment) -> str:
    total = e.dim * predict(e).product_variance + e.bias
    root = "√D" if total == e.dim else f"√{significant(total)}"
    return (
        f"The variance is 1 when k² = {significant(total)}, that is k = {root} = "
        f"{significant(math.sqrt(total))}: the square root, not the dimension itself."
    )


def _sources(rows: Sequence[Result]) -> Iterator[str]:
    """Yield the sources of the schemes."""
    for name, gain in dict.fromkeys((canonical_name(r.scale), r.gain) for r in rows):
        scale = find_scale(name)
        if scale.source:
            with_gain = "" if gain is None else f" with g = {significant(gain)}"
            yield f"The scheme {name} has k = {scale.formula}{with_gain}: {scale.source}."


def _one_x(result: Result) -> str:
    conditional, average = result.claim.variance, result.claim.average_given_x
    return (
        "Here each row uses one x for all of its outputs. Given x, an output is a sum of D terms "
        "x_d W_dj with variance x_d² σw²/k² each, so its variance is ||x||² σw²/k², whatever x is "
        "on average: "
        f"{significant(conditional)} for the first row's x, "
        f"{significant(conditional / average, 4)} times the average {significant(average)}."
    )

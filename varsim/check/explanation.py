"""The explanation of an initializer's variances, in the numbers of the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from varsim.catalog.distributions import truncated_moments
from varsim.check.result import InitializerCheck
from varsim.fields import interval_text
from varsim.fields.rounding import percent, short, significant
from varsim.initializers.documented import MEANINGS

_SHAPES = {
    3.0: "a normal",
    1.8: "a uniform distribution",
    truncated_moments(2.0)[1]: "a normal that is cut at two deviations",
    1.0: "two values, ± std",
}
"""Names of distributions by their kurtosis."""


def explain(rows: Sequence[InitializerCheck]) -> str:
    """Return the explanation: documented and measured E w², and the distribution of entries."""
    first = rows[0]
    paragraphs = [
        "Why? An output of x @ W is a sum of D products, so its variance is D · E w². Backwards an "
        "entry of g @ Wᵀ is a sum of n products, and its variance is n · E w². " + _sizes(first)
    ]
    shape = (first.dim, first.fan_out)
    alike = [row for row in rows if row.acts is not None or (row.dim, row.fan_out) == shape]
    paragraphs += [" ".join(_sentences(row)) for row in alike]
    if len(alike) < len(rows):
        paragraphs.append("(These are the rows of the first shape; the same holds for the others.)")
    return "\n\n".join(paragraphs) + "\n"


def _sizes(row: InitializerCheck) -> str:
    """Return the sentence on the sizes of a matrix; the weights of modules differ in them."""
    if row.acts is not None:
        return "For each weight these are its inputs and outputs, times the taps of its kernel."
    both = (
        "both are 1 with E w² = 1/D."
        if row.dim == row.fan_out
        else "no E w² makes both 1; 1/D keeps signals, 1/n gradients, and 2/(D+n) is between."
    )
    return f"Here D = {row.dim} and n = {row.fan_out}: {both}"


def _sums(row: InitializerCheck) -> Iterator[str]:
    """Yield what the sums of a module's weight are over, in its numbers."""
    acts = row.acts
    if acts is None:
        return
    sides = zip(
        ("D", "n"), acts.sums.split(" and "), (row.dim, acts.backward),
        (acts.taps, acts.backward_taps), strict=True,
    )  # fmt: skip
    each = []
    for name, product, size, taps in sides:
        met = f", of which {percent(taps)} meet an entry: {short(size * taps)}"
        equals = f" = {size}" if "·" in product else ""
        each.append(f"{name} = {product}{equals}{met if taps != 1.0 else ''}")
    groups = f", in {acts.groups} groups" if acts.groups > 1 else ""
    yield f"Here {' and '.join(each)}{groups}."
    if acts.bias:
        yield f"The bias adds {significant(acts.bias, 4)} to an output."


def _sentences(row: InitializerCheck) -> Iterator[str]:
    measured = f"E w² = {significant(row.square.value, 4)} (std {_std(row)})"
    if row.claim is None or row.claimed is None:
        yield f"{row.init}: nothing is documented that varsim knows; measured {measured}."
    else:
        meaning = MEANINGS.get(row.claim, "")
        yield (
            f"{row.init}: documented is E w² = {row.claim} = {significant(row.claimed, 4)}"
            f"{meaning and f', {meaning}'}; measured {measured}."
        )
    yield from _sums(row)
    bias = 0.0 if row.acts is None else row.acts.bias
    added = " + E b²" if bias else ""
    yield (
        f"D · E w²{added} = {significant(row.summed * row.square.value + bias, 4)} forward, "
        "measured "
        f"{interval_text(row.estimate, row.confidence)}; n · E w² = "
        f"{significant(row.summed_back * row.square.value, 4)} backward, measured "
        f"{interval_text(row.back, row.confidence)}."
    )
    if row.shape is not None:
        reach = max(row.shape.half_width(0.9999), 1e-6)
        known = [text for value, text in _SHAPES.items() if abs(row.shape.value - value) <= reach]
        kurtosis = f"The kurtosis of the entries is {interval_text(row.shape, row.confidence)}"
        yield kurtosis + (f", as of {known[0]}." if len(known) == 1 else ".")


def _std(row: InitializerCheck) -> str:
    return significant(math.sqrt(row.square.value), 4)

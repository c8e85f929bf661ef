"""Results of deep stacks: measured layers against theory, and the study of the runner.

The networks are the replicates.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property, lru_cache, reduce
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim import fields as f
from varsim.catalog import FLOAT_TYPES
from varsim.errors import InputError
from varsim.fields import CAVEATS, Field, RowBase, Schema
from varsim.fields.rounding import short, significant
from varsim.layer.result import MARGIN, VERDICTS, ended_before_check
from varsim.stack.network import MAX_NETWORKS, MIN_NETWORKS, Layer, Network
from varsim.stack.sampling import (
    FIELDS,
    Sampled,
    network_bytes,
    sample_network,
    verify_network,
)
from varsim.stack.theory import LARGEST_SLACK, LayerTheory, predict
from varsim.statistics import Caveat, Estimate
from varsim.statistics.moments import Bins

# Below these a mean square has lost digits to underflow, of the values or of their squares.
_SMALLEST = {
    name: max(float(np.finfo(name).tiny) ** 2, float(np.finfo(float).tiny)) for name in FLOAT_TYPES
}

# Relative variance between networks above which their mean says little of a typical one.
HEAVY = 1.0

_HISTOGRAM_REACH, _HISTOGRAM_BINS = 5.0, 100

_ROUNDING = 1e-5

# Runs of equal widths that are named one by one.
_MOST_RUNS = 4

_SQUARE, _GRADIENT = FIELDS.index("square"), FIELDS.index("gradient_square")


class LayerTotals(NamedTuple):
    """What networks gave of one layer, as running totals; NaN once a value is not finite.

    Attributes:
        networks: Number of networks.
        mean: Mean of h.
        square: Mean of h².
        activation_square: Mean of φ(h)².
        saturated: Share of units near a bound of φ; None where φ is not bounded.
        dead: Share of units where φ′ = 0; None where φ has no flat part.
        product: Mean of h h of two inputs of a batch; None where there is one.
        gradient_square: Mean of (∂h)²; None where gradients are not followed.
        within: Mean over networks of the variance within one.
        square_m2: Σ (q / mean - 1)² over the networks' mean squares q of h: relative to the mean,
            it neither overflows nor underflows.
        gradient_m2: The same of (∂h)².
    """

    networks: int = 0
    mean: float = 0.0
    square: float = 0.0
    activation_square: float = 0.0
    saturated: float | None = 0.0
    dead: float | None = 0.0
    product: float | None = 0.0
    gradient_square: float | None = 0.0
    within: float = 0.0
    square_m2: float = 0.0
    gradient_m2: float = 0.0

    def plus(self, moments: Sequence[float]) -> LayerTotals:
        """Return the totals with the moments of one more network, of :data:`FIELDS`."""
        count = self.networks + 1
        mean, square = moments[:2]
        # Not below 0, where rounding would put what does not vary; an overflow stays one.
        values = (*moments, max(square - mean * mean, 0.0))
        means = [
            None if old is None else old + (value - old) / count
            for old, value in zip(self[1:9], values, strict=True)
        ]
        square_m2 = _with_one_more(self.square_m2, count, self.square, means[1], square)
        gradient_m2 = _with_one_more(
            self.gradient_m2, count, self.gradient_square, means[_GRADIENT], moments[_GRADIENT]
        )
        # None stays None, and no other mean is.
        return LayerTotals(count, *means, square_m2, gradient_m2)  # type: ignore[arg-type, call-arg]

    @classmethod
    def pooled(cls, parts: Sequence[LayerTotals]) -> LayerTotals:
        """Return the totals of all networks of several totals of one layer."""
        count = sum(part.networks for part in parts)
        shares = [part.networks / count for part in parts]
        means = [
            None if each[0] is None else math.fsum(map(operator.mul, shares, each))
            for each in zip(*(part[1:9] for part in parts), strict=True)
        ]
        squares = [(part.networks, part.square, part.square_m2) for part in parts]
        gradients = [(part.networks, part.gradient_square, part.gradient_m2) for part in parts]
        sums = _pooled_m2(squares, means[_SQUARE]), _pooled_m2(gradients, means[_GRADIENT])
        # None stays None, and no other mean is.
        return LayerTotals(count, *means, *sums)  # type: ignore[arg-type, call-arg]

    def relative_error(self, m2: float) -> float:
        """Return the relative standard error of a mean, from its sum of squares."""
        return math.sqrt(m2 / (self.networks - 1) / self.networks)


def _pooled_m2(parts: Sequence[tuple[int, float | None, float]], now: float | None) -> float:
    """Return Σ (q / mean - 1)² of all parts, from their counts, means and sums."""
    if not now:
        return 0.0
    ratios = [((before or 0.0) / now, count, m2) for count, before, m2 in parts]
    return math.fsum(m2 * ratio**2 + count * (ratio - 1.0) ** 2 for ratio, count, m2 in ratios)


def _with_one_more(
    m2: float, count: int, before: float | None, now: float | None, value: float
) -> float:
    """Return Σ (q / mean - 1)² with one more q, as the mean goes from ``before`` to ``now``."""
    if not now or before is None:
        return 0.0
    kept, step = before / now, (value - before) / now
    return m2 * kept * kept + step * step * (count - 1) / count


class StackTotals(NamedTuple):
    """What networks gave of all layers, as running totals, in the order of the networks.

    Attributes:
        networks: Number of networks.
        layers: The totals of every layer.
        counts: The histograms of φ(h), or None.
        recent: Of each network of this run, the mean squares of h and ∂h, of shape (layers, 2): for
            their medians, which cannot be added up.
        medians: Of an earlier run, of shape (layers, 2); None where there was none.
        median_networks: Number of networks that these medians are of.
        next_check: The number of networks at which the stopping rule decides next, or None.
    """

    networks: int
    layers: tuple[LayerTotals, ...]
    counts: NDArray[np.int64] | None
    recent: list[NDArray[np.float64]]
    medians: NDArray[np.float64] | None = None
    median_networks: int = 0
    next_check: int | None = None

    def plus(self, *samples: Sampled) -> StackTotals:
        """Return the totals with more networks."""
        return reduce(StackTotals._with, samples, self)

    def _with(self, sample: Sampled) -> StackTotals:
        counts, moments = self.counts, sample.moments.tolist()
        if sample.counts is not None:
            more = np.array(sample.counts)
            counts = more if counts is None else counts + more
        self.recent.append(sample.moments[:, [_SQUARE, _GRADIENT]])
        layers = tuple(t.plus(of_layer) for t, of_layer in zip(self.layers, moments, strict=True))
        return self._replace(networks=self.networks + 1, layers=layers, counts=counts)

    @property
    def worst_error(self) -> float:
        """The largest relative standard error of any layer, forward or backward."""
        errors = [t.relative_error(m2) for t in self.layers for m2 in (t.square_m2, t.gradient_m2)]
        return max((error for error in errors if not math.isnan(error)), default=0.0)

    def typical(self) -> tuple[NDArray[np.float64], int]:
        """Return the medians of shape (layers, 2), and of how many networks they are."""
        if self.medians is not None and not self.recent:
            return self.medians, self.median_networks
        return np.median(np.stack(self.recent), axis=0), len(self.recent)


@dataclass(frozen=True, repr=False)
class LayerResult(RowBase):
    """What came out of one layer of a stack: its question, its totals, and what follows from them.

    Every field of :data:`LAYERS` is an attribute, and so is every setting of the network.

    Attributes:
        question: The network.
        layer: l, from 1 on.
        held_to: What theory says of the layer.
        totals: What the networks gave of the layer.
        median: Median over networks of the mean square of h.
        gradient_median: The same of ∂h.
        median_networks: Number of networks that these medians are of: the last ones, where a run
            was resumed.
        next_check: The number of networks at which the stopping rule decides next; None where it
            has decided.
        counts: Histogram of φ(h), those beyond the ends first and last; None without.
        histogram: Its bins, or None.
    """

    question: Network
    layer: int
    held_to: LayerTheory
    totals: LayerTotals
    _: KW_ONLY
    median: float | None = None
    gradient_median: float | None = None
    median_networks: int = 0
    next_check: int | None = None
    counts: tuple[int, ...] | None = None
    histogram: Bins | None = None

    @property
    def weights(self) -> Layer:
        """The weight matrix below the layer."""
        return self.question.layers[self.layer - 1]

    @property
    def networks(self) -> int:
        """Number of networks."""
        return self.totals.networks

    @cached_property
    def forward(self) -> Estimate | None:
        """E h² with its error, and its claim; None after an overflow."""
        theory, totals = self.held_to, self.totals
        expected = (theory.spread if theory.batch_spread is None else theory.batch_spread) or 0.0
        claim = self._testable(theory.variance), theory.variance_slack
        return _estimate(totals, (totals.square, totals.square_m2), claim, expected)

    @cached_property
    def back(self) -> Estimate | None:
        """E (∂h)² with its error, and its claim; None where gradients are not followed."""
        theory, totals = self.held_to, self.totals
        claim = self._testable(theory.gradient), theory.gradient_slack
        return _estimate(totals, (totals.gradient_square, totals.gradient_m2), claim)

    def _testable(self, claim: float | None) -> float | None:
        """Return a claim, or None where the values that it is about lose digits to underflow."""
        return None if claim is not None and claim < self._smallest else claim

    @property
    def _smallest(self) -> float:
        return _SMALLEST[self.question.dtype]

    @property
    def underflows(self) -> bool:
        """Whether what was measured is below what floats hold in full."""
        return self._is_below(self.forward, self.held_to.variance) or self._is_below(
            self.back, self.held_to.gradient
        )

    def _is_below(self, measured: Estimate | None, theory: float | None) -> bool:
        if measured is None or measured.value >= self._smallest:
            return False
        if theory is None:
            return measured.value > 0.0  # a mean of 0 can be that of dead units
        return theory < self._smallest

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """What the verdict is about: no mean gradient that a few networks carry."""
        back = None if self.gradients_are_heavy else self.back
        return tuple(estimate for estimate in (self.forward, back) if estimate is not None)

    @property
    def spread(self) -> float | None:
        """Relative variance of the mean square of h between networks."""
        return _finite(self.totals.square_m2 / (self.networks - 1))

    @property
    def gradient_spread(self) -> float | None:
        """Relative variance of the mean square of ∂h between networks."""
        return _finite(self.totals.gradient_m2 / (self.networks - 1))

    @property
    def output_correlation(self) -> float | None:
        """Correlation of h between two inputs of a batch; None for one input."""
        product, square = self.totals.product, self.totals.square
        return _finite(product / square) if product is not None and square else None

    @property
    def signals_are_heavy(self) -> bool:
        """Whether a few networks carry the mean of h²."""
        return max(self.held_to.spread or 0.0, self.spread or 0.0) > HEAVY

    @property
    def gradients_are_heavy(self) -> bool:
        """Whether a few networks carry the mean gradient; theory does not know by how much."""
        return (self.gradient_spread or 0.0) > HEAVY

    @property
    def relative_error(self) -> float:
        """The larger relative standard error of the two ways; 0 where there is nothing."""
        known = (self.forward, self.back)
        return max((each.relative_error for each in known if each is not None), default=0.0)

    @property
    def met(self) -> bool:
        """Whether the precision that was asked for was reached, or all networks were drawn."""
        precision = self.question.precision
        if precision is None:
            return self.networks >= self.question.networks
        return self.relative_error <= precision

    @property
    def has_claim(self) -> bool:
        """Whether there is something that a verdict can be about."""
        return any(estimate.joint_p is not None for estimate in self.estimates)

    @property
    def lacks_theory(self) -> bool:
        """Whether a cell of theory is empty."""
        unknown = self.held_to.gradient is None and self.question.backward
        return unknown or self.held_to.variance is None

    @property
    def is_loose(self) -> bool:
        """Whether theory is allowed more than usual, since the law of the weights is not known."""
        slack = max(self.held_to.variance_slack, self.held_to.gradient_slack)
        return self.question.init is not None and slack > 3 * LARGEST_SLACK

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """What a reader should know."""
        return (*self.pooling, *_caveats(self))


def _estimate(
    totals: LayerTotals,
    measured: tuple[float | None, float],
    held_to: tuple[float | None, float],
    expected: float = 0.0,
) -> Estimate | None:
    """Return a mean with its error, held to a claim.

    Args:
        totals: What the networks gave.
        measured: The mean, and the sum of squares about it.
        held_to: The claim, and its relative allowance.
        expected: Relative variance between networks by theory.
    """
    (mean, m2), (theory, slack) = measured, held_to
    if mean is None or not math.isfinite(mean):
        return None
    std_error = totals.relative_error(m2) * mean
    claim = theory if std_error else None
    error = 0.0 if claim is None else claim * math.sqrt(expected / totals.networks)
    return Estimate(
        value=mean, std_error=std_error, dof=totals.networks - 1, claim=claim, slack=slack,
        expected_error=error,
    )  # fmt: skip


def activation_bins(network: Network) -> tuple[Bins, ...]:
    """Return where φ(h) is counted in every layer: over its bounds, or five root mean squares."""
    low, high = network.phi.bounds
    bins, scale = [], 1.0
    for theory in predict(network, infinite_width=True):
        if network.norm == "none" and theory.variance is not None:  # a norm hands on a scale of 1
            scale = math.sqrt(theory.variance)
        reach = _HISTOGRAM_REACH * max(scale, network.phi.bounded or 1e-30)
        start, end = max(low, -reach), min(high, reach)
        # A little wider, so that what rounds to the upper bound is within.
        bins.append(Bins(start, (end - start) * (1 + 1e-9) / _HISTOGRAM_BINS, _HISTOGRAM_BINS))
    return tuple(bins)


@dataclass(frozen=True)
class StackStudy:
    """How the runner measures a deep stack: a replicate is a network.

    Attributes:
        question: The network.
        confidence: Level of the intervals.
        histogram: Whether φ(h) is counted.
        infinite_width: Whether theory leaves out its correction for finite width.
        max_networks: The most networks that a precision takes.
    """

    question: Network
    confidence: float = 0.95
    histogram: bool = False
    infinite_width: bool = False
    max_networks: int = MAX_NETWORKS

    minimum = MIN_NETWORKS
    """Replicates that an error bar needs."""

    batch = 1
    """Replicates that are best sampled in one go."""

    @property
    def cost(self) -> int:
        """Weights that a replicate draws."""
        return sum(layer.fan_in * layer.fan_out for layer in self.question.layers)

    @property
    def memory(self) -> int:
        """Bytes of arrays that a worker holds, about."""
        return network_bytes(self.question)

    def prepare(self) -> None:
        """Load and check the activation and what makes W, or raise an InputError."""
        verify_network(self.question)

    def empty(self) -> StackTotals:
        """Return the totals of no networks."""
        phi = self.question.phi
        layer = LayerTotals(
            saturated=0.0 if phi.bounded else None,
            dead=0.0 if phi.flat else None,
            product=0.0 if self.question.batch > 1 else None,
            gradient_square=0.0 if self.question.backward else None,
        )
        return StackTotals(0, (layer,) * self.question.depth, None, [])

    def sample(self, index: int) -> Sampled:
        """Return what network ``index`` gives."""
        return sample_network(self.question, index, self._bins)

    def next_check(self, totals: StackTotals) -> int | None:
        """Return the number of networks at which to decide next, or None."""
        count, precision = totals.networks, self.question.precision
        if count < self.question.networks:
            return self.question.networks
        error = totals.worst_error
        if precision is None or error <= precision or count >= self.max_networks:
            return None
        growth = MARGIN * (error / precision) ** 2
        return min(self.max_networks, math.ceil(count * growth))

    def rows(self, totals: StackTotals) -> list[LayerResult]:
        """Return a row for every layer."""
        network = self.question
        medians, median_networks = totals.typical()
        bins = None if totals.counts is None else activation_bins(network)
        return [
            LayerResult(
                network, place + 1, theory, totals.layers[place],
                median=_finite(medians[place, 0]),
                gradient_median=_finite(medians[place, 1]) if network.backward else None,
                median_networks=median_networks,
                next_check=totals.next_check,
                counts=None if totals.counts is None else tuple(totals.counts[place].tolist()),
                histogram=None if bins is None else bins[place],
                confidence=self.confidence,
                init_package=network.initializer.package,
            )
            for place, theory in enumerate(predict(network, infinite_width=self.infinite_width))
        ]  # fmt: skip

    def resume(self, rows: Sequence[LayerResult]) -> tuple[StackStudy, StackTotals | None, bool]:
        """Return how to continue from the rows of a file.

        They are stale if a layer is missing, or if they are of another package or lack a histogram
        that is asked for.
        """
        network = self.question
        by_layer = {row.layer: row for row in rows}
        made = network.initializer.package
        layers = [by_layer.get(place + 1) for place in range(network.depth)]
        known = [row for row in layers if row is not None and row.init_package == made]
        if len({row.networks for row in known}) != 1 or len(known) < network.depth:
            return self, None, False
        counted = all(row.counts is not None for row in known)
        if self.histogram and not counted:
            return self, None, False
        totals = _totals_of(known)
        before = known[0].question
        asked = network.precision, network.networks
        if network.precision is None or (before.precision, before.networks) != asked:
            totals = totals._replace(next_check=None)
        bins = activation_bins(network) if counted else ()
        if not all(
            row.histogram is not None and row.histogram.like(own)
            for row, own in zip(known, bins, strict=counted)
        ):
            return self, None, False  # of a version that counts elsewhere
        done = totals.next_check is None and self.next_check(totals) is None
        return replace(self, histogram=counted), totals, done

    @cached_property
    def _bins(self) -> tuple[Bins, ...] | None:
        return activation_bins(self.question) if self.histogram else None


def _totals_of(rows: Sequence[LayerResult]) -> StackTotals:
    """Return the totals that the rows of all layers hold."""
    first = rows[0]
    medians = [[row.median, row.gradient_median] for row in rows]
    return StackTotals(
        first.networks,
        tuple(row.totals for row in rows),
        None if first.counts is None else np.array([row.counts for row in rows]),
        [],
        np.array([[math.nan if m is None else m for m in pair] for pair in medians]),
        first.median_networks,
        first.next_check,
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _caveats(row: LayerResult) -> Iterator[Caveat]:
    network = row.question
    wider = "; take dtype float64" if network.dtype == "float32" else ""
    if row.forward is None:
        yield Caveat(
            "overflow",
            f"{network.activation} gives values that are not finite, or that overflow "
            f"{network.dtype} further up"
            if ":" in network.activation
            else f"the values overflow {network.dtype}{wider}",
        )
    elif row.back is None and network.backward:
        yield Caveat(
            "overflow",
            f"gradients overflow {network.dtype}, or signals above them do{wider}",
        )
    if row.underflows:
        yield Caveat("underflow", f"the values fall below what {network.dtype} holds{wider}")
    if row.signals_are_heavy and row.median is not None:
        spread = max(row.held_to.spread or 0.0, row.spread or 0.0)
        yield Caveat(
            "heavy-tails",
            f"a few networks carry the mean (relative variance between them {spread:.2g}), so its "
            f"error is rough; the typical network has {row.median:.3g}",
        )
    if row.gradients_are_heavy and row.gradient_median is not None:
        yield Caveat(
            "heavy-tailed-gradients",
            f"a few networks carry the mean gradient (relative variance between them "
            f"{row.gradient_spread:.2g}), so there is no verdict on it; the typical network has "
            f"{row.gradient_median:.3g}",
        )
    if row.held_to.gap is not None and row.lacks_theory:
        yield Caveat("no-theory", row.held_to.gap)
    if network.precision is None and not row.met:
        yield Caveat(
            "interrupted", f"the run ended after {row.networks:,} of {network.networks:,} networks"
        )
    if network.precision is not None and row.next_check is not None and row.met:
        yield ended_before_check(row.networks, row.next_check, "networks")
    if network.precision is not None and not row.met:
        yield Caveat(
            "precision-unmet",
            f"the relative standard error is {row.relative_error:.2g} after {row.networks:,} "
            f"networks, not {network.precision:g}",
        )
    if row.median_networks < row.networks:
        which = "one seed, with" if row.pooled else "the last"
        yield Caveat("median", f"the medians are of {which} {row.median_networks:,} networks")


def _in_runs(widths: Sequence[int]) -> str:
    """Return widths in words: all of them where they are few."""
    runs = [(width, len(list(run))) for width, run in groupby(widths)]
    if len(runs) == 1:
        return f"width {widths[0]}"
    if len(runs) > _MOST_RUNS:
        return f"widths {min(widths):,} to {max(widths):,}"
    return "widths " + "-".join(f"{w}×{count}" if count > 1 else str(w) for w, count in runs)


_ASKED = tuple(Network.__dataclass_fields__)

_MEANS = ("mean", "square", "activation_square", "saturated", "dead", "product", "gradient_square",
          "within", "square_m2", "gradient_m2")  # fmt: skip


def _held(network: Network, name: str, value: Any) -> Any:
    """Return a total as a file holds it: null is NaN, but for what is not known of the network."""
    unknown = {"saturated", "dead"}
    unknown |= {"gradient_square"} if not network.backward else set()
    unknown |= {"product"} if network.batch == 1 else set()
    return math.nan if value is None and name not in unknown else value


def _question(values: Mapping[str, Any], is_checked: bool) -> Network:
    """Return the network of a row; that of the last row for the next layer of the same stack."""
    name = tuple(values["networks_asked" if n == "networks" else n] for n in _ASKED)
    return _network(name, values["key"] if is_checked else None)


@lru_cache(maxsize=16)
def _network(settings: tuple[Any, ...], key: str | None) -> Network:
    asked = dict(zip(_ASKED, settings, strict=True))
    if key is None:
        return Network(**asked)
    network: Network = f.restored(Network, asked, key)
    return network


def _built(network: Network, values: Mapping[str, Any]) -> LayerResult:
    held_to = LayerTheory(
        values["theory"], values["theory_slack"], values["spread_theory"],
        values["gradient_theory"], values["gradient_slack"],
        values["batch_spread_theory"], values["theory_gap"],
        values["correlation_theory"], values["chi"],
    )  # fmt: skip
    bins, counts = values["histogram"], values["counts"]
    if not 1 <= values["layer"] <= network.depth:
        raise InputError(f"invalid row: layer {values['layer']} of {network.depth}")
    held = values["totals"]
    totals = LayerTotals(*(_held(network, name, held[name]) for name in LayerTotals._fields))
    # Earlier versions let rounding put a variance of 0 below it.
    within = totals.within + _ROUNDING * totals.square
    squares = (totals.square, totals.gradient_square, totals.activation_square, within,
               totals.square_m2, totals.gradient_m2, held_to.variance_slack, held_to.gradient_slack,
               held_to.spread, values["median"], values["gradient_median"])  # fmt: skip
    shares = [share for share in (totals.saturated, totals.dead) if share is not None]
    if (
        totals.networks < 2
        or any(value < 0.0 for value in squares if value is not None)
        or any(not 0.0 <= share <= 1.0 for share in shares)
        or min(values["median_networks"], values["next_check"] or 0) < 0
    ):
        raise InputError("invalid row: too few networks, or a value out of range")
    if (bins is None) != (counts is None) or (
        bins is not None
        and (not bins.width > 0.0 or len(counts) != bins.number + 2 or min(counts) < 0)
    ):
        raise InputError("invalid row: its histogram is not one")
    state = ("median", "gradient_median", "median_networks", "next_check", "counts")
    return LayerResult(
        network, values["layer"], held_to, totals,
        histogram=bins,
        **{name: values[name] for name in state} | LayerResult.state(values),
    )  # fmt: skip


def _where_correlated(row: LayerResult, name: str) -> str:
    """Return the cell of a value that tables show where inputs are correlated."""
    value = LAYERS.by_name[name].value(row)
    return "" if value is None or not row.question.correlation else f"{value:.4f}"


def _total(name: str) -> Callable[[LayerResult], float | None]:
    """Return what a total of a row is; None where it is not finite or not known."""
    return lambda row: _finite(getattr(row.totals, name))


def _of(side: str, name: str) -> Callable[[LayerResult], Any]:
    """Return what an attribute of one of a row's estimates is; None where there is no estimate."""
    return lambda row: getattr(getattr(row, side), name, None)


_FORWARD, _BACK = operator.attrgetter("forward"), operator.attrgetter("back")

_FIELDS = (
    Field("varsim", f.text, "Version of varsim that measured the row."),
    Field("seed", f.whole, "Root of all random streams.", phrase="seed {}"),
    Field("layer", f.whole, "l, from 1 on.", header="layer", axis="layer"),
    Field("depth", f.whole, "L, the number of layers.", derived=True, phrase="{}",
          show=lambda depth: f"{depth} layer{'s' * (depth > 1)}"),
    Field("fan_in", f.whole, "Width of the layer before, or of the input.",
          lambda r: r.weights.fan_in, derived=True),
    Field("width", f.whole, "Number of units.", lambda r: r.weights.fan_out, derived=True,
          header="width", drop_priority=4),
    Field("activation", f.text, "φ.", phrase="{}", always=True),
    Field("scale", f.text, "The scheme, as it was asked for.", phrase="scale {}", always=True),
    Field("k", f.number, "The divisor of W.", lambda r: r.weights.k, derived=True),
    Field("gain", f.number, "g; empty where the scheme has none.", lambda r: r.question.g,
          optional=True, phrase="gain {}", show=significant, always=True),
    Field("bias_std", f.number, "Standard deviation of the biases.", phrase="bias std {}",
          show=significant, usual=lambda n: n.bias_std == 0.0),
    Field("norm", f.text, "What is normalised before φ.", phrase="{} norm",
          usual=lambda n: n.norm == "none"),
    Field("residual", f.number, "Factor on every branch; empty in a plain stack.", optional=True,
          phrase="residual {}", show=significant, always=True),
    Field("x_dist", f.text, "Distribution of the inputs' entries.", phrase="x {}", always=True,
          usual=lambda n: n.x_dist == "normal"),
    Field("correlation", f.number, "Correlation between each two inputs of a batch.",
          phrase="correlation {}", show=significant, usual=lambda n: n.correlation == 0.0),
    Field("w_dist", f.text, "Distribution of the weights' entries; empty with an initializer.",
          optional=True, phrase="W {}", always=True, usual=lambda n: n.w_dist == "normal"),
    Field("dtype", f.text, "Floating-point type of draws and products.", phrase="{}", always=True,
          usual=lambda n: n.dtype == "float32"),
    Field("batch", f.whole, "Inputs per network.", phrase="batch {}", show="{:,}".format),
    Field("networks", f.whole, "Number of networks.", derived=True, phrase="{} networks",
          show="{:,}".format),
    Field("theory", f.number, "E h² by theory; empty where varsim does not know it.",
          lambda r: r.held_to.variance, optional=True, header="Var[h] theory",
          measured=_FORWARD, show=short,
          note="Var[h] is over networks, inputs and units"),
    Field("theory_slack", f.number, "Relative allowance for what theory leaves out.",
          lambda r: r.held_to.variance_slack),
    Field("empirical", f.number, "Mean of h² over everything: the variance, as E h is 0.",
          _total("square"), optional=True, derived=True, header="empirical ± {level}",
          measured=_FORWARD, interval=True, axis="Var[h]"),
    Field("std_error", f.number, "Standard error of empirical, from the spread between networks.",
          _of("forward", "std_error"), optional=True, derived=True),
    Field("z", f.number, "Difference from theory in standard errors.", _of("forward", "z"),
          optional=True, derived=True, tolerance=1e-6, header="z", show="{:+.2f}".format,
          drop_priority=6, note="z: empirical - theory, in standard errors"),
    Field("p", f.number, "Two-sided probability of a difference so far beyond the allowance; of "
          "this row alone.", _of("forward", "joint_p"), optional=True, derived=True,
          tolerance=1e-6),
    Field("within", f.number, "Variance over units and inputs within one network, averaged over "
          "networks.", _total("within"), optional=True, derived=True, header="within",
          measured=_FORWARD, show=short, drop_priority=0,
          note="within: over the units and inputs of one network"),
    Field("median", f.number, "empirical of the typical network: the median.", optional=True,
          header="median", measured=_FORWARD, show=short, drop_priority=1,
          note="median: of the typical network"),
    Field("spread", f.number, "Relative variance of empirical between networks.", optional=True,
          derived=True),
    Field("spread_theory", f.number, "The same by theory, for one input.",
          lambda r: r.held_to.spread, optional=True),
    Field("batch_spread_theory", f.number, "spread_theory of the mean over a batch.",
          lambda r: r.held_to.batch_spread, optional=True),
    Field("mean", f.number, "Mean of h.", _total("mean"), optional=True, derived=True),
    Field("rms_activation", f.number, "Root mean square of φ(h).",
          lambda r: _finite(math.sqrt(r.totals.activation_square)), optional=True,
          derived=True, header="rms φ", show=short, drop_priority=5),
    Field("saturated", f.number, "Share of units near a bound of φ.", _total("saturated"),
          optional=True, derived=True, header="saturated", show="{:.1%}".format, drop_priority=3),
    Field("dead", f.number, "Share of units with φ′ = 0.", _total("dead"), optional=True,
          derived=True, header="dead", show="{:.1%}".format, drop_priority=3),
    Field("gradient_theory", f.number, "E (∂h)² by theory, from a cotangent of variance 1 on top.",
          lambda r: r.held_to.gradient if r.question.backward else None, optional=True,
          header="Var[∂h] theory", measured=_BACK, show=short,
          note="∂h is the gradient from a cotangent of variance 1 on top"),
    Field("gradient_slack", f.number, "Relative allowance for what that leaves out.",
          lambda r: r.held_to.gradient_slack),
    Field("gradient", f.number, "Mean of (∂h)²; empty where gradients are not followed.",
          _total("gradient_square"), optional=True, derived=True, header="∂h ± {level}",
          measured=_BACK, interval=True, axis="Var[∂h]"),
    Field("gradient_std_error", f.number, "Standard error of gradient.", _of("back", "std_error"),
          optional=True, derived=True),
    Field("gradient_z", f.number, "Difference from theory in standard errors.", _of("back", "z"),
          optional=True, derived=True, tolerance=1e-6, header="∂h z", show="{:+.2f}".format,
          drop_priority=6),
    Field("gradient_p", f.number, "As p; empty where a few networks carry the mean.",
          lambda r: None if r.gradients_are_heavy else _of("back", "joint_p")(r), optional=True,
          derived=True, tolerance=1e-6),
    Field("gradient_median", f.number, "gradient of the typical network.", optional=True),
    Field("correlation_theory", f.number, "Correlation of h between two inputs of a batch, by "
          "theory at infinite width.", lambda r: r.held_to.correlation, optional=True,
          header="corr[h] theory", cell=lambda row: _where_correlated(row, "correlation_theory"),
          drop_priority=7),
    Field("output_correlation", f.number, "The same, measured; empty for one input.", optional=True,
          derived=True, header="corr[h]", axis="corr[h]",
          cell=lambda row: _where_correlated(row, "output_correlation"), drop_priority=7,
          note="corr[h] is between two inputs of a batch, with theory for infinite width and no "
          "verdict"),
    Field("chi", f.number, "χ⊥: by how much squared gradients grow from the next layer to this one "
          "at infinite width and equal widths; empty on top.", lambda r: r.held_to.chi,
          optional=True, header="χ⊥", cell=lambda row: _where_correlated(row, "chi"),
          drop_priority=7, note="χ⊥ above 1 is chaos, below 1 order"),
    Field("theory_gap", f.text, "Why a cell of theory is empty.", lambda r: r.held_to.gap,
          optional=True),
    Field("agrees", f.truth, "The verdict on both ways, Holm-adjusted over the table at alpha.",
          optional=True, header="verdict", numeric=False,
          cell=lambda row: VERDICTS[row.agrees] if row.has_claim else ""),
    CAVEATS,
    Field("confidence", f.number, "Level of the intervals."),
    Field("alpha", f.number, "False-alarm rate that all verdicts of the table share.",
          optional=True),
    Field("key", f.text, "What was measured, without seed and number of networks."),
    Field("histogram", f.bins, "Where φ(h) was counted.", optional=True,
          plain=lambda bins: bins._asdict()),
    Field("counts", f.sequence(f.whole), "How often, those beyond the ends first and last.",
          optional=True, plain=list),
    Field("init", f.text, "The initializer that made the weights, with its arguments.",
          optional=True, phrase="init {}", always=True),
    Field("init_package", f.text, "The package it belongs to, with its version.", optional=True),
    Field("widths", f.sequence(f.whole), "Widths of the input and of all layers.", plain=list,
          phrase="{}", show=_in_runs),
    Field("backward", f.truth, "Whether gradients were followed."),
    Field("networks_asked", f.whole, "Number of networks asked for; with a precision, at first.",
          lambda r: r.question.networks),
    Field("precision", f.number, "Relative standard error that was asked for.", optional=True),
    Field("median_networks", f.whole, "Number of networks that the medians are of."),
    Field("next_check", f.whole, "Number of networks at which the stopping rule decides next.",
          optional=True),
    Field(
        "totals",
        f.mapping(networks=f.whole, **dict.fromkeys(_MEANS, f.optional(f.number))),
        "The running totals that the measured values follow from, and that can be added to.",
        plain=lambda totals: {
            name: value if name == "networks" else _finite(value)
            for name, value in totals._asdict().items()
        },
    ),
)  # fmt: skip

_SETTINGS = ("activation", "scale", "gain", "bias_std", "norm", "residual", "init", "x_dist",
             "correlation", "w_dist", "dtype")  # fmt: skip

LAYERS = Schema(
    "layers of deep stacks",
    5,
    _FIELDS,
    _question,
    _built,
    marker="layer",
    table=("layer", "width", "theory", "empirical", "z", "median", "within", "rms_activation",
           "saturated", "dead", "correlation_theory", "output_correlation", "chi",
           "gradient_theory", "gradient", "gradient_z", "agrees"),
    settings=_SETTINGS,
    named_by=_SETTINGS[:7],
    brief=(("layer", "layer"), ("", "empirical"), ("theory", "theory"), ("gradient", "gradient"),
           ("theory", "gradient_theory"), ("", "agrees")),
)  # fmt: skip
"""Rows of deep stacks."""

LAYERS.describe(LayerResult, Network)

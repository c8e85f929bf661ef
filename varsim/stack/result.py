"""Results of deep stacks: measured layers against theory, and the study of the runner.

The networks are the replicates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim import __version__
from varsim import fields as f
from varsim.fields import CAVEATS, Field, Schema
from varsim.fields.rounding import significant, with_error
from varsim.layer.result import VERDICTS
from varsim.parsing import InputError
from varsim.stack.network import MAX_NETWORKS, MIN_NETWORKS, Layer, Network
from varsim.stack.sampling import FIELDS, Sampled, sample_network, verify_network
from varsim.stack.theory import LayerTheory, predict
from varsim.statistics import Caveat, Estimate
from varsim.statistics.moments import Bins

# Relative variance between networks above which their mean says little of a typical one.
HEAVY = 1.0

# With a precision: how many more networks than measured to be needed are taken.
_MARGIN = 1.2

_HISTOGRAM_REACH, _HISTOGRAM_BINS = 5.0, 100

_SQUARE, _GRADIENT = FIELDS.index("square"), FIELDS.index("gradient_square")


class LayerTotals(NamedTuple):
    """What networks gave of one layer, as running totals. None where a mean is not finite or known.

    Attributes:
        networks: Number of networks.
        mean: Mean of h.
        square: Mean of h².
        activation_square: Mean of φ(h)².
        saturated: Share of units near a bound of φ; None where φ is not bounded.
        dead: Share of units where φ′ = 0; None where φ has no flat part.
        gradient_square: Mean of (∂h)²; None where gradients are not followed.
        within: Mean over networks of the variance within one.
        square_m2: Σ (q / mean - 1)² over the networks' mean squares q of h.
        gradient_m2: The same of (∂h)².
    """

    networks: int
    mean: float | None
    square: float | None
    activation_square: float | None
    saturated: float | None
    dead: float | None
    gradient_square: float | None
    within: float | None
    square_m2: float | None
    gradient_m2: float | None


class StackTotals(NamedTuple):
    """What networks gave of all layers, as running totals, in the order of the networks.

    Attributes:
        networks: Number of networks.
        means: Of shape (layers, fields): the means of the fields of the samples, then of the
            variance within a network.
        m2: Of shape (layers, 2): Σ (q / mean - 1)² of h² and of (∂h)². Relative to the mean, they
            neither overflow nor underflow.
        counts: The histograms of φ(h), or None.
        recent: For each network of this run, its mean squares of h and ∂h: for their medians, which
            cannot be added up.
        medians: Of an earlier run, of shape (layers, 2); None where there was none.
        median_networks: Number of networks that these medians are of.
    """

    networks: int
    means: NDArray[np.float64]
    m2: NDArray[np.float64]
    counts: NDArray[np.int64] | None
    recent: list[NDArray[np.float64]]
    medians: NDArray[np.float64] | None = None
    median_networks: int = 0

    @classmethod
    def empty(cls, layers: int) -> StackTotals:
        """Return the totals of no networks."""
        return cls(0, np.zeros((layers, len(FIELDS) + 1)), np.zeros((layers, 2)), None, [])

    def plus(self, sample: Sampled) -> StackTotals:
        """Return the totals with one more network."""
        count, moments = self.networks + 1, sample.moments
        # After an explosion all of this is infinite, and no number in the end.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            within = moments[:, _SQUARE] - moments[:, FIELDS.index("mean")] ** 2
            values = np.column_stack([moments, within])
            means = self.means + (values - self.means) / count
            now, before = means[:, [_SQUARE, _GRADIENT]], self.means[:, [_SQUARE, _GRADIENT]]
            new = values[:, [_SQUARE, _GRADIENT]]
            steps = np.where(now == 0.0, 0.0, (new - before) / now)
            kept = np.where(now == 0.0, 0.0, before / now)
            m2 = self.m2 * kept**2 + steps**2 * (count - 1) / count
        counts = self.counts
        if sample.counts is not None:
            one = np.array(sample.counts)
            counts = one if counts is None else counts + one
        self.recent.append(new)
        return self._replace(networks=count, means=means, m2=m2, counts=counts)

    @property
    def relative_errors(self) -> NDArray[np.float64]:
        """Relative standard errors of shape (layers, 2), both ways; NaN where not finite."""
        if self.networks < 2:
            return np.full(self.m2.shape, np.nan)
        errors: NDArray[np.float64] = np.sqrt(self.m2 / (self.networks - 1) / self.networks)
        return errors

    @property
    def worst_error(self) -> float:
        """The largest relative standard error of any layer, forward or backward."""
        return float(np.nanmax(self.relative_errors, initial=0.0))

    def typical(self) -> tuple[NDArray[np.float64], int]:
        """Return the medians of shape (layers, 2), and of how many networks they are."""
        if self.medians is not None and not self.recent:
            return self.medians, self.median_networks
        return np.median(np.stack(self.recent), axis=0), len(self.recent)


@dataclass(frozen=True)
class LayerResult:
    """What came out of one layer of a stack: its question, its totals, and what follows from them.

    The settings of the network are attributes of the row too: ``row.activation``.

    Attributes:
        network: What was asked.
        layer: l, from 1 on.
        held_to: What theory says of the layer.
        totals: What the networks gave of the layer.
        median: Median over networks of the mean square of h.
        gradient_median: The same of ∂h.
        median_networks: Number of networks that these medians are of: the last ones, where a run
            was resumed.
        counts: Histogram of φ(h), those beyond the ends first and last; None without.
        histogram: Its bins, or None.
        confidence: Level of the intervals.
        varsim: Version of varsim that measured it.
        init_package: Package of the initializer, with its version; None where there is none.
        agrees: The verdict on both ways, Holm-adjusted over the table at ``alpha``.
        alpha: False-alarm rate that all verdicts of the table share.
    """

    network: Network
    layer: int
    held_to: LayerTheory
    totals: LayerTotals
    _: KW_ONLY
    median: float | None = None
    gradient_median: float | None = None
    median_networks: int = 0
    counts: tuple[int, ...] | None = None
    histogram: Bins | None = None
    confidence: float = 0.95
    varsim: str = __version__
    init_package: str | None = None
    agrees: bool | None = None
    alpha: float | None = None

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Return a setting of the network."""
            if name.startswith("__") or name not in Network.__dataclass_fields__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return getattr(self.network, name)

    @property
    def question(self) -> Network:
        """What was asked."""
        return self.network

    @property
    def key(self) -> str:
        """What was measured, without seed and number of networks."""
        return self.network.key

    @property
    def seed(self) -> int:
        """Root of all random streams."""
        return self.network.seed

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return self.network.depth

    @property
    def weights(self) -> Layer:
        """The weight matrix below the layer."""
        return self.network.layers[self.layer - 1]

    @property
    def fan_in(self) -> int:
        """Width of the layer before, or of the input."""
        return self.weights.fan_in

    @property
    def width(self) -> int:
        """Number of units."""
        return self.weights.fan_out

    @property
    def k(self) -> float:
        """The divisor of W."""
        return self.weights.k

    @property
    def gain(self) -> float | None:
        """g, the gain; None where the scheme has none."""
        return self.network.g

    @property
    def networks(self) -> int:
        """Number of networks."""
        return self.totals.networks

    @property
    def networks_asked(self) -> int:
        """Number of networks that were asked for, or to begin with where a precision was."""
        return self.network.networks

    @property
    def theory(self) -> float:
        """E h² by theory."""
        return self.held_to.variance

    @property
    def theory_slack(self) -> float:
        """Relative allowance for what theory leaves out."""
        return self.held_to.variance_slack

    @property
    def spread_theory(self) -> float | None:
        """``spread`` by theory, for one input; None where it is not known."""
        return self.held_to.spread

    @property
    def gradient_theory(self) -> float | None:
        """E (∂h)² by theory, from a cotangent of variance 1 on top; None where it is not known."""
        return self.held_to.gradient if self.network.backward else None

    @property
    def gradient_slack(self) -> float:
        """Relative allowance for what that leaves out."""
        return self.held_to.gradient_slack

    @cached_property
    def forward(self) -> Estimate | None:
        """E h² with its error, and its claim; None after an overflow."""
        spread = self.held_to.spread
        # Fluctuations multiply from layer to layer, which makes products about lognormal: they
        # compound as (1 + 5/n)^L does for ReLU.
        expected = 0.0 if spread is None else math.expm1(min(spread, 100.0))
        return self._estimate(
            self.totals.square, self.totals.square_m2, self.theory, self.theory_slack, expected
        )

    @cached_property
    def backward_estimate(self) -> Estimate | None:
        """E (∂h)² with its error, and its claim; None where gradients are not followed."""
        totals = self.totals
        return self._estimate(
            totals.gradient_square, totals.gradient_m2, self.gradient_theory, self.gradient_slack
        )

    def _estimate(
        self,
        mean: float | None,
        m2: float | None,
        theory: float | None,
        slack: float,
        expected: float = 0.0,
    ) -> Estimate | None:
        if mean is None or m2 is None:
            return None
        count = self.networks
        std_error = math.sqrt(m2 / (count - 1)) * mean / math.sqrt(count)
        claim = theory if std_error else None
        error = 0.0 if claim is None else claim * math.sqrt(expected / count)
        return Estimate(
            value=mean, std_error=std_error, dof=count - 1, claim=claim, slack=slack,
            expected_error=error,
        )  # fmt: skip

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """What the verdict is about: no mean gradient that a few networks carry."""
        backward = None if self.gradients_are_heavy else self.backward_estimate
        return tuple(estimate for estimate in (self.forward, backward) if estimate is not None)

    @property
    def empirical(self) -> float | None:
        """Mean of h² over everything; its mean is 0, so it is the variance."""
        return self.totals.square

    @property
    def std_error(self) -> float | None:
        """Standard error of ``empirical``, from the spread between networks."""
        return None if self.forward is None else self.forward.std_error

    @property
    def z(self) -> float | None:
        """Difference from theory in standard errors."""
        return None if self.forward is None else self.forward.z

    @property
    def p(self) -> float | None:
        """Two-sided probability of a difference so far beyond the allowance; of this row alone."""
        return None if self.forward is None else self.forward.joint_p

    @property
    def within(self) -> float | None:
        """Variance over units and inputs within one network, averaged over networks."""
        return self.totals.within

    @property
    def spread(self) -> float | None:
        """Relative variance of ``empirical`` between networks."""
        return _variance(self.totals.square_m2, self.networks)

    @property
    def gradient_spread(self) -> float | None:
        """Relative variance of ``gradient`` between networks."""
        return _variance(self.totals.gradient_m2, self.networks)

    @property
    def mean(self) -> float | None:
        """Mean of h."""
        return self.totals.mean

    @property
    def rms_activation(self) -> float | None:
        """Root mean square of φ(h)."""
        square = self.totals.activation_square
        return None if square is None else math.sqrt(square)

    @property
    def saturated(self) -> float | None:
        """Share of units near a bound of φ; None where φ is not bounded."""
        return self.totals.saturated

    @property
    def dead(self) -> float | None:
        """Share of units with φ′ = 0; None where φ has no flat part."""
        return self.totals.dead

    @property
    def gradient(self) -> float | None:
        """Mean of (∂h)²; None where gradients are not followed."""
        return self.totals.gradient_square

    @property
    def gradient_std_error(self) -> float | None:
        """Standard error of ``gradient``."""
        return None if self.backward_estimate is None else self.backward_estimate.std_error

    @property
    def gradient_z(self) -> float | None:
        """Difference from theory in standard errors."""
        return None if self.backward_estimate is None else self.backward_estimate.z

    @property
    def gradient_p(self) -> float | None:
        """As ``p``; None where a few networks carry the mean."""
        if self.backward_estimate is None or self.gradients_are_heavy:
            return None
        return self.backward_estimate.joint_p

    @property
    def signals_are_heavy(self) -> bool:
        """Whether a few networks carry the mean of h²."""
        return max(self.spread_theory or 0.0, self.spread or 0.0) > HEAVY

    @property
    def gradients_are_heavy(self) -> bool:
        """Whether a few networks carry the mean gradient; theory does not know by how much."""
        return (self.gradient_spread or 0.0) > HEAVY

    @property
    def relative_error(self) -> float:
        """The larger relative standard error of the two ways; 0 where there is nothing."""
        known = (self.forward, self.backward_estimate)
        return max((each.relative_error for each in known if each is not None), default=0.0)

    @property
    def met(self) -> bool:
        """Whether the precision that was asked for was reached, or all networks were drawn."""
        precision = self.network.precision
        if precision is None:
            return self.networks >= self.network.networks
        return self.relative_error <= precision

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """What a reader should know."""
        return tuple(_caveats(self))


def infer(
    network: Network,
    samples: Iterable[Sampled],
    confidence: float = 0.95,
    *,
    infinite_width: bool = False,
) -> list[LayerResult]:
    """Return what at least two networks say of the theory, layer by layer, before a verdict.

    Args:
        network: What was asked.
        samples: What was measured.
        confidence: Level of the intervals.
        infinite_width: Whether theory leaves out its correction for finite width.
    """
    totals = StackTotals.empty(network.depth)
    for sample in samples:
        totals = totals.plus(sample)
    return StackStudy(network, confidence, infinite_width=infinite_width).rows(totals)


def activation_bins(network: Network) -> tuple[Bins, ...]:
    """Return where φ(h) is counted in every layer: over its bounds, or five root mean squares."""
    low, high = network.phi.bounds
    bins = []
    for theory in predict(network):
        reach = _HISTOGRAM_REACH * max(math.sqrt(theory.variance), network.phi.bounded or 1e-30)
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
    """

    question: Network
    confidence: float = 0.95
    histogram: bool = False
    infinite_width: bool = False

    minimum = MIN_NETWORKS
    """Replicates that an error bar needs."""

    @property
    def cost(self) -> int:
        """Weights that a replicate draws."""
        return sum(layer.fan_in * layer.fan_out for layer in self.question.layers)

    def prepare(self) -> None:
        """Load and check the activation and what makes W.

        Raises:
            InputError: One of them cannot be used.
        """
        verify_network(self.question)

    def empty(self) -> StackTotals:
        """Return the totals of no networks."""
        return StackTotals.empty(self.question.depth)

    def sample(self, index: int) -> Sampled:
        """Return what network ``index`` gives."""
        return sample_network(self.question, index, self._bins)

    def add(self, totals: StackTotals, sample: Sampled) -> StackTotals:
        """Return the totals with one more network."""
        return totals.plus(sample)

    def next_check(self, totals: StackTotals) -> int | None:
        """Return the number of networks at which to decide next, or None."""
        count, precision = totals.networks, self.question.precision
        if count < self.question.networks:
            return self.question.networks
        error = totals.worst_error
        if precision is None or error <= precision or count >= MAX_NETWORKS:
            return None
        growth = _MARGIN * (error / precision) ** 2
        return min(MAX_NETWORKS, math.ceil(count * growth))

    def rows(self, totals: StackTotals) -> list[LayerResult]:
        """Return a row for every layer."""
        network = self.question
        medians, median_networks = totals.typical()
        bins = None if totals.counts is None else activation_bins(network)
        made = network.initializer
        return [
            LayerResult(
                network, place + 1, theory, _layer_totals(network, totals, place),
                median=_finite(medians[place, 0]),
                gradient_median=_finite(medians[place, 1]) if network.backward else None,
                median_networks=median_networks,
                counts=None if totals.counts is None else tuple(totals.counts[place].tolist()),
                histogram=None if bins is None else bins[place],
                confidence=self.confidence,
                init_package=None if made is None else made.package,
            )
            for place, theory in enumerate(predict(network, infinite_width=self.infinite_width))
        ]  # fmt: skip

    def resume(self, rows: Sequence[LayerResult]) -> tuple[StackStudy, StackTotals | None, bool]:
        """Return how to continue from the rows of a file: what to measure, from which totals.

        Returns:
            The study; the totals that networks are added to, None where a layer is missing or the
            rows are of another package or without a histogram that is asked for; and whether the
            rows are all that was asked.
        """
        network = self.question
        by_layer = {row.layer: row for row in rows}
        made = None if network.initializer is None else network.initializer.package
        layers = [by_layer.get(place + 1) for place in range(network.depth)]
        known = [row for row in layers if row is not None and row.init_package == made]
        if len({row.networks for row in known}) != 1 or len(known) < network.depth:
            return self, None, False
        counted = all(row.counts is not None for row in known)
        if self.histogram and not counted:
            return self, None, False
        totals = _totals_of(network, known)
        return replace(self, histogram=counted), totals, self.next_check(totals) is None

    @cached_property
    def _bins(self) -> tuple[Bins, ...] | None:
        return activation_bins(self.question) if self.histogram else None


def _layer_totals(network: Network, totals: StackTotals, place: int) -> LayerTotals:
    means = [_finite(value) for value in totals.means[place]]
    known = dict(zip((*FIELDS, "within"), means, strict=True))
    if not network.phi.bounded:
        known["saturated"] = None
    if not network.phi.flat:
        known["dead"] = None
    if not network.backward:
        known["gradient_square"] = None
    square_m2, gradient_m2 = (
        None if known[name] is None else _finite(m2)
        for name, m2 in zip(("square", "gradient_square"), totals.m2[place], strict=True)
    )
    return LayerTotals(totals.networks, **known, square_m2=square_m2, gradient_m2=gradient_m2)


def _totals_of(network: Network, rows: Sequence[LayerResult]) -> StackTotals:
    """Return the totals that rows hold: NaN for what is not finite, 0 for what is not known."""

    def value(row: LayerResult, name: str) -> float:
        found = getattr(row.totals, name)
        if found is not None:
            return float(found)
        unknown = name in {"saturated", "dead"} or ("gradient" in name and not network.backward)
        return 0.0 if unknown else math.nan

    counts = None if rows[0].counts is None else np.array([row.counts for row in rows])
    medians = [[row.median, row.gradient_median] for row in rows]
    return StackTotals(
        rows[0].networks,
        np.array([[value(row, name) for name in (*FIELDS, "within")] for row in rows]),
        np.array([[value(row, name) for name in ("square_m2", "gradient_m2")] for row in rows]),
        counts,
        [],
        np.array([[math.nan if m is None else m for m in pair] for pair in medians]),
        rows[0].median_networks,
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _variance(m2: float | None, count: int) -> float | None:
    return None if m2 is None else m2 / (count - 1)


def _caveats(row: LayerResult) -> Iterator[Caveat]:
    network = row.network
    if row.empirical is None:
        yield Caveat(
            "overflow", f"{network.dtype} cannot hold what explodes here; take dtype float64"
        )
    if row.signals_are_heavy and row.median is not None:
        spread = max(row.spread_theory or 0.0, row.spread or 0.0)
        yield Caveat(
            "heavy-tails",
            f"a few networks carry the mean (relative variance between them {spread:.2g}), and its "
            f"error is rough; the typical network has {row.median:.3g}",
        )
    if row.gradients_are_heavy and row.gradient_median is not None:
        yield Caveat(
            "heavy-tailed-gradients",
            f"a few networks carry the mean gradient (relative variance between them "
            f"{row.gradient_spread:.2g}), so there is no verdict on it; the typical network has "
            f"{row.gradient_median:.3g}",
        )
    if network.backward and row.gradient_theory is None and row.layer == 1:
        yield Caveat(
            "no-theory",
            "batch norm mixes the gradients of a batch by how its inputs are correlated, for which "
            "there is no theory here: the cells below the top layer are empty",
        )
    if network.precision is None and not row.met:
        yield Caveat(
            "interrupted", f"the run ended after {row.networks:,} of {network.networks:,} networks"
        )
    if network.precision is not None and not row.met:
        yield Caveat(
            "precision-unmet",
            f"the relative standard error is {row.relative_error:.2g} after {row.networks:,} "
            f"networks, not {network.precision:g}",
        )
    if row.median_networks < row.networks:
        yield Caveat("median", f"the medians are of the last {row.median_networks:,} networks")


def _with_interval(estimate: Estimate | None, confidence: float) -> str:
    if estimate is None:
        return ""
    return with_error(estimate.value, estimate.half_width(confidence))


def _short(value: float) -> str:
    return significant(value, 4)


_MEANS = ("mean", "square", "activation_square", "saturated", "dead", "gradient_square", "within",
          "square_m2", "gradient_m2")  # fmt: skip


def _built(values: Mapping[str, Any]) -> LayerResult:
    asked = {name: values[name] for name in Network.__dataclass_fields__ if name in values}
    network = Network(**asked | {"networks": values["networks_asked"]})
    held_to = LayerTheory(
        values["theory"], values["theory_slack"], values["spread_theory"],
        values["gradient_theory"], values["gradient_slack"],
    )  # fmt: skip
    bins, counts = values["histogram"], values["counts"]
    if not 1 <= values["layer"] <= network.depth:
        raise InputError(f"invalid row: layer {values['layer']} of {network.depth}")
    if network.key != values["key"]:
        raise InputError(f"its key {values['key']:.8} is not that of its settings")
    totals = LayerTotals(**values["totals"])
    squares = (totals.square, totals.gradient_square, totals.activation_square, totals.within,
               totals.square_m2, totals.gradient_m2, held_to.variance_slack, held_to.gradient_slack,
               held_to.spread, values["median"], values["gradient_median"])  # fmt: skip
    shares = [share for share in (totals.saturated, totals.dead) if share is not None]
    if (
        not 0.0 < values["confidence"] < 1.0
        or totals.networks < 2
        or any(value < -1e-12 for value in squares if value is not None)
        or any(not 0.0 <= share <= 1.0 for share in shares)
    ):
        raise InputError("invalid row: a confidence, a variance or an error out of range")
    if (bins is None) != (counts is None) or (
        bins is not None
        and (not bins["width"] > 0.0 or len(counts) != bins["number"] + 2 or min(counts) < 0)
    ):
        raise InputError("invalid row: its histogram is not one")
    state = ("median", "gradient_median", "median_networks", "counts", "confidence", "varsim",
             "init_package", "agrees", "alpha")  # fmt: skip
    return LayerResult(
        network, values["layer"], held_to, totals,
        histogram=None if bins is None else Bins(**bins),
        **{name: values[name] for name in state},
    )  # fmt: skip


_FIELDS = (
    Field(name="varsim", type=f.text),
    Field(name="seed", type=f.whole, phrase="seed {}", always=True),
    Field(name="layer", type=f.whole, header="layer"),
    Field(name="depth", type=f.whole, derived=True),
    Field(name="fan_in", type=f.whole, derived=True),
    Field(name="width", type=f.whole, derived=True, header="width", drop_priority=4),
    Field(name="activation", type=f.text, phrase="{}", always=True),
    Field(name="scale", type=f.text, phrase="scale {}", always=True),
    Field(name="k", type=f.number, derived=True),
    Field(name="gain", type=f.number, optional=True, phrase="gain {}", show=significant,
          always=True),
    Field(name="bias_std", type=f.number, phrase="bias std {}", show=significant,
          usual=lambda n: n.bias_std == 0.0),
    Field(name="norm", type=f.text, phrase="{} norm", usual=lambda n: n.norm == "none"),
    Field(name="residual", type=f.number, optional=True, phrase="residual {}", show=significant,
          always=True),
    Field(name="x_dist", type=f.text, phrase="x {}", always=True,
          usual=lambda n: n.x_dist == "normal"),
    Field(name="w_dist", type=f.text, optional=True, phrase="W {}", always=True,
          usual=lambda n: n.w_dist == "normal"),
    Field(name="dtype", type=f.text, phrase="{}", always=True,
          usual=lambda n: n.dtype == "float32"),
    Field(name="batch", type=f.whole),
    Field(name="networks", type=f.whole, derived=True),
    Field(name="theory", type=f.number, header="Var[h] theory", show=_short),
    Field(name="theory_slack", type=f.number),
    Field(name="empirical", type=f.number, optional=True, derived=True,
          header="empirical ± {level}",
          cell=lambda row: _with_interval(row.forward, row.confidence)),
    Field(name="std_error", type=f.number, optional=True, derived=True),
    Field(name="z", type=f.number, optional=True, derived=True, tolerance=1e-6, header="z",
          show="{:+.2f}".format, drop_priority=6),
    Field(name="p", type=f.number, optional=True, derived=True, tolerance=1e-6),
    Field(name="within", type=f.number, optional=True, derived=True, header="within", show=_short,
          drop_priority=0),
    Field(name="median", type=f.number, optional=True, header="median", show=_short,
          drop_priority=1),
    Field(name="spread", type=f.number, optional=True, derived=True),
    Field(name="spread_theory", type=f.number, optional=True),
    Field(name="mean", type=f.number, optional=True, derived=True),
    Field(name="rms_activation", type=f.number, optional=True, derived=True, header="rms φ",
          show=_short, drop_priority=5),
    Field(name="saturated", type=f.number, optional=True, derived=True, header="saturated",
          show="{:.1%}".format, drop_priority=3),
    Field(name="dead", type=f.number, optional=True, derived=True, header="dead",
          show="{:.1%}".format, drop_priority=3),
    Field(name="gradient_theory", type=f.number, optional=True, header="Var[∂h] theory",
          show=_short),
    Field(name="gradient_slack", type=f.number),
    Field(name="gradient", type=f.number, optional=True, derived=True, header="∂h ± {level}",
          cell=lambda row: _with_interval(row.backward_estimate, row.confidence)),
    Field(name="gradient_std_error", type=f.number, optional=True, derived=True),
    Field(name="gradient_z", type=f.number, optional=True, derived=True, tolerance=1e-6,
          header="∂h z", show="{:+.2f}".format, drop_priority=6),
    Field(name="gradient_p", type=f.number, optional=True, derived=True, tolerance=1e-6),
    Field(name="gradient_median", type=f.number, optional=True),
    Field(name="agrees", type=f.truth, optional=True, header="verdict", numeric=False,
          cell=lambda row: VERDICTS[row.agrees]),
    CAVEATS,
    Field(name="confidence", type=f.number),
    Field(name="alpha", type=f.number, optional=True),
    Field(name="key", type=f.text),
    Field(name="histogram", type=f.mapping(low=f.number, width=f.number, number=f.whole),
          optional=True, plain=lambda bins: bins._asdict()),
    Field(name="counts", type=f.sequence(f.whole), optional=True, plain=list),
    Field(name="init", type=f.text, optional=True, phrase="init {}", always=True),
    Field(name="init_package", type=f.text, optional=True),
    Field(name="widths", type=f.sequence(f.whole), plain=list),
    Field(name="backward", type=f.truth),
    Field(name="networks_asked", type=f.whole),
    Field(name="precision", type=f.number, optional=True),
    Field(name="median_networks", type=f.whole),
    Field(
        name="totals",
        type=f.mapping(networks=f.whole, **dict.fromkeys(_MEANS, f.optional(f.number))),
        plain=lambda totals: totals._asdict(),
    ),
)  # fmt: skip

_SETTINGS = ("activation", "scale", "gain", "bias_std", "norm", "residual", "init", "x_dist",
             "w_dist", "dtype")  # fmt: skip

LAYERS = Schema(
    "layers of deep stacks",
    3,
    _FIELDS,
    _built,
    marker="layer",
    table=("layer", "width", "theory", "empirical", "z", "median", "within", "rms_activation",
           "saturated", "dead", "gradient_theory", "gradient", "gradient_z", "agrees"),
    settings=_SETTINGS,
    named_by=_SETTINGS[:7],
)  # fmt: skip
"""Rows of deep stacks."""

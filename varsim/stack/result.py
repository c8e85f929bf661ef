"""Rows of a deep stack, one per layer: totals, theory, and the columns computed from them."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, lru_cache
from itertools import groupby
from typing import Any

import numpy as np

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.scales import multiplier
from varsim.errors import InputError
from varsim.fields import STATE, Columns, RowBase, Schema, interval_text
from varsim.fields.rounding import exact, short
from varsim.fields.values import (
    BINS,
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    ValueType,
    mapping,
    optional,
    sequence,
)
from varsim.layer.result import SCHEME, ended_before_check, scale_text
from varsim.stack.question import Layer, Network
from varsim.stack.theory import LARGEST_SLACK, LayerTheory
from varsim.stack.totals import MOST_VALUES, VALUE_BYTES, LayerTotals, median
from varsim.statistics import Caveat, Estimate
from varsim.statistics.moments import Bins

# Below these a mean square has lost digits to underflow, of the values or of their squares.
_SMALLEST = {
    name: max(float(np.finfo(name).tiny) ** 2, float(np.finfo(float).tiny)) for name in FLOAT_TYPES
}

# Relative variance between networks above which a mean says little about the typical network.
HEAVY = 1.0

# Most runs of equal widths that are listed.
_MOST_RUNS = 4

_MEANS = ("mean", "square", "activation_square", "saturated", "dead", "product", "gradient_square",
          "within", "square_m2", "gradient_m2", "product_m2", "product_square")  # fmt: skip


def finite(value: float | None) -> float | None:
    """Return a value, or None if it is None or not finite."""
    return float(value) if value is not None and math.isfinite(value) else None


_MEAN = ValueType(optional(NUMBER).read, finite)

_DOUBLES = ValueType(
    lambda text: base64.b64decode(text.encode(), validate=True),
    lambda values: base64.b64encode(values).decode(),
)

_TOTALS = mapping(
    networks=WHOLE,
    **dict.fromkeys(_MEANS, _MEAN),
    squares=_DOUBLES,
    gradients=optional(_DOUBLES),
)

TOTALS: ValueType[LayerTotals] = ValueType(
    lambda value: LayerTotals(**_TOTALS.read(value)),
    lambda totals: _TOTALS.write(totals._asdict()),
)
"""The form of the totals of a layer in files: null for means that are not finite; single values of
networks in base64."""

_column: Columns[LayerResult] = Columns()


def _forward(row: LayerResult) -> Estimate | None:
    return row.forward


def _back(row: LayerResult) -> Estimate | None:
    return row.back


@dataclass(frozen=True, repr=False)
class LayerResult(RowBase):
    """The row of one layer of a stack: its question, totals, and the columns computed from them.

    Every field of :data:`LAYERS` is an attribute, and so is every setting of the network.

    Attributes:
        question: The network.
        layer: l, from 1 on.
        prediction: The prediction for the layer.
        totals: Running totals of the layer.
        next_check: Number of networks at the next decision of the stopping rule; None after its
            last decision.
        counts: Histogram of φ(h), with the counts beyond the ends first and last; None without one.
        histogram: Its bins, or None.
    """

    question: Network
    layer: int
    prediction: LayerTheory
    totals: LayerTotals
    _: KW_ONLY
    next_check: int | None = None
    counts: tuple[int, ...] | None = None
    histogram: Bins | None = None

    @property
    def place(self) -> int:
        """The layer."""
        return self.layer

    @property
    def weights(self) -> Layer:
        """The weight matrix below the layer."""
        return self.question.layers[self.layer - 1]

    @cached_property
    def forward(self) -> Estimate | None:
        """E h² with its error and its claim; None after an overflow."""
        theory, totals = self.prediction, self.totals
        expected = (theory.spread if theory.batch_spread is None else theory.batch_spread) or 0.0
        claim = self._testable(theory.variance), theory.variance_slack
        return _estimate(totals, (totals.square, totals.square_m2), claim, expected)

    @cached_property
    def back(self) -> Estimate | None:
        """E (∂h)² with its error and its claim; None without the backward pass."""
        theory, totals = self.prediction, self.totals
        measured = totals.gradient_square, totals.gradient_m2
        claim = self._testable(theory.gradient), theory.gradient_slack
        return _estimate(totals, measured, claim, theory.gradient_spread or 0.0)

    @cached_property
    def pairs(self) -> Estimate | None:
        """corr[h], E h h′ / E h², with its error and its claim; None without correlated inputs.

        Equal inputs have none, either: they stay equal.
        """
        totals, theory, value = self.totals, self.prediction, self.output_correlation
        if value is None or not 0.0 < self.question.correlation < 1.0:
            return None
        std_error, slack = totals.ratio_error(value), theory.correlation_slack
        tested = slack is not None and std_error > 0.0 and totals.square >= self._smallest
        return Estimate(
            value=value,
            std_error=std_error,
            dof=totals.networks - 1,
            claim=theory.correlation if tested else None,
            slack=slack or 0.0,
            expected_error=math.sqrt((theory.correlation_spread or 0.0) / totals.networks),
        )

    def _testable(self, claim: float | None) -> float | None:
        """Return a claim, or None if such values lose digits to underflow."""
        return None if claim is not None and claim < self._smallest else claim

    @property
    def _smallest(self) -> float:
        return _SMALLEST[self.question.dtype]

    @cached_property
    def median(self) -> float | None:
        """Median over networks of the mean square of h; None after an overflow."""
        return finite(median(self.totals.squares))

    @cached_property
    def gradient_median(self) -> float | None:
        """The same for ∂h; None without the backward pass."""
        values = self.totals.gradients
        return None if values is None else finite(median(values))

    @property
    def underflows(self) -> bool:
        """Whether a measured mean square is below the full precision of floats."""
        return self._is_below(self.forward, self.prediction.variance) or self._is_below(
            self.back, self.prediction.gradient
        )

    def _is_below(self, measured: Estimate | None, theory: float | None) -> bool:
        if measured is None or measured.value >= self._smallest:
            return False
        if theory is None:
            return measured.value > 0.0  # dead units have a mean of 0
        return theory < self._smallest

    @property
    def replicates(self) -> int:
        """Number of networks."""
        return self.totals.networks

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The estimates that the verdict tests; no mean gradient that a few networks carry."""
        back = None if self.gradients_are_heavy else self.back
        every = self.forward, back, self.pairs
        return tuple(estimate for estimate in every if estimate is not None)

    @property
    def variances(self) -> tuple[Estimate, ...]:
        """The estimates of signals and gradients; those of correlations are none of variances."""
        return tuple(estimate for estimate in self.estimates if estimate is not self.pairs)

    @property
    def gradient_spread(self) -> float | None:
        """Relative variance of the mean square of ∂h between networks."""
        return finite(self.totals.gradient_m2 / (self.totals.networks - 1))

    @property
    def signals_are_heavy(self) -> bool:
        """Whether a few networks carry the mean of h²."""
        return max(self.prediction.spread or 0.0, self.spread or 0.0) > HEAVY

    @property
    def gradients_are_heavy(self) -> bool:
        """Whether a few networks carry the mean gradient."""
        return self._largest_spread > HEAVY

    @property
    def _largest_spread(self) -> float:
        """The larger of the measured and the expected spread of gradients."""
        return max(self.prediction.gradient_spread or 0.0, self.gradient_spread or 0.0)

    @property
    def relative_error(self) -> float:
        """The larger relative standard error of forward and backward; 0 if neither is measured."""
        known = (self.forward, self.back)
        return max((each.relative_error for each in known if each is not None), default=0.0)

    @property
    def met(self) -> bool:
        """Whether the precision is reached; without one, whether all networks are drawn."""
        precision = self.question.precision
        if precision is None:
            return self.totals.networks >= self.question.networks
        return self.relative_error <= precision

    @property
    def lacks_theory(self) -> bool:
        """Whether a cell of theory is empty."""
        unknown = self.prediction.gradient is None and self.question.backward
        return unknown or self.prediction.variance is None

    @property
    def is_loose(self) -> bool:
        """Whether theory has a larger allowance, since the law of the weights is unknown."""
        slack = max(self.prediction.variance_slack, self.prediction.gradient_slack)
        if self.question.init is None or self.question.norm == "batch":
            return False
        return slack > (LARGEST_SLACK if self.agrees is False else 3 * LARGEST_SLACK)

    @cached_property
    def caveats(self) -> tuple[Caveat, ...]:
        """The caveats of the row."""
        return (*self.pooling(), *self.weakness("networks"), *_caveats(self))

    # fmt: off
    _layer = _column(
        WHOLE, "l, from 1 on.", lambda r: r.layer, name="layer", stored=True, header="layer",
        axis="layer")
    depth = _column(
        WHOLE, "L, the number of layers.", lambda r: r.question.depth, phrase="{}",
        show=lambda depth: f"{depth} layer{'s' * (depth > 1)}")
    fan_in = _column(
        WHOLE, "Width of the layer before, or of the input.", lambda r: r.weights.fan_in)
    width = _column(
        WHOLE, "Number of units.", lambda r: r.weights.fan_out, header="width", drop_priority=4)
    widths = _column(
        sequence(WHOLE), "Widths of the input and of all layers.", lambda r: r.question.widths,
        stored=True, phrase="{}", show=lambda widths: _in_runs(widths))
    activation = _column(
        TEXT, "φ.", lambda r: r.question.activation, stored=True, phrase="{}",
        always_in_caption=True)
    scale = _column(
        SCHEME, "The scheme, as it was asked for.", lambda r: r.question.scale, stored=True,
        phrase="scale {}", show=scale_text, always_in_caption=True)
    k = _column(NUMBER, "The divisor of W.", lambda r: r.weights.k)
    gain = _column(
        optional(NUMBER), "g; empty where the scheme has none.", lambda r: r.question.g,
        stored=True, phrase="gain {}", show=exact, always_in_caption=True)
    bias_std = _column(
        NUMBER, "Standard deviation of the biases.", lambda r: r.question.bias_std, stored=True,
        phrase="bias std {}", show=exact, is_default=lambda r: r.question.bias_std == 0.0)
    norm = _column(
        TEXT, "What is normalised before φ.", lambda r: r.question.norm, stored=True,
        phrase="{} norm", is_default=lambda r: r.question.norm == "none")
    residual = _column(
        optional(NUMBER), "Factor on every branch; empty in a plain stack.",
        lambda r: r.question.residual, stored=True, phrase="residual {}", show=exact,
        always_in_caption=True)
    init = _column(
        optional(TEXT), "The initializer that made the weights, with its arguments.",
        lambda r: r.question.init, stored=True, phrase="init {}", always_in_caption=True)
    x_dist = _column(
        TEXT, "Distribution of the inputs' entries.", lambda r: r.question.x_dist, stored=True,
        phrase="x {}", always_in_caption=True, is_default=lambda r: r.question.x_dist == "normal")
    correlation = _column(
        NUMBER, "Correlation between each two inputs of a batch.", lambda r: r.question.correlation,
        stored=True, phrase="correlation {}", show=exact,
        is_default=lambda r: r.question.correlation == 0.0)
    w_dist = _column(
        optional(TEXT), "Distribution of the weights' entries; empty with an initializer.",
        lambda r: r.question.w_dist, stored=True, phrase="W {}", always_in_caption=True,
        is_default=lambda r: r.question.w_dist == "normal")
    dtype = _column(
        TEXT, "Floating-point type of draws and products.", lambda r: r.question.dtype, stored=True,
        phrase="{}", always_in_caption=True, is_default=lambda r: r.question.dtype == "float32")
    batch = _column(
        WHOLE, "Inputs per network.", lambda r: r.question.batch, stored=True, phrase="batch {}",
        show="{:,}".format)
    backward = _column(
        TRUTH, "Whether gradients were followed.", lambda r: r.question.backward, stored=True)
    seed = _column(
        WHOLE, "Root of all random streams.", lambda r: r.question.seed, stored=True,
        phrase="seed {}")
    networks_asked = _column(
        WHOLE, "Number of networks asked for; with a precision, at first.",
        lambda r: r.question.networks, stored=True)
    precision = _column(
        optional(NUMBER), "Relative standard error that was asked for.",
        lambda r: r.question.precision, stored=True)
    networks = _column(
        WHOLE, "Number of networks.", lambda r: r.totals.networks, phrase="{} networks",
        show="{:,}".format)
    theory = _column(
        optional(NUMBER), "E h² by theory; empty where varsim does not know it.",
        lambda r: r.prediction.variance, stored=True, header="Var[h] theory", measured=_forward,
        show=short)
    theory_slack = _column(
        NUMBER, "Relative allowance for what theory leaves out.",
        lambda r: r.prediction.variance_slack, stored=True)
    empirical = _column(
        optional(NUMBER), "Mean of h² over everything: the variance, as E h is 0.",
        lambda r: finite(r.totals.square), header="empirical ± {level}", measured=_forward,
        interval=True, axis="Var[h]")
    std = _column(
        optional(NUMBER), "Root of empirical.",
        lambda r: None if r.forward is None else r.forward.root.value, header="std ± {level}",
        measured=lambda r: r.forward and r.forward.root, interval=True, axis="rms h")
    std_error = _column(
        optional(NUMBER), "Standard error of empirical, from the spread between networks.",
        lambda r: None if r.forward is None else r.forward.std_error)
    z = _column(
        optional(NUMBER),
        "Difference from theory, beyond the allowance, in standard errors: the measured one, or "
        "that by theory if it is larger.",
        lambda r: None if r.forward is None else r.forward.joint_z, header="z",
        show="{:+.2f}".format, drop_priority=6)
    p = _column(
        optional(NUMBER),
        "Two-sided probability of a difference at least as far beyond the allowance; of this row "
        "alone.",
        lambda r: None if r.forward is None else r.forward.joint_p)
    within = _column(
        optional(NUMBER),
        "Variance over units and inputs within one network, averaged over networks.",
        lambda r: finite(r.totals.within), header="within", measured=_forward, show=short,
        drop_priority=0)
    _median = _column(
        optional(NUMBER), "empirical of the typical network: the median.", lambda r: r.median,
        name="median", header="median", measured=_forward, show=short, drop_priority=1)
    spread = _column(
        optional(NUMBER), "Relative variance of empirical between networks.",
        lambda r: finite(r.totals.square_m2 / (r.totals.networks - 1)))
    spread_theory = _column(
        optional(NUMBER), "The same by theory, for one input.", lambda r: r.prediction.spread,
        stored=True)
    batch_spread_theory = _column(
        optional(NUMBER), "spread_theory of the mean over a batch.",
        lambda r: r.prediction.batch_spread, stored=True)
    mean = _column(optional(NUMBER), "Mean of h.", lambda r: finite(r.totals.mean))
    rms_activation = _column(
        optional(NUMBER), "Root mean square of φ(h).",
        lambda r: finite(math.sqrt(r.totals.activation_square)), header="rms φ", show=short,
        drop_priority=5)
    saturated = _column(
        optional(NUMBER), "Share of units near a bound of φ.", lambda r: finite(r.totals.saturated),
        header="saturated", show="{:.1%}".format, drop_priority=3)
    dead = _column(
        optional(NUMBER), "Share of units with φ′ = 0.", lambda r: finite(r.totals.dead),
        header="dead", show="{:.1%}".format, drop_priority=3)
    correlation_theory = _column(
        optional(NUMBER),
        "Correlation of h between two inputs of a batch by theory: E h h′ / E h².",
        lambda r: r.prediction.correlation, stored=True, header="corr[h] theory",
        cell=lambda r: _where_correlated(r, r.prediction.correlation), drop_priority=7)
    correlation_slack = _column(
        optional(NUMBER),
        "Relative allowance for what that leaves out; empty where it is that of infinite width, "
        "and there is no verdict.", lambda r: r.prediction.correlation_slack, stored=True)
    correlation_spread_theory = _column(
        optional(NUMBER),
        "Variance of the batch's (mean h h′ - corr[h] · mean h²) / E h² between networks by "
        "theory.", lambda r: r.prediction.correlation_spread, stored=True)
    output_correlation = _column(
        optional(NUMBER), "The same, measured; empty for one input.",
        lambda r: _output_correlation(r.totals), header="corr[h] ± {level}", axis="corr[h]",
        cell=lambda r: _correlation(r), drop_priority=7)
    correlation_std_error = _column(
        optional(NUMBER), "Standard error of output_correlation.",
        lambda r: None if r.pairs is None else r.pairs.std_error)
    correlation_z = _column(
        optional(NUMBER), "As z.", lambda r: None if r.pairs is None else r.pairs.joint_z,
        header="corr z", show="{:+.2f}".format, drop_priority=6)
    correlation_p = _column(
        optional(NUMBER), "As p.", lambda r: None if r.pairs is None else r.pairs.joint_p)
    chi = _column(
        optional(NUMBER), "χ⊥: by how much squared gradients grow from the next layer to this one "
        "at infinite width and equal widths; empty on top.", lambda r: r.prediction.chi,
        stored=True, header="χ⊥", cell=lambda r: _where_correlated(r, r.prediction.chi),
        drop_priority=7)
    gradient_theory = _column(
        optional(NUMBER), "E (∂h)² by theory, from a cotangent of variance 1 on top.",
        lambda r: r.prediction.gradient if r.question.backward else None, stored=True,
        header="Var[∂h] theory", measured=_back, show=short)
    gradient_slack = _column(
        NUMBER, "Relative allowance for what that leaves out.",
        lambda r: r.prediction.gradient_slack, stored=True)
    gradient = _column(
        optional(NUMBER), "Mean of (∂h)²; empty where gradients are not followed.",
        lambda r: finite(r.totals.gradient_square), header="∂h ± {level}", measured=_back,
        interval=True, axis="Var[∂h]")
    gradient_spread_theory = _column(
        optional(NUMBER), "Relative variance of gradient between networks by theory.",
        lambda r: r.prediction.gradient_spread, stored=True)
    gradient_std_error = _column(
        optional(NUMBER), "Standard error of gradient.",
        lambda r: None if r.back is None else r.back.std_error)
    gradient_z = _column(
        optional(NUMBER), "As z; empty where a few networks carry the mean.",
        lambda r: None if r.back is None or r.gradients_are_heavy else r.back.joint_z,
        header="∂h z", show="{:+.2f}".format, drop_priority=6)
    gradient_p = _column(
        optional(NUMBER), "As p; empty where a few networks carry the mean.",
        lambda r: None if r.back is None or r.gradients_are_heavy else r.back.joint_p)
    _gradient_median = _column(
        optional(NUMBER), "gradient of the typical network.", lambda r: r.gradient_median,
        name="gradient_median")
    theory_gap = _column(
        optional(TEXT), "Why a cell of theory is empty.", lambda r: r.prediction.gap, stored=True)
    _histogram = _column(
        optional(BINS), "The bins of φ(h).", lambda r: r.histogram, name="histogram", stored=True)
    _counts = _column(
        optional(sequence(WHOLE)), "How often, those beyond the ends first and last.",
        lambda r: r.counts, name="counts", stored=True)
    _next_check = _column(
        optional(WHOLE), "Number of networks at which the stopping rule decides next.",
        lambda r: r.next_check, name="next_check", stored=True)
    _totals = _column(
        TOTALS,
        "The running totals, from which the measured values follow; more networks can be added.",
        lambda r: r.totals, name="totals", stored=True)
    # fmt: on


def _estimate(
    totals: LayerTotals,
    measured: tuple[float | None, float],
    claimed: tuple[float | None, float],
    expected: float = 0.0,
) -> Estimate | None:
    """Return a mean with its error and its claim; None after an overflow.

    Args:
        totals: Running totals of the layer.
        measured: The mean, and the relative sum of squares about it.
        claimed: The claim, and its relative allowance.
        expected: Relative variance between networks by theory.
    """
    (mean, m2), (theory, slack) = measured, claimed
    if mean is None or not math.isfinite(mean):
        return None
    std_error = totals.relative_error(m2) * mean
    # Without any spread, rare networks may carry the mean.
    claim = theory if std_error or expected else None
    error = 0.0 if claim is None else claim * math.sqrt(expected / totals.networks)
    return Estimate(
        value=mean, std_error=std_error, dof=totals.networks - 1, claim=claim, slack=slack,
        expected_error=error,
    )  # fmt: skip


def _caveats(row: LayerResult) -> Iterator[Caveat]:
    network = row.question
    yield from _caveat_of_scale(row)
    wider, values, gradients = "; take dtype float64", "values", "gradients"
    if network.dtype == "float64":  # squares are of this type, and overflow first
        wider, values, gradients = "", "squares of the values", "squares of gradients"
    if row.forward is None:
        yield Caveat(
            "overflow",
            f"{network.activation} gives values that are not finite, or that overflow "
            f"{network.dtype} further up"
            if ":" in network.activation
            else f"the {values} overflow {network.dtype}{wider}",
        )
    elif row.back is None and network.backward:
        yield Caveat(
            "overflow",
            f"{gradients} overflow {network.dtype}, or signals above them do{wider}",
        )
    if row.underflows:
        yield Caveat("underflow", f"the values fall below what {network.dtype} holds{wider}")
    if row.signals_are_heavy and row.median is not None:
        spread = max(row.prediction.spread or 0.0, row.spread or 0.0)
        yield Caveat(
            "heavy-tails",
            f"a few networks carry the mean (relative variance between them {spread:.2g}), so its "
            f"error is rough; the typical network has {row.median:.3g}",
        )
    if row.gradients_are_heavy and row.gradient_median is not None:
        yield Caveat(
            "heavy-tailed-gradients",
            f"a few networks carry the mean gradient (relative variance between them "
            f"{row._largest_spread:.2g}), so there is no verdict on it; the typical network has "
            f"{row.gradient_median:.3g}",
        )
    yield from _caveats_of_theory(row)
    yield from _caveats_of_run(row)


def _caveats_of_run(row: LayerResult) -> Iterator[Caveat]:
    network = row.question
    if network.precision is None and not row.met:
        yield Caveat(
            "interrupted", f"the run ended after {row.networks:,} of {network.networks:,} networks"
        )
    if network.precision is not None and row.next_check is not None and row.met:
        yield ended_before_check(row.networks, row.next_check, "networks")
    if network.precision is not None and not row.met:
        error = row.relative_error
        needed = row.networks * (error / network.precision) ** 2
        yield Caveat(
            "precision-unmet",
            f"the relative standard error is {100 * error:.3g}% after {row.networks:,} networks, "
            f"not {100 * network.precision:.3g}% as asked; that needs about "
            f"{float(f'{needed:.2g}'):,.0f} networks",
        )


def _caveat_of_scale(row: LayerResult) -> Iterator[Caveat]:
    scale = row.question.scale
    if row.layer == 1 and (times := multiplier(scale)) is not None:
        yield Caveat(
            "small-divisor",
            f"k = {scale} multiplies W by {times:.4g}; for W × {scale} write --scale {times:.6g}",
        )


def _caveats_of_theory(row: LayerResult) -> Iterator[Caveat]:
    theory = row.prediction
    if theory.gap is not None and row.lacks_theory:
        yield Caveat("no-theory", theory.gap)
    if row.is_loose:
        slack = max(theory.variance_slack, theory.gradient_slack)
        yield Caveat(
            "unknown-law",
            "the law of the weights is unknown: theory takes it as free of skewness and of heavy "
            f"tails, and allows {slack:.1%}, so a verdict finds only larger errors",
        )
    if (
        row.pairs is not None
        and theory.correlation is not None
        and theory.correlation_slack is None
    ):
        yield Caveat(
            "limit-correlation",
            "theory of corr[h] is that of infinite width, and there is no verdict on it",
        )


def _in_runs(widths: Sequence[int]) -> str:
    """Return widths in words: every run of equal widths, or a range if there are many."""
    runs = [(width, len(list(run))) for width, run in groupby(widths)]
    if len(runs) == 1:
        return f"width {widths[0]}"
    if len(runs) > _MOST_RUNS:
        return f"widths {min(widths):,} to {max(widths):,}"
    return "widths " + "-".join(f"{w}×{count}" if count > 1 else str(w) for w, count in runs)


def _output_correlation(totals: LayerTotals) -> float | None:
    product, square = totals.product, totals.square
    return finite(product / square) if product is not None and square else None


def _where_correlated(row: LayerResult, value: float | None) -> str:
    """Return the cell of a value that tables show only for correlated inputs."""
    return "" if value is None or not row.question.correlation else f"{value:.4f}"


def _correlation(row: LayerResult) -> str:
    """Return the cell of corr[h]."""
    if row.pairs is None:
        return _where_correlated(row, row.output_correlation)
    return interval_text(row.pairs, row.confidence)


@lru_cache(maxsize=16)
def _network(settings: tuple[Any, ...]) -> Network:
    """Return the network of a row, the same object for all layers of a stack."""
    return Network(**dict(zip(Network.__dataclass_fields__, settings, strict=True)))


def _totals(network: Network, totals: LayerTotals) -> LayerTotals:
    """Return the totals of a file: null is NaN, except for values that the network lacks."""
    unknown = {"saturated", "dead"}
    unknown |= {"gradient_square"} if not network.backward else set()
    unknown |= {"product"} if network.batch == 1 else set()
    values = totals._asdict()
    lost = {name: math.nan for name in _MEANS if values[name] is None and name not in unknown}
    return LayerTotals(**values | lost)


def _built(values: Mapping[str, Any]) -> LayerResult:
    names = ("networks_asked" if n == "networks" else n for n in Network.__dataclass_fields__)
    network = _network(tuple(values[name] for name in names))
    prediction = LayerTheory(
        values["theory"], values["theory_slack"], values["spread_theory"],
        values["gradient_theory"], values["gradient_slack"],
        values["batch_spread_theory"], values["gradient_spread_theory"], values["theory_gap"],
        values["correlation_theory"], values["correlation_slack"],
        values["correlation_spread_theory"], values["chi"],
    )  # fmt: skip
    bins, counts = values["histogram"], values["counts"]
    if not 1 <= values["layer"] <= network.depth:
        raise InputError(f"invalid row: layer {values['layer']} of {network.depth}")
    totals = _totals(network, values["totals"])
    squares = (totals.square, totals.gradient_square, totals.activation_square, totals.within,
               totals.square_m2, totals.gradient_m2, totals.product_m2, prediction.variance_slack,
               prediction.gradient_slack, prediction.spread, prediction.batch_spread,
               prediction.gradient_spread, prediction.correlation_slack,
               prediction.correlation_spread)  # fmt: skip
    shares = [share for share in (totals.saturated, totals.dead) if share is not None]
    length = min(totals.networks, MOST_VALUES) * VALUE_BYTES
    gradients = totals.gradients if network.backward else bytes(length)
    if (
        totals.networks < 2
        or any(value < 0.0 for value in squares if value is not None)
        or any(not 0.0 <= share <= 1.0 for share in shares)
        or (values["next_check"] or 0) < 0
        or not len(totals.squares) == len(gradients or b"") == length
    ):
        raise InputError("invalid row: too few networks, a value too few, or one out of range")
    if (bins is None) != (counts is None) or (
        bins is not None
        and (not bins.width > 0.0 or len(counts) != bins.number + 2 or min(counts) < 0)
    ):
        raise InputError("invalid row: its histogram is not one")
    stored = ("next_check", "counts", *STATE)
    return LayerResult(
        network, values["layer"], prediction, totals,
        histogram=bins, **{name: values[name] for name in stored},
    )  # fmt: skip


_SETTINGS = ("activation", "scale", "gain", "bias_std", "norm", "residual", "init", "x_dist",
             "correlation", "w_dist", "dtype")  # fmt: skip

LAYERS = Schema(
    "stack",
    "layers of deep stacks",
    LayerResult,
    _built,
    table=("layer", "width", "theory", "empirical", "z", "median", "within", "rms_activation",
           "saturated", "dead", "correlation_theory", "output_correlation",
           "correlation_z", "chi",
           "gradient_theory", "gradient", "gradient_z", "agrees"),
    settings=_SETTINGS,
    named_by=_SETTINGS[:7],
    brief=(("layer", "layer"), ("", "empirical"), ("theory", "theory"), ("gradient", "gradient"),
           ("theory", "gradient_theory"), ("", "agrees")),
    member="layer",
)  # fmt: skip
"""The fields of a deep stack's rows."""

"""Inference for deep stacks: measured layers against theory. The networks are the replicates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from varsim._version import __version__
from varsim.compute import threads
from varsim.layer.inference import check_probability, check_workers, holm, package_of
from varsim.stack.network import Network
from varsim.stack.sampling import FIELDS, Sampled, stream
from varsim.stack.theory import LayerTheory, predict
from varsim.statistics import Caveat, student
from varsim.statistics.moments import Bins

SCHEMA = 2
"""Number of the schema of :class:`LayerResult`; raised whenever its fields change."""

# Relative variance between networks above which their mean says little of a typical one.
_HEAVY = 1.0

# With a precision: how many more networks than measured to be needed are taken, and the most.
_MARGIN = 1.2
MAX_NETWORKS = 100_000

_HISTOGRAM_REACH, _HISTOGRAM_BINS = 5.0, 100


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """What came out of one layer. Its fields, in this order, are the machine formats' schema.

    Attributes:
        schema: Number of this schema.
        varsim: Version of varsim.
        seed: Root of all random streams.
        layer: l, from 1 on.
        depth: L.
        fan_in: Width of the layer before, or of the input.
        width: Number of units.
        activation: φ.
        scale: The scheme, as it was asked for.
        k: The divisor of W.
        gain: g, or None where the scheme has none.
        bias_std: Standard deviation of the biases.
        norm: What is normalised before φ.
        residual: Factor on every branch; None in a plain stack.
        x: Distribution of the inputs' entries.
        w: Distribution of the weights' entries; None with an initializer.
        dtype: Floating-point type of draws and products.
        batch: Inputs a network.
        networks: Number of networks.
        theory: E h² by theory.
        theory_slack: Relative allowance for what theory leaves out.
        empirical: Mean of h² over everything; its mean is 0, so it is the variance.
        std_error: Standard error of ``empirical``, from the spread between networks.
        z: Difference from theory in standard errors.
        p: Two-sided probability of a difference so far beyond the allowance; of this row alone.
        within: Variance over units and inputs within one network, averaged over networks.
        median: ``empirical`` of the typical network: the median.
        spread: Relative variance of ``empirical`` between networks.
        spread_theory: The same by theory, for one input; None where it is not known.
        mean: Mean of h.
        rms_activation: Root mean square of φ(h).
        saturated: Share of units near a bound of φ; None where φ is not bounded.
        dead: Share of units with φ′ = 0; None where φ has no flat part.
        gradient_theory: E (∂h)² by theory, from a cotangent of variance 1 on top; None where it
            is not known.
        gradient_slack: Relative allowance for what that leaves out.
        gradient: Mean of (∂h)²; None where gradients are not followed.
        gradient_std_error: Standard error of ``gradient``.
        gradient_z: Difference from theory in standard errors.
        gradient_p: As ``p``; None where a few networks carry the mean.
        gradient_median: ``gradient`` of the typical network.
        agrees: The verdict on both, Holm-adjusted over the table at ``alpha``.
        caveats: What a reader should know.
        confidence: Level of the intervals of a table for people.
        alpha: False-alarm rate that all verdicts of the table share.
        key: What was measured, without seed and number of networks.
        histogram: Where φ(h) was counted, or None.
        counts: How often, those beyond the ends first and last; None without.
        init: The initializer that made the weights, with its arguments; or None.
        init_package: The package that it is of, with its version, where that is known; or None.
    """

    schema: int = SCHEMA
    varsim: str = __version__
    seed: int
    layer: int
    depth: int
    fan_in: int
    width: int
    activation: str
    scale: str
    k: float
    gain: float | None
    bias_std: float
    norm: str
    residual: float | None
    x: str
    w: str | None
    dtype: str
    batch: int
    networks: int
    theory: float
    theory_slack: float
    empirical: float | None
    std_error: float | None
    z: float | None
    p: float | None
    within: float | None
    median: float | None
    spread: float | None
    spread_theory: float | None
    mean: float | None
    rms_activation: float | None
    saturated: float | None
    dead: float | None
    gradient_theory: float | None
    gradient_slack: float
    gradient: float | None
    gradient_std_error: float | None
    gradient_z: float | None
    gradient_p: float | None
    gradient_median: float | None
    agrees: bool | None = None
    caveats: tuple[Caveat, ...]
    confidence: float
    alpha: float | None = None
    key: str
    histogram: Bins | None
    counts: tuple[int, ...] | None
    init: str | None
    init_package: str | None


def simulate_layers(
    network: Network,
    *,
    workers: int | None = None,
    confidence: float = 0.95,
    alpha: float = 0.001,
    infinite_width: bool = False,
) -> list[LayerResult]:
    """Sample a deep stack and compare every layer with theory.

    Args:
        network: What to sample.
        workers: Number of threads; as many as there are CPUs by default. The result is the same
            for any number.
        confidence: Level of the intervals.
        alpha: False-alarm rate that all verdicts share.
        infinite_width: Whether theory leaves out its correction for finite width.

    Raises:
        InputError: ``workers``, ``confidence`` or ``alpha`` is not allowed.

    >>> rows = simulate_layers(Network(widths=(64,) * 6, activation="relu", scale="he"))
    >>> [round(row.theory, 12) for row in rows], all(row.agrees for row in rows)
    ([2.0, 2.0, 2.0, 2.0, 2.0], True)
    """
    check_probability("confidence", confidence)
    check_probability("alpha", alpha)
    with threads(check_workers(workers)) as mapper:
        rows = infer(network, stream(network, mapper), confidence, infinite_width=infinite_width)
    return judge(rows, alpha)


def measure(
    network: Network,
    samples_at: Callable[[range], Iterable[Sampled]],
    precision: float | None = None,
) -> Iterator[list[Sampled]]:
    """Yield what there is at every look; the last is what was measured.

    Args:
        network: What is asked; with a precision, the networks to begin with.
        samples_at: Gives the networks with the indices in a range, in order.
        precision: Relative standard error that every layer is to have, forward and backward.
    """
    samples: list[Sampled] = []
    needed = network.networks
    while needed > len(samples):
        samples += samples_at(range(len(samples), needed))
        yield samples
        error = worst_error(samples)
        if precision is not None and error > precision:
            growth = _MARGIN * (error / precision) ** 2
            needed = min(MAX_NETWORKS, math.ceil(len(samples) * growth))


def worst_error(samples: Sequence[Sampled]) -> float:
    """Return the largest relative standard error of any layer, forward or backward."""
    columns = [FIELDS.index("square"), FIELDS.index("gradient_square")]
    values = np.stack([sample.moments[:, columns] for sample in samples])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative = values / values.mean(axis=0)
        errors = relative.std(axis=0, ddof=1) / math.sqrt(len(samples))
    return float(np.nanmax(errors, initial=0.0))


def infer(
    network: Network,
    samples: Iterable[Sampled],
    confidence: float = 0.95,
    *,
    infinite_width: bool = False,
) -> list[LayerResult]:
    """Return what networks say of the theory, layer by layer, before a verdict.

    Args:
        network: What was asked.
        samples: What was measured: at least two networks.
        confidence: Level of the intervals.
        infinite_width: Whether theory leaves out its correction for finite width.
    """
    all_moments, counts = [], None
    for sample in samples:
        all_moments.append(sample.moments)
        if sample.counts is not None:
            one = np.array(sample.counts)
            counts = one if counts is None else counts + one
    moments = np.stack(all_moments)  # networks x layers x fields
    bins = None if counts is None else activation_bins(network)
    return [
        replace(
            _row(network, place, theory, moments[:, place], confidence),
            histogram=None if bins is None else bins[place],
            counts=None if counts is None else tuple(counts[place].tolist()),
        )
        for place, theory in enumerate(predict(network, infinite_width=infinite_width))
    ]


def judge(rows: Sequence[LayerResult], alpha: float = 0.001) -> list[LayerResult]:
    """Return rows with their verdicts, which share one false-alarm rate, by Holm."""
    p_values = [(row.p, row.gradient_p) for row in rows]
    known = [p for pair in p_values for p in pair if p is not None]
    alarms = iter(holm(known, alpha))
    verdicts = [[next(alarms) for p in pair if p is not None] for pair in p_values]
    return [
        replace(row, agrees=not any(verdict) if verdict else None, alpha=alpha)
        for row, verdict in zip(rows, verdicts, strict=True)
    ]


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


def _row(
    network: Network,
    place: int,
    theory: LayerTheory,
    moments: NDArray[np.float64],
    confidence: float,
) -> LayerResult:
    field = {name: moments[:, i] for i, name in enumerate(FIELDS)}
    layer = network.layers[place]
    forward = _forward(field["square"], theory)
    backward = _backward(field["gradient_square"], theory) if network.backward else _Measured()
    with np.errstate(over="ignore", invalid="ignore"):  # after an explosion both are infinite
        within = _mean(field["square"] - field["mean"] ** 2)
    squares = _mean(field["activation_square"])
    return LayerResult(
        seed=network.seed,
        layer=place + 1,
        depth=network.depth,
        fan_in=layer.fan_in,
        width=layer.fan_out,
        activation=network.activation,
        scale=network.scale,
        k=layer.k,
        gain=network.g,
        bias_std=network.bias_std,
        norm=network.norm,
        residual=network.residual,
        x=network.x,
        w=network.w if network.init is None else None,
        dtype=network.dtype,
        batch=network.batch,
        networks=len(moments),
        theory=theory.variance,
        theory_slack=theory.variance_slack,
        empirical=forward.mean,
        std_error=forward.std_error,
        z=forward.z,
        p=forward.p,
        within=within,
        median=forward.median,
        spread=forward.spread,
        spread_theory=theory.spread,
        mean=_mean(field["mean"]),
        rms_activation=None if squares is None else math.sqrt(squares),
        saturated=_mean(field["saturated"]) if network.phi.bounded else None,
        dead=_mean(field["dead"]) if network.phi.flat else None,
        gradient_theory=theory.gradient if network.backward else None,
        gradient_slack=theory.gradient_slack,
        gradient=backward.mean,
        gradient_std_error=backward.std_error,
        gradient_z=backward.z,
        gradient_p=backward.p,
        gradient_median=backward.median,
        caveats=tuple(_caveats(network, place, theory, forward, backward)),
        confidence=confidence,
        key=network.key,
        histogram=None,
        counts=None,
        init=network.init,
        init_package=package_of(network.init),
    )


@dataclass(frozen=True)
class _Measured:
    """A mean over networks against theory; None for all that is not known."""

    mean: float | None = None
    std_error: float | None = None
    median: float | None = None
    spread: float | None = None
    z: float | None = None
    p: float | None = None

    @classmethod
    def of(
        cls, values: NDArray[np.float64], theory: float | None, slack: float, expected: float = 0.0
    ) -> _Measured:
        """Return what networks say of a value, and how far beyond the allowance it is.

        As for a single layer, the p-value is the larger of two: by the measured error, and by the
        one expected of that relative variance between networks. Where a few networks carry the
        mean, a sample without them is low and sure of it.
        """
        if not np.all(np.isfinite(values)):
            return cls()
        mean, count = float(values.mean()), len(values)
        # Of values over their mean, whose squares neither overflow nor underflow.
        relative = float(np.std(values / mean, ddof=1)) if mean else 0.0
        std_error = relative * mean / math.sqrt(count)
        median, spread = float(np.median(values)), relative**2
        if theory is None or not std_error:
            return cls(mean, std_error, median, spread)
        z = (mean - theory) / std_error
        error = max(std_error, theory * math.sqrt(expected / count))
        beyond = max(0.0, abs(mean - theory) - slack * theory) / error
        return cls(mean, std_error, median, spread, z, student.two_sided_p(beyond, count - 1))


def _forward(values: NDArray[np.float64], theory: LayerTheory) -> _Measured:
    expected = 0.0 if theory.spread is None else _lognormal_spread(theory.spread)
    return _Measured.of(values, theory.variance, theory.variance_slack, expected)


def _backward(values: NDArray[np.float64], theory: LayerTheory) -> _Measured:
    measured = _Measured.of(values, theory.gradient, theory.gradient_slack)
    if (measured.spread or 0.0) > _HEAVY:  # and theory does not know by how much
        return replace(measured, p=None)
    return measured


def _lognormal_spread(leading: float) -> float:
    """Return the relative variance that compounds to a leading one, as (1 + 5/n)^L does for ReLU.

    Fluctuations multiply from layer to layer, which makes products about lognormal.
    """
    return math.expm1(min(leading, 100.0))


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if np.all(np.isfinite(values)) else None


def _caveats(
    network: Network,
    place: int,
    theory: LayerTheory,
    forward: _Measured,
    backward: _Measured,
) -> Iterator[Caveat]:
    if forward.mean is None:
        yield Caveat(
            "overflow", f"{network.dtype} cannot hold what explodes here; take dtype float64"
        )
    spread = max(theory.spread or 0.0, forward.spread or 0.0)
    if spread > _HEAVY and forward.median is not None:
        yield Caveat(
            "heavy-tails",
            f"a few networks carry the mean (relative variance between them {spread:.2g}), and its "
            f"error is rough; the typical network has {forward.median:.3g}",
        )
    if (backward.spread or 0.0) > _HEAVY and backward.median is not None:
        yield Caveat(
            "heavy-tailed-gradients",
            f"a few networks carry the mean gradient (relative variance between them "
            f"{backward.spread:.2g}), so there is no verdict on it; the typical network has "
            f"{backward.median:.3g}",
        )
    if network.backward and theory.gradient is None and place == 0:
        yield Caveat(
            "no-theory",
            "batch norm mixes the gradients of a batch by how its inputs are correlated, for which "
            "there is no theory here: the cells below the top layer are empty",
        )

"""The statistical laws that every distribution, design and dimension is held to.

A *replicate* is an experiment with a seed of its own, cut to the fewest blocks that varsim ever
uses for an error bar. Over the replicates of a configuration, four things are compared with what is
written here, independently of ``varsim.layer.theory``:

* the mean of the measured variance with D σx² σw² / k² (or ||x||² σw² / k² for a fixed x);
* its spread with Var(s²) / E[s²]² = [2 + (κx κw - 3)/D + (c-1)(κx-1)/D + (r-1)(κw-1)/D] / (r c);
* the mean of the squared standard errors that were claimed with the same;
* the share of 95 % intervals that hold the truth.

Every check is a z-score. There are about 1,350 of them in the suite, so the bound of 6.2 standard
errors (two-sided p = 5.7e-10) keeps the chance that a right program fails under 1e-6 in all.
Seeds are fixed, so a check that has passed passes again.

The quick tier takes a fifth of the seeds. In full, configurations are held to the laws one by one,
where 80 seeds show gross faults only, and then by distribution and all together, where small ones
add up. Of all pairs together, in one design and dimension, the standard errors are 0.08 % of the
variance, 1 % of the claimed squared error and 3 % of the squared deviations, or less. Faults that
were put in are found by every design and dimension alone: 0.5 % in k, an error bar 3 % off either
way, deviations a seventh larger than claimed. A sampler that is 0.5 % too wide is found by some of
them at least, whichever distribution has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tests.tiers import share
from varsim import Experiment, stream
from varsim.catalog import FLOAT_TYPES
from varsim.catalog.distributions import DISTRIBUTIONS, find_distribution
from varsim.compute.streams import generator
from varsim.layer import sampling
from varsim.layer.totals import Totals
from varsim.statistics import student

BOUND = 6.2
BLOCKS = 32
SEEDS = share(80)
PAIRS = [(x, w) for x, w in product(DISTRIBUTIONS, DISTRIBUTIONS) if DISTRIBUTIONS[w].for_weights]


@dataclass(frozen=True)
class Replicates:
    """What a configuration gave: one entry per seed, relative to the true variance.

    Attributes:
        pair: The distributions of x and W.
        setting: The rest of the configuration.
        deviations: Measured over true variance, less 1.
        errors: Standard errors that were claimed.
        expected_errors2: Squared standard errors that the formula gives.
    """

    pair: tuple[str, str]
    setting: str
    deviations: NDArray[np.float64]
    errors: NDArray[np.float64]
    expected_errors2: NDArray[np.float64]

    @property
    def name(self) -> str:
        """The configuration."""
        return f"{' x '.join(self.pair)}, {self.setting}"

    @property
    def mean_z(self) -> float:
        """Deviation of the mean from the truth, in standard errors by the formula."""
        return float(self.deviations.sum() / math.sqrt(self.expected_errors2.sum()))

    @property
    def spread_z(self) -> float:
        """Deviation of the mean squared pull from 1, in standard errors."""
        return _z_from_1(self.deviations**2 / self.expected_errors2, freedom=1)

    @property
    def claim_z(self) -> float:
        """Deviation of the mean squared error that was claimed from the formula, the same way."""
        return _z_from_1(self.errors**2 / self.expected_errors2, freedom=BLOCKS - 1)

    @property
    def covered(self) -> int:
        """Number of 95 % intervals that hold the truth."""
        half_widths = student.quantile(0.95, BLOCKS - 1) * self.errors
        return int(np.count_nonzero(np.abs(self.deviations) <= half_widths))


def _z_from_1(ratios: NDArray[np.float64], freedom: int) -> float:
    # At least the deviation of a chi-square: a lucky sample must not shrink the yardstick.
    spread = max(float(ratios.std(ddof=1)), math.sqrt(2.0 / freedom))
    return (float(ratios.mean()) - 1.0) / spread * math.sqrt(ratios.size)


def true_variance(experiment: Experiment, x: NDArray[np.float64] | None) -> float:
    """D σx² σw² / k², or ||x||² σw² / k², for entries without means of their own but x's base."""
    base = find_distribution(experiment.x_dist)
    mean_square = base.variance + base.mean**2
    norm2 = experiment.dim * mean_square if x is None else float(x @ x)
    return norm2 / experiment.k_squared


def expected_error2(experiment: Experiment, x: NDArray[np.float64] | None) -> float:
    """Relative variance of the mean of y² over one block."""
    dim, shape = experiment.dim, experiment.block
    kurtosis_x, kurtosis_w = raw_kurtosis(experiment.x_dist), raw_kurtosis(experiment.w_entries[0])
    if x is not None:
        return (2 + (kurtosis_w - 3) * float((x**4).sum()) / float(x @ x) ** 2) / shape.outputs
    # Outputs of a column also share sum(w), which counts where x has a mean m (rectified): then
    # E[y² | w] = σx² Σw² + m² (Σw)², and its relative variance is the term below.
    base = find_distribution(experiment.x_dist)
    m2 = base.mean**2 / (base.variance + base.mean**2)
    shared_w = (kurtosis_w - 1) / dim + m2**2 * 2 * (1 - 1 / dim)
    return (
        2
        + (kurtosis_x * kurtosis_w - 3) / dim
        + (shape.columns - 1) * (kurtosis_x - 1) / dim
        + (shape.rows - 1) * shared_w
    ) / (shape.groups * shape.rows * shape.columns)


def raw_kurtosis(name: str) -> float:
    """E b⁴ / (E b²)² about zero, which is the kurtosis where the mean is 0."""
    base = find_distribution(name)
    second = base.variance + base.mean**2
    fourth: float = (
        base.kurtosis * base.variance**2
        + 4 * base.mean * base.skewness * base.variance**1.5
        + 6 * base.mean**2 * base.variance
        + base.mean**4
    )
    return fourth / second**2


def shared_x(experiment: Experiment) -> NDArray[np.float64] | None:
    """The x that all blocks of a fixed-x experiment share, drawn again."""
    if experiment.design != "fixed-x":
        return None
    rng = generator(experiment.key, experiment.seed)
    lengths = [length for _, length in sampling._slices(experiment)]
    dtype = np.dtype(experiment.dtype)
    entries = experiment.x_entries
    draws = (sampling._draw("x", rng, entries, length, dtype) for length in lengths)
    return np.concatenate([draw.astype(np.float64) for draw in draws])


def replicate(experiment: Experiment) -> tuple[float, float, float] | None:
    """Relative deviation, claimed error and expected squared error of one seed.

    None where y² is constant: with two coins at D = 1, or where ReLU made all of a fixed x zero.
    Nothing varies then to first order, no law of spread holds, and the interval must just cover.
    """
    blocks = list(stream(experiment, indices=range(BLOCKS)))
    measured, x = Totals.of(blocks), shared_x(experiment)
    truth = true_variance(experiment, x)
    expected = expected_error2(experiment, x) / BLOCKS if truth else 0.0
    if expected < 1e-12:
        half_width = student.quantile(0.95, BLOCKS - 1) * measured.std_error
        rounding = FLOAT_TYPES[experiment.dtype].rounding * truth
        assert abs(measured.variance - truth) <= half_width + rounding
        return None
    # The squared mean of all outputs, which the variance is measured about, varies by 2 (V/N)².
    second_order = 2 / (BLOCKS * experiment.block.outputs) ** 2
    return measured.variance / truth - 1, measured.std_error / truth, expected + second_order


def replicates(
    x: str, w: str, design: str, dim: int, *, outputs: int, seeds: int = SEEDS
) -> Replicates:
    """Run a configuration with that many seeds, and outputs per block."""
    rows = [
        replicate(
            Experiment(
                dim=dim,
                scale="sqrt",
                x_dist=x,
                w_dist=w,
                design=design,
                samples=64 * outputs,
                seed=seed,
            )
        )
        for seed in range(seeds)
    ]
    columns = np.array([row for row in rows if row is not None]).reshape(-1, 3).T
    return Replicates((x, w), f"{design}, D = {dim}", *columns)


def violations(all_replicates: list[Replicates]) -> Iterator[str]:
    """Yield what breaks a law: one by one, then by distribution and all together."""
    varying = [each for each in all_replicates if each.deviations.size]
    for each in varying:
        yield from _beyond(each.name, "mean", each.mean_z)
        yield from _beyond(each.name, "spread", each.spread_z)
        yield from _beyond(each.name, "coverage", coverage_z([each]))
    for name in DISTRIBUTIONS:
        yield from _violations_together(f"all with {name}", [r for r in varying if name in r.pair])
    yield from _violations_together("all together", varying)
    yield from _beyond("all together", "coverage", coverage_z(varying))


def _violations_together(name: str, group: list[Replicates]) -> Iterator[str]:
    if not group:
        return
    # Weighted by configuration, not by seed: a seed of small expected error has a small error.
    weights = [1.0 / float(each.expected_errors2.mean()) for each in group]
    pulls = sum(w * float(r.deviations.sum()) for w, r in zip(weights, group, strict=True))
    total = sum(w**2 * float(r.expected_errors2.sum()) for w, r in zip(weights, group, strict=True))
    yield from _beyond(name, "mean", pulls / math.sqrt(total))
    for law in ("spread", "claim"):
        each = [r.spread_z if law == "spread" else r.claim_z for r in group]
        yield from _beyond(name, law, sum(each) / math.sqrt(len(each)))


def coverage_z(all_replicates: list[Replicates]) -> float:
    """Covered intervals against the binomial law, by its arcsine transform.

    The transform makes the tails of a binomial near 95 % about normal.
    """
    count = sum(each.deviations.size for each in all_replicates)
    share = sum(each.covered for each in all_replicates) / count
    return 2 * math.sqrt(count) * (math.asin(math.sqrt(share)) - math.asin(math.sqrt(0.95)))


def _beyond(name: str, law: str, z: float) -> Iterator[str]:
    if not abs(z) <= BOUND:
        yield f"{name}: {law} is {z:+.1f} standard errors off"

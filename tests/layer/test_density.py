"""The density of x @ W: a density, with theory's moments, that closed forms and samples confirm."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from varsim import Experiment, Totals, simulate, stream
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.layer.density import EXACT, NORMAL, SHAPES, Density, _Part, density, density_of, normal
from varsim.layer.result import histogram_bins
from varsim.layer.theory import predict
from varsim.statistics.moments import Bins

Floats = NDArray[np.floating[Any]]

PAIRS = [(x, w) for x, w in itertools.product(SHAPES, SHAPES) if DISTRIBUTIONS[w].for_weights]

FALSE_FAILURES = 1e-6
"""How often a right program would fail a chi-square below, were its seed not fixed."""


def edges_of(bins: Bins) -> Floats:
    return bins.low + bins.width * np.arange(bins.number + 1)


def wide_bins(experiment: Experiment) -> Bins:
    """Bins that leave next to nothing beyond their ends."""
    theory = predict(experiment)
    deviation = theory.variance**0.5
    return Bins(theory.mean - 60.025 * deviation, 0.05 * deviation, 2401)


def variance_gamma(dim: int, y: Floats) -> Floats:
    """The density of a sum of D products of standard normals: Simon (2002), eq. 6.28, ρ = 0."""
    order, size = (dim - 1) / 2, np.abs(y)
    log = np.log(special.kve(order, size)) - size + order * np.log(size / 2)
    return np.asarray(np.exp(log - special.gammaln(dim / 2)) / np.sqrt(np.pi))


def bin_means(dim: int, bins: Bins) -> Floats:
    """The variance-gamma density averaged over bins with an edge at 0."""
    nodes, weights = np.polynomial.legendre.leggauss(60)
    # Squeezed towards both ends: at D = 1 the density is log(1/|y|) at 0.
    u = (1 + nodes) / 2
    places, weights = u * u * (3 - 2 * u), weights / 2 * 6 * u * (1 - u)
    y = edges_of(bins)[:-1, None] + bins.width * places
    return np.asarray(variance_gamma(dim, y) @ weights)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_shape_has_the_moments_of_its_distribution(name: str) -> None:
    """Of every distribution there is, so that a new one is not forgotten."""
    nodes, weights = _Part(name, 0.0, 1.0).nodes()
    known = DISTRIBUTIONS[name]
    mean = weights @ nodes
    central = [weights @ (nodes - mean) ** power for power in (2, 3, 4)]
    assert mean == pytest.approx(known.mean, abs=1e-9)
    assert central[0] == pytest.approx(known.variance, rel=1e-9)
    assert central[1] == pytest.approx(known.skewness * known.variance**1.5, abs=1e-7)
    assert central[2] == pytest.approx(known.kurtosis * known.variance**2, rel=1e-7)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5, 16, 64])
def test_normal_products_sum_to_the_variance_gamma_density(dim: int) -> None:
    """K0(|y|)/π at D = 1, ½ exp(-|y|) at D = 2, and their like: to 5e-4, in the tails too."""
    bins = Bins(-6.0 * dim**0.5, 0.1 * dim**0.5, 120)
    found, expected = density(Experiment(dim=dim, scale="none"), bins), bin_means(dim, bins)
    assert found.name == EXACT
    assert found.heights == pytest.approx(expected, rel=5e-4, abs=1e-9)


def test_the_closed_form_is_the_textbook_s() -> None:
    """What the test above compares with, at D = 1 and 2."""
    y = np.array([-2.0, 0.3, 1.0])
    assert variance_gamma(1, y) == pytest.approx(special.k0(np.abs(y)) / np.pi)
    assert variance_gamma(2, y) == pytest.approx(np.exp(-np.abs(y)) / 2)


def test_coins_leave_the_other_distribution_as_it_is() -> None:
    """At D = 1, ±1 times a symmetric entry is that entry; two uniforms have log(3/|y|)/6."""
    bins = Bins(-4.0, 0.1, 80)
    one = Experiment(dim=1, scale="none", x_dist="rademacher", w_dist="laplace")
    law = stats.laplace(scale=0.5**0.5).cdf(edges_of(bins))
    assert density(one, bins).heights == pytest.approx(np.diff(law) / 0.1, abs=2e-5)
    two = density(replace(one, x_dist="uniform", w_dist="uniform"), bins)
    y = np.clip(np.abs(edges_of(bins)), 1e-300, 3.0)
    law = 0.5 + np.sign(edges_of(bins)) * y * (1 + np.log(3 / y)) / 6
    assert two.heights == pytest.approx(np.diff(law) / 0.1, abs=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_density_has_one_unit_of_mass_and_the_variance_of_theory(pair: tuple[str, str]) -> None:
    """For all pairs of distributions with means; equal ones also without, from many products."""
    many = [(512, (0.0, 0.0))] if pair[0] == pair[1] else []
    for dim, means in [(3, (-0.7, 1.3)), *many]:
        experiment = Experiment(
            dim=dim, scale="sqrt", x_dist=pair[0], w_dist=pair[1], x_mean=means[0], w_mean=means[1]
        )
        bins = wide_bins(experiment)
        masses = density(experiment, bins).heights * bins.width
        centres = edges_of(bins)[:-1] + bins.width / 2
        mean = masses @ centres
        variance = masses @ (centres - mean) ** 2 - bins.width**2 / 12
        truth = predict(experiment)
        assert masses.sum() == pytest.approx(1.0, abs=1e-5)
        assert abs(mean - truth.mean) < 1e-2 * truth.variance**0.5
        assert variance == pytest.approx(truth.variance, rel=2e-3)


def test_a_unit_of_k_is_a_unit_of_the_axis() -> None:
    """Dividing W by k squeezes the density and nothing else, at any magnitude."""
    wide, narrow = Experiment(dim=5, scale="none"), Experiment(dim=5, scale="1e9")
    one, other = (density(e, histogram_bins(e)).heights for e in (wide, narrow))
    assert one == pytest.approx(other / 1e9, rel=1e-9)


def test_many_products_are_normal() -> None:
    """The exact density and the limit meet: by 1/D of a normal's height."""
    for dim in (100, 10_000):
        experiment = Experiment(dim=dim, scale="sqrt")
        found = density(experiment, histogram_bins(experiment))
        law = stats.norm.cdf(edges_of(histogram_bins(experiment)))
        assert found.name == EXACT
        assert np.abs(found.heights - np.diff(law) / 0.1).max() < 0.4 / dim


@pytest.mark.parametrize(
    ("dim", "x", "w", "x_mean"),
    [(2, "rademacher", "rademacher", 0.0), (2, "rectified", "rademacher", 1.0),
     (10**6, "normal", "normal", 0.0)],
)  # fmt: skip
def test_what_has_no_density_or_is_out_of_reach_is_called_normal(
    dim: int, x: str, w: str, x_mean: float
) -> None:
    """Sums of coins lie on a lattice, and a million products are a normal."""
    experiment = Experiment(dim=dim, scale="sqrt", x_dist=x, w_dist=w, x_mean=x_mean)
    bins = histogram_bins(experiment)
    theory = predict(experiment)
    found = density(experiment, bins)
    assert found.name == NORMAL
    law = np.diff(stats.norm(theory.mean, theory.variance**0.5).cdf(edges_of(bins))) / bins.width
    assert found.heights == pytest.approx(law, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("w_mean", [0.0, 0.5])
def test_a_fixed_x_is_held_to_its_own_normal(w_mean: float) -> None:
    """With the variance that this x gives, and its label says so."""
    result = simulate(
        Experiment(dim=16, scale="sqrt", design="fixed-x", w_mean=w_mean, samples=64_000)
    )
    bins = Bins(-5.0, 0.1, 100)
    found = density_of(result, bins)
    assert found.name == f"{NORMAL}, given x"
    law = stats.norm(result.totals.mean if w_mean else 0.0, (result.conditional_theory or 0) ** 0.5)
    assert found.heights == pytest.approx(np.diff(law.cdf(edges_of(bins))) / 0.1, abs=1e-12)


def test_an_atom_is_in_the_bin_that_counts_it() -> None:
    """ReLU makes y = 0 with probability 2^-D, on the edge of a bin."""
    for dim in (1, 2, 5):
        experiment = Experiment(dim=dim, scale="sqrt", x_dist="rectified")
        bins = histogram_bins(experiment)
        heights = density(experiment, bins).heights
        (zero,) = np.flatnonzero(bins.counts(np.zeros(1))[1:-1])
        other = 119 - zero  # its mirror image about 0
        assert (heights[zero] - heights[other]) * bins.width == pytest.approx(0.5**dim, abs=1e-4)


def p_value(experiment: Experiment, found: Density) -> float:
    """Chi-square of the counts of independent outputs, in bins of at least 20 expected."""
    bins = histogram_bins(experiment)
    counts = np.array(Totals.of(stream(experiment, bins=bins)).counts or ())[1:-1]
    samples = experiment.blocks * experiment.block.outputs
    expected = found.heights * bins.width * samples
    often = expected >= 20
    observed = np.append(counts[often], samples - counts[often].sum())
    expected = np.append(expected[often], samples - expected[often].sum())
    if expected[-1] < 20:
        observed, expected = observed[:-1], expected[:-1]
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, observed.size - 1))


@pytest.mark.parametrize("dim", [1, 2, 16])
@pytest.mark.parametrize(
    "pair",
    ["normal-normal", "uniform-uniform", "laplace-truncated", "exponential-exponential",
     "rectified-normal", "rademacher-exponential", "bernoulli(0.3)-normal", "normal-student_t(5)"],
)  # fmt: skip
def test_samples_fall_where_the_density_says(dim: int, pair: str) -> None:
    """By chi-square over 300,000 independent outputs; a false failure has a chance of 1e-6."""
    x, w = (name.replace("_", "-") for name in pair.split("-"))
    experiment = Experiment(
        dim=dim, scale="sqrt", x_dist=x, w_dist=w, w_mean=0.0 if dim == 1 else 0.3,
        design="paired", samples=300_000,
    )  # fmt: skip
    found = density(experiment, histogram_bins(experiment))
    assert found.name == EXACT
    assert p_value(experiment, found) > FALSE_FAILURES


def test_a_wrong_density_is_found_out() -> None:
    """One of a variance 3 % too large, the normal limit at D = 16, and coins for a uniform."""
    right = Experiment(dim=16, scale="sqrt", design="paired", samples=300_000)
    bins = histogram_bins(right)
    wider = density(replace(right, w_std=1.03**0.5), bins)
    limit = normal(bins, 0.0, 1.0)
    other = density(replace(right, x_dist="exponential"), bins)
    for wrong in (wider, limit, other):
        assert p_value(right, wrong) < FALSE_FAILURES


@pytest.mark.parametrize("x", ["normal", "rectified", "exponential"])
def test_parts_of_a_bin_have_its_mass(x: str) -> None:
    """A curve that is finer than the bins has the same means, and an atom has the whole bin."""
    for dim in (1, 2, 16):
        experiment = Experiment(dim=dim, scale="sqrt", x_dist=x)
        bins = histogram_bins(experiment)
        whole, fine = density(experiment, bins), density(experiment, bins, 16)
        assert fine.heights.reshape(-1, 16).mean(axis=1) == pytest.approx(whole.heights, abs=3e-5)


@pytest.mark.parametrize(
    ("dim", "x", "x_mean", "pole"),
    [(1, "normal", 0.0, True), (2, "normal", 0.0, False), (1, "uniform", 9.0, False),
     (1, "rademacher", 0.0, False), (3, "rectified", 0.0, True)],
)  # fmt: skip
def test_a_density_says_whether_it_has_a_pole(dim: int, x: str, x_mean: float, pole: bool) -> None:
    """One product has one where both entries can be near 0, and a sum where the others can be 0."""
    experiment = Experiment(dim=dim, scale="sqrt", x_dist=x, x_mean=x_mean)
    bins = histogram_bins(experiment)
    found = density(experiment, bins)
    assert found.has_pole == pole
    peaks = [density(experiment, bins, parts).heights.max() for parts in (4, 16)]
    assert (peaks[1] > 1.05 * peaks[0]) == pole

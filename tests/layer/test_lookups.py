"""One-hot x: every output is an entry of W, and rows that select the same one share it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests import laws
from tests.tiers import share
from varsim import Experiment, InputError, Totals, stream
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.layer import sampling
from varsim.layer.density import EXACT, NORMAL, density, density_of
from varsim.layer.result import conclude, histogram_bins
from varsim.layer.sampling import whole
from varsim.layer.theory import _lookup_error2, predict

pytestmark = pytest.mark.usefixtures("one_blas_thread")


def lookup(dim: int, scale: str = "none", **settings: Any) -> Experiment:
    settings = {"samples": 6400} | settings
    return Experiment(dim=dim, scale=scale, x_dist="onehot", **settings)


def outputs_of(experiment: Experiment, batch: int) -> np.ndarray:
    """The outputs of a batch, of shape (blocks, groups, rows, columns)."""
    size = sampling.batch_size(experiment)
    y, _ = sampling._outputs(experiment, batch, size)
    return y.reshape(size, *experiment.block).copy()


@pytest.mark.parametrize("scale", ["none", "sqrt", "4"])
def test_the_variance_is_that_of_an_entry_of_w(scale: str) -> None:
    """σw²/k² for every vocabulary, since one entry of a row is 1."""
    for dim in (1, 16, 50_257):
        experiment = lookup(dim, scale, x_std=3.0, w_std=0.5, w_mean=2.0)
        assert predict(experiment).variance * experiment.k_squared == pytest.approx(2.25)


@pytest.mark.parametrize("w", ["laplace", "rademacher", "exponential"])
def test_the_error_of_a_block_by_listing_all_lookups(w: str) -> None:
    """The places of 3 rows in 2 to 4 rows of W are listed, and the moments of W are exact."""
    for dim, rows, columns in itertools.product((2, 3, 4), (1, 2, 3), (1, 2)):
        kurtosis = DISTRIBUTIONS[w].kurtosis
        of_places = []
        for places in itertools.product(range(dim), repeat=rows):
            # E of products of two squares: κ for the same entry of W, and 1 for two.
            pairs = itertools.product(itertools.product(places, range(columns)), repeat=2)
            of_places.append(sum(kurtosis if a == b else 1.0 for a, b in pairs))
        expected = float(np.mean(of_places)) / (rows * columns) ** 2 - 1
        block = lookup(dim).block._replace(groups=1, rows=rows, columns=columns)
        assert _lookup_error2(lookup(dim, w_dist=w), block) == pytest.approx(expected, abs=1e-12)


def test_outputs_are_the_selected_rows_of_w() -> None:
    """One entry for every output; rows share it as often as they select the same row."""
    y = outputs_of(lookup(9, "2", dtype="float64", samples=64 * 81), 0)
    assert y.shape[1:] == (1, 9, 9)
    rows = [{tuple(row) for row in block[0]} for block in y]
    entries = [np.unique(block).size for block in y]
    assert entries == [9 * len(distinct) for distinct in rows]
    # A row of W is selected by none of 9 rows with probability (8/9)⁹.
    used, expected = np.array([len(distinct) for distinct in rows]), 9 * (1 - (8 / 9) ** 9)
    assert abs(used.mean() - expected) < 6 * used.std() / math.sqrt(used.size)


def test_each_row_of_w_is_selected_as_often() -> None:
    """By chi-square over the places of 8,000 rows; a right program fails with a chance of 1e-6."""
    experiment = lookup(20, init="orthogonal", fan_out=1, samples=128_000)
    counts = np.zeros(20)
    for index in range(64):
        w = whole(experiment, index).weights[:, 0]
        y = outputs_of(experiment, index).ravel()
        counts += (y[:, None] == w).sum(axis=0)
    assert counts.sum() == 64 * experiment.block.outputs
    assert stats.chisquare(counts).pvalue > 1e-6


@pytest.mark.parametrize("design", ["crossed", "paired", "fixed-x"])
@pytest.mark.parametrize("w", ["normal", "exponential", "student-t(9)"])
def test_mean_and_spread_are_those_of_theory(design: str, w: str) -> None:
    """The measured variance over many seeds, and the errors claimed, within 6.2 standard errors."""
    pulls = pulls_of({"dim": 12, "w_dist": w, "design": design, "w_mean": 0.5, "x_std": 2.0})
    assert violations(*pulls) == []


@pytest.mark.parametrize("init", ["orthogonal", "sparse", "trunc_normal(std=1)"])
@pytest.mark.parametrize("design", ["crossed", "fixed-x"])
def test_mean_and_spread_of_a_whole_w_are_those_of_theory(design: str, init: str) -> None:
    """The same for built-in initializers, about their exact variance."""
    settings: dict[str, Any] = {
        "dim": 12,
        "fan_out": 6,
        "init": init,
        "design": design,
        "scale": "sqrt",
    }
    settings["samples"] = 64 * 6 if design == "fixed-x" else 64 * 30
    pulls = pulls_of(settings, seeds=share(100))
    assert violations(*pulls) == []


def test_a_wrong_theory_is_caught() -> None:
    """An error without the shared rows of W, and a variance that is 3 % off."""
    experiment = lookup(8)
    deviations, errors = pulls_of({"dim": 8}, seeds=800)
    block = experiment.block
    alone = _lookup_error2(experiment, block._replace(rows=1)) / block.rows
    share_of_error = math.sqrt(alone / _lookup_error2(experiment, block))
    assert violations(deviations, errors) == []
    assert violations(deviations, errors * share_of_error) == ["spread"]
    assert "mean" in violations(1.03 * (1 + deviations) - 1, errors)


def pulls_of(settings: dict[str, Any], seeds: int = share(300)) -> tuple[np.ndarray, np.ndarray]:
    """Relative deviations of measured variances, and their expected errors, one per seed."""
    deviations, errors = [], []
    for seed in range(seeds):
        experiment = lookup(**settings | {"seed": seed, "samples": settings.get("samples", 6400)})
        totals = Totals.of(stream(experiment))
        row = conclude(experiment, totals)
        truth = row.init_theory or row.claim.variance
        deviations.append(row.empirical / truth - 1)
        errors.append(row.claim.relative_error(totals.blocks))
    return np.array(deviations), np.array(errors)


def violations(deviations: np.ndarray, errors: np.ndarray) -> list[str]:
    """Return what is beyond its bound: the mean, or the spread."""
    z = deviations.sum() / math.sqrt((errors**2).sum())
    squares = (deviations / errors) ** 2
    spread = (squares.mean() - 1) / max(squares.std(), math.sqrt(2)) * math.sqrt(squares.size)
    found = {"mean": z, "spread": spread}
    return [name for name, value in found.items() if abs(value) > laws.BOUND]


@pytest.mark.parametrize("w", ["normal", "uniform", "laplace", "student-t(5)"])
def test_the_density_is_that_of_an_entry_of_w(w: str) -> None:
    """For every D, and for a fixed x too."""
    known = {
        "normal": stats.norm(), "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
        "laplace": stats.laplace(scale=math.sqrt(0.5)),
        "student-t(5)": stats.t(5, scale=math.sqrt(0.6)),
    }[w]  # fmt: skip
    for dim, design in ((1, "crossed"), (300, "crossed"), (300, "fixed-x")):
        experiment = lookup(dim, "2", w_dist=w, x_std=2.0, w_mean=0.5, design=design)
        bins = histogram_bins(experiment)
        edges = bins.low + bins.width * np.arange(bins.number + 1)
        found = density_of(conclude(experiment, Totals.of(stream(experiment))), bins)
        assert found.name == EXACT
        assert found.heights == pytest.approx(
            np.diff(known.cdf(edges - 0.5)) / bins.width, abs=1e-4
        )
    assert density(lookup(8, w_dist="rademacher"), histogram_bins(lookup(8))).name == NORMAL


def test_a_vocabulary_costs_nothing() -> None:
    """Only the rows of W that are selected are drawn."""
    small, large = (lookup(dim, samples=64_000) for dim in (1000, 10**9))
    assert sampling.block_numbers(large) == sampling.block_numbers(small) < 1100
    assert sampling.block_bytes(large) == sampling.block_bytes(small)
    block = next(stream(large))
    assert 0.5 < block.moments.variance < 2.0


def test_a_shift_of_x_is_refused() -> None:
    """It would fill the rows."""
    with pytest.raises(InputError, match=r"x_mean is 1, .* leave x_mean out"):
        lookup(8, x_mean=1.0)

"""Theory: closed forms against brute force and against the formula of the tests."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import stats

from tests import laws
from tests.catalog.test_catalog import COUNT, drawn
from varsim import Experiment, stream
from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.layer.theory import (
    Entries,
    _pair_error2,
    _product_variance,
    _shared_error2,
    predict,
    predict_given_x,
)
from varsim.layer.totals import Totals

QUESTION = {"none": 512.0, "linear": 1 / 512, "sqrt": 1.0, "he": 2.0, "torch-linear": 1 / 3}


@pytest.mark.parametrize("scale", QUESTION)
def test_the_question_is_answered(scale: str) -> None:
    """D/k² at D = 512: 512, 1/512 and 1, and what He and nn.Linear make of it."""
    assert predict(Experiment(dim=512, scale=scale)).variance == pytest.approx(
        QUESTION[scale], rel=1e-15
    )


@pytest.mark.parametrize("dim", [1, 2, 16, 512])
@pytest.mark.parametrize("design", [name for name, d in DESIGNS.items() if not d.fixed_x])
def test_block_error_is_the_formula_of_the_tests(design: str, dim: int) -> None:
    """The planner's formula and the one the laws are held to were derived apart."""
    for x, w in laws.PAIRS:
        experiment = Experiment(
            dim=dim, scale="sqrt", x_dist=x, w_dist=w, design=design, samples=64 * 300
        )
        expected = laws.expected_error2(experiment, None)
        assert predict(experiment).block_error2 == pytest.approx(expected, rel=1e-9, abs=1e-15)


class TwoPoint(NamedTuple):
    """A biased coin: ``high`` with probability ``p``, else ``low``."""

    high: float
    low: float
    p: float

    def entries(self) -> Entries:
        raw = tuple(self.p * self.high**j + (1 - self.p) * self.low**j for j in range(5))
        central = [
            self.p * (self.high - raw[1]) ** j + (1 - self.p) * (self.low - raw[1]) ** j
            for j in range(5)
        ]
        return Entries(raw[1], central[2], central[3], central[4])


@pytest.mark.parametrize(
    ("x", "w"),
    [
        (TwoPoint(1.0, -1.0, 0.5), TwoPoint(1.0, -1.0, 0.5)),
        (TwoPoint(1.75, -0.25, 0.5), TwoPoint(0.5, -1.5, 0.5)),
        (TwoPoint(3.0, -0.5, 0.2), TwoPoint(2.0, -1.0, 0.7)),
    ],
)
def test_errors_of_biased_coins_by_listing_all_cases(x: TwoPoint, w: TwoPoint) -> None:
    """Skewed, with means, D = 2, a 2 x 1 block: every x and w is listed, nothing is sampled."""
    weights, squares, single = [], [], []
    for faces in itertools.product((True, False), repeat=6):
        coins = [w, w, x, x, x, x]
        values = [c.high if face else c.low for c, face in zip(coins, faces, strict=True)]
        weights.append(
            math.prod(c.p if face else 1 - c.p for c, face in zip(coins, faces, strict=True))
        )
        mean = 2 * x.entries().mean * w.entries().mean
        rows = [(values[i] * values[0] + values[i + 1] * values[1] - mean) ** 2 for i in (2, 4)]
        squares.append(sum(rows) / 2)
        single.append(rows[0])
    variance = float(np.average(squares, weights=weights))

    def error2(values: list[float]) -> float:
        return float(np.average(np.square(values), weights=weights)) / variance**2 - 1

    pair, shared = (
        _pair_error2(2, x.entries(), w.entries()),
        _shared_error2(2, w.entries(), x.entries()),
    )
    assert variance == pytest.approx(2 * _product_variance(x.entries(), w.entries()))
    assert error2(single) == pytest.approx(pair, abs=1e-12)
    assert error2(squares) == pytest.approx((pair + shared) / 2, abs=1e-12)


def test_declared_moments_are_scipys() -> None:
    """Variance, skewness and kurtosis of the table, in closed form by another program."""
    others = {
        "normal": stats.norm(), "uniform": stats.uniform(), "laplace": stats.laplace(),
        "exponential": stats.expon(), "truncated": stats.truncnorm(-2, 2),
        "rademacher": stats.bernoulli(0.5),
    }  # fmt: skip
    for name, other in others.items():
        base = DISTRIBUTIONS[name]
        skewness, excess = other.stats(moments="sk")
        assert (base.mean, base.variance) == (0, 1)
        assert base.skewness == pytest.approx(float(skewness), abs=1e-12)
        assert base.kurtosis == pytest.approx(float(excess) + 3, rel=1e-9)
    z = stats.norm()
    raw = [z.expect(lambda v, j=j: v**j, lb=0) for j in range(5)]
    base, mean = DISTRIBUTIONS["rectified"], raw[1]
    central = [sum(math.comb(n, i) * raw[i] * (-mean) ** (n - i) for i in range(1, n + 1))
               + (-mean) ** n for n in range(5)]  # fmt: skip
    assert base.mean == pytest.approx(mean)
    assert base.variance == pytest.approx(central[2])
    assert base.skewness == pytest.approx(central[3] / central[2] ** 1.5)
    assert base.kurtosis == pytest.approx(central[4] / central[2] ** 2)


@pytest.mark.parametrize("dim", [1, 2, 7, 512])
def test_a_typical_x_is_planned_exactly_where_it_can_be(dim: int) -> None:
    """For normal x, Σx⁴ / (Σx²)² is 3 / (D + 2) on average, and for coins it is 1/D."""
    for x, concentration in (("normal", 3 / (dim + 2)), ("rademacher", 1 / dim)):
        experiment = Experiment(dim=dim, scale="1", x_dist=x, w_dist="laplace", design="fixed-x")
        outputs = experiment.block.outputs
        assert predict(experiment).block_error2 * outputs == pytest.approx(2 + 3 * concentration)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 2.0), (-3.0, 0.1)])
def test_raw_moments_are_those_of_draws(name: str, mean: float, std: float) -> None:
    """Entries' moments, with a mean and deviation, against a million draws."""
    values = mean + std * drawn(name, "float64").astype(np.float64)
    entries = Entries.of(name, mean, std)
    centred = values - entries.mean
    declared = [
        (entries.mean, values),
        (entries.mean_square, values**2),
        (entries.variance, centred**2),
        (entries.third, centred**3),
        (entries.fourth, centred**4),
        (entries.square_variance, (values**2 - entries.mean_square) ** 2),
    ]
    for value, powers in declared:
        error = max(float(powers.std()) / math.sqrt(COUNT), 1e-6 * abs(value))
        assert abs(float(powers.mean()) - value) <= 6 * error


@pytest.mark.parametrize("dim", [1, 4, 512])
@pytest.mark.parametrize(("x_mean", "w_mean"), [(1e5, 1e5), (1e9, 1e11), (1e10, 0.0)])
def test_large_means_do_not_cancel(dim: int, x_mean: float, w_mean: float) -> None:
    """The errors against exact fractions, where raw moments would leave nothing of them."""
    half = Fraction(1, 2)
    x_values, w_values = ([Fraction(mean) + s for s in (-1, 1)] for mean in (x_mean, w_mean))
    center = Fraction(x_mean) * Fraction(w_mean)
    fourth = sum(half * half * (a * b - center) ** 4 for a in x_values for b in w_values)
    square = sum(half * half * (a * b - center) ** 2 for a in x_values for b in w_values)
    exact = 2 + (fourth / square**2 - 3) / dim
    x, w = (Entries.of("rademacher", mean, 1.0) for mean in (x_mean, w_mean))
    assert _pair_error2(dim, x, w) == pytest.approx(float(exact), rel=1e-9)
    squares = [a**2 for a in x_values]
    assert x.square_variance == pytest.approx(float(((squares[1] - squares[0]) / 2) ** 2))


SHIFTED: list[dict[str, Any]] = [
    {"x_mean": 0.5, "w_mean": 0.3},
    {"x_mean": 2.0, "x_std": 0.5, "design": "paired", "x_dist": "exponential"},
    {"w_mean": 1.0, "w_std": 3.0, "x_dist": "rectified", "w_dist": "exponential"},
    {"x_mean": -1.0, "w_mean": 1.0, "x_dist": "exponential", "w_dist": "uniform", "dim": 3},
    {"x_mean": 0.2, "w_mean": 0.1, "w_dist": "laplace", "dtype": "float64"},
]


@pytest.mark.parametrize("case", SHIFTED, ids=str)
def test_means_and_deviations_are_in_the_theory(case: dict[str, Any]) -> None:
    """Mean and spread of the measured variance over 200 seeds, each within 6 standard errors."""
    pulls = []
    for seed in range(200):
        asked: dict[str, Any] = {"dim": 16, "scale": "3", "samples": 16_384, "seed": seed}
        experiment = Experiment(**asked | case)
        prediction = predict(experiment)
        measured = Totals.of(stream(experiment))
        error = prediction.relative_error(experiment.blocks)
        pulls.append((measured.variance / prediction.variance - 1) / error)
    squares = np.square(pulls)
    assert abs(np.sum(pulls)) / math.sqrt(200) < 6
    assert abs(squares.mean() - 1) < 6 * max(squares.std(), math.sqrt(2)) / math.sqrt(200)


def test_conditional_variance_averages_to_the_theory() -> None:
    """Over x, ||x||² σw²/k² is D/k² on average where W has no mean."""
    experiment = Experiment(dim=50, scale="he", x_dist="exponential", x_mean=0.5, w_std=2.0)
    average_norm2 = 50 * (1 + 0.5**2)
    given_x = predict_given_x(experiment, average_norm2, 1.0)
    assert given_x.variance == pytest.approx(predict(experiment).variance)


def test_error_given_x_is_the_formula_of_the_tests() -> None:
    """With the x at hand, the expected error of fixed-x is exact."""
    for x, w in laws.PAIRS:
        experiment = Experiment(
            dim=5, scale="2", x_dist=x, w_dist=w, design="fixed-x", samples=6400
        )
        values, block = laws.shared_x(experiment), next(stream(experiment))
        assert values is not None
        assert block.x_sums is not None
        prediction = predict_given_x(experiment, *block.x_sums)
        assert prediction.variance == pytest.approx(laws.true_variance(experiment, values))
        expected = laws.expected_error2(experiment, values)
        assert prediction.block_error2 == pytest.approx(expected, abs=1e-12)

"""Theory: closed forms against brute force and against the formula of the tests."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from tests import laws
from varsim import Experiment, stream
from varsim.designs import DESIGNS
from varsim.distributions import DISTRIBUTIONS
from varsim.inference import estimate
from varsim.theory import Entries, predict, predict_given_x

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
        experiment = Experiment(dim=dim, scale="sqrt", x=x, w=w, design=design, samples=64 * 300)
        expected = laws.expected_error2(experiment, None)
        assert predict(experiment).block_error2 == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_error_of_two_coins_by_listing_all_cases() -> None:
    """Shifted coins, D = 2, a 2 x 1 block: every x and w is listed, nothing is sampled."""
    x_mean, w_mean = 0.75, -0.5
    squares, outputs = [], []
    for signs in itertools.product((-1, 1), repeat=6):
        w = [w_mean + s for s in signs[:2]]
        rows = [[x_mean + s for s in signs[2:4]], [x_mean + s for s in signs[4:]]]
        y = [sum(a * b for a, b in zip(row, w, strict=True)) for row in rows]
        outputs += y
        squares.append(np.mean([(v - 2 * x_mean * w_mean) ** 2 for v in y]))
    experiment = Experiment(
        dim=2, scale="none", x="rademacher", w="rademacher", x_mean=x_mean, w_mean=w_mean
    )
    prediction = predict(experiment)
    x, w_ = (Entries.of("rademacher", mean, 1.0) for mean in (x_mean, w_mean))
    assert np.mean(squares) == pytest.approx(prediction.variance)
    assert np.var(outputs) == pytest.approx(prediction.variance)
    from varsim.theory import _pair_error2, _shared_error2

    error2 = (_pair_error2(2, x, w_) + _shared_error2(2, w_, x)) / 2
    assert np.var(squares) / np.mean(squares) ** 2 == pytest.approx(error2)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 2.0), (-3.0, 0.1)])
def test_raw_moments_are_those_of_draws(name: str, mean: float, std: float) -> None:
    """Entries' moments, with a mean and deviation, against a million draws."""
    from tests.test_draws import COUNT, drawn

    values = mean + std * drawn(name, "float64")
    entries = Entries.of(name, mean, std)
    for power in range(1, 5):
        powers = values**power
        error = max(float(powers.std()) / math.sqrt(COUNT), 1e-9 * abs(entries.raw[power]))
        assert abs(float(powers.mean()) - entries.raw[power]) < 6 * error


SHIFTED: list[dict[str, Any]] = [
    {"x_mean": 0.5, "w_mean": 0.3},
    {"x_mean": 2.0, "x_std": 0.5, "design": "paired", "x": "exponential"},
    {"w_mean": 1.0, "w_std": 3.0, "x": "rectified", "w": "exponential"},
    {"x_mean": -1.0, "w_mean": 1.0, "x": "exponential", "w": "uniform", "dim": 3},
    {"x_mean": 0.2, "w_mean": 0.1, "w": "laplace", "dtype": "float64"},
]


@pytest.mark.parametrize("case", SHIFTED, ids=str)
def test_means_and_deviations_are_in_the_theory(case: dict[str, Any]) -> None:
    """Mean and spread of the measured variance over 200 seeds, each within 6 standard errors."""
    pulls = []
    for seed in range(200):
        asked: dict[str, Any] = {"dim": 16, "scale": "3", "samples": 16_384, "seed": seed}
        experiment = Experiment(**asked | case)
        prediction = predict(experiment)
        measured = estimate(list(stream(experiment)))
        error = prediction.relative_error(experiment.blocks)
        pulls.append((measured.variance / prediction.variance - 1) / error)
    squares = np.square(pulls)
    assert abs(np.sum(pulls)) / math.sqrt(200) < 6
    assert abs(squares.mean() - 1) < 6 * max(squares.std(), math.sqrt(2)) / math.sqrt(200)


def test_conditional_variance_averages_to_the_theory() -> None:
    """Over x, ||x||² σw²/k² is D/k² on average where W has no mean."""
    experiment = Experiment(dim=50, scale="he", x="exponential", x_mean=0.5, w_std=2.0)
    average_norm2 = 50 * (1 + 0.5**2)
    given_x = predict_given_x(experiment, average_norm2, 1.0)
    assert given_x.variance == pytest.approx(predict(experiment).variance)


def test_error_given_x_is_the_formula_of_the_tests() -> None:
    """With the x at hand, the expected error of fixed-x is exact."""
    for x, w in laws.PAIRS:
        experiment = Experiment(dim=5, scale="2", x=x, w=w, design="fixed-x", samples=6400)
        values, block = laws.shared_x(experiment), next(stream(experiment))
        assert values is not None
        assert block.x_sums is not None
        prediction = predict_given_x(experiment, *block.x_sums)
        assert prediction.variance == pytest.approx(laws.true_variance(experiment, values))
        expected = laws.expected_error2(experiment, values)
        assert prediction.block_error2 == pytest.approx(expected, abs=1e-12)

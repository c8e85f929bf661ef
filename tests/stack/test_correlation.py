"""The correlation of inputs: theory against a brute force that shares no code with the program.

``python -m tests.stack.test_correlation`` prints :data:`SIMULATED` anew, in about ten minutes. A
check of theory has a bound of 4.5 standard errors (two-sided p = 7e-6 per layer, and about 90
layers: a right theory fails in one run of 1,500; seeds are fixed).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from tests.tiers import share
from varsim.comparison.comparing import compare
from varsim.comparison.matching import match
from varsim.stack.kind import STACK
from varsim.stack.question import Network
from varsim.stack.result import LayerResult
from varsim.stack.sampling import FIELDS, Sampled, sample_network
from varsim.stack.study import StackStudy
from varsim.stack.theory import predict
from varsim.stack.theory.correlation import _terms
from varsim.stack.theory.limit import layers_in_limit
from varsim.stack.totals import LayerTotals, StackTotals
from varsim.statistics import judge

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Array = NDArray[np.float64]

SIGMAS = 4.5
CORRELATION, BATCH = 0.5, 16

PHI: dict[str, Callable[[Any], Any]] = {
    "relu": lambda h: np.maximum(h, 0),
    "tanh": np.tanh,
    "gelu": lambda h: h * special.ndtr(h),
    "erf": special.erf,
}


class Case(NamedTuple):
    """A plain stack whose W have entries of variance gain² / fan-in."""

    activation: str
    widths: tuple[int, ...]
    gain: float = 1.0
    bias: float = 0.0

    @property
    def network(self) -> Network:
        return Network(
            widths=self.widths, activation=self.activation, scale="lecun", gain=self.gain,
            bias_std=self.bias, correlation=CORRELATION, batch=BATCH, backward=False,
        )  # fmt: skip


class Simulated(NamedTuple):
    """By layer: corr[h], its standard error, and the variance of its part of one network."""

    value: Array
    error: Array
    spread: Array


def brute_force(case: Case, networks: int, seed: int = 0) -> Simulated:
    """Follow batches through networks: mean of h h' over pairs and units over that of h²."""
    rng, phi = np.random.default_rng(seed), PHI[case.activation]
    parts = []
    for start in range(0, networks, 100):
        count, width = min(100, networks - start), case.widths[0]
        common = rng.standard_normal((count, 1, width), np.float32)
        x = math.sqrt(1 - CORRELATION) * rng.standard_normal((count, BATCH, width), np.float32)
        x += math.sqrt(CORRELATION) * common
        layers = []
        for a, b in zip(case.widths, case.widths[1:], strict=False):
            w = rng.standard_normal((count, a, b), np.float32) * np.float32(case.gain / a**0.5)
            h = x @ w + np.float32(case.bias) * rng.standard_normal((count, 1, b), np.float32)
            gram = np.einsum("kiu,kju->kij", h, h, optimize=True) / b
            square = np.trace(gram, axis1=1, axis2=2) / BATCH
            pairs = (gram.sum(axis=(1, 2)) - BATCH * square) / (BATCH * (BATCH - 1))
            layers.append([square, pairs])
            x = phi(h).astype(np.float32)
        parts.append(np.array(layers, float))
    square, pairs = np.concatenate(parts, axis=2).swapaxes(0, 1)
    value = pairs.mean(axis=1) / square.mean(axis=1)
    rest = (pairs - value[:, None] * square) / square.mean(axis=1)[:, None]
    spread = rest.var(axis=1, ddof=1)
    return Simulated(value, np.sqrt(spread / networks), spread)


CASES = {
    **{
        (name, width): Case(name, (width,) * 11, math.sqrt(2) if name == "relu" else 1.0)
        for name in PHI
        for width in (64, 256)
    },
    ("gelu", 96): Case("gelu", (48, 96, 64, 32, 128), 1.3, 0.3),
}

LAYERS = (1, 3, 5, 9)
"""Places of the layers that :data:`SIMULATED` holds, as far as a stack has them."""

# fmt: off
SIMULATED: dict[tuple[str, int], list[tuple[float, float, float]]] = {
    ("relu", 64): [
        (0.60919, 0.00042, 0.00524), (0.73279, 0.00041, 0.00515),
        (0.79714, 0.00040, 0.00479), (0.85851, 0.00038, 0.00432),
    ],
    ("relu", 256): [
        (0.60916, 0.00070, 0.00124), (0.73701, 0.00068, 0.00117),
        (0.80776, 0.00064, 0.00103), (0.87922, 0.00054, 0.00072),
    ],
    ("tanh", 64): [
        (0.47228, 0.00047, 0.00676), (0.45560, 0.00061, 0.01128),
        (0.44893, 0.00072, 0.01554), (0.44184, 0.00091, 0.02473),
    ],
    ("tanh", 256): [
        (0.47247, 0.00080, 0.00161), (0.45523, 0.00104, 0.00268),
        (0.45053, 0.00122, 0.00372), (0.44689, 0.00153, 0.00585),
    ],
    ("gelu", 64): [
        (0.53545, 0.00050, 0.00756), (0.54221, 0.00069, 0.01446),
        (0.53196, 0.00084, 0.02122), (0.52974, 0.00111, 0.03675),
    ],
    ("gelu", 256): [
        (0.53472, 0.00084, 0.00178), (0.54534, 0.00111, 0.00309),
        (0.54353, 0.00131, 0.00428), (0.54111, 0.00163, 0.00662),
    ],
    ("erf", 64): [
        (0.46547, 0.00047, 0.00667), (0.43988, 0.00060, 0.01093),
        (0.42633, 0.00070, 0.01477), (0.40755, 0.00086, 0.02238),
    ],
    ("erf", 256): [
        (0.46564, 0.00080, 0.00159), (0.43923, 0.00102, 0.00262),
        (0.42740, 0.00119, 0.00355), (0.41190, 0.00148, 0.00546),
    ],
    ("gelu", 96): [
        (0.59708, 0.00041, 0.00501), (0.69153, 0.00049, 0.00724),
    ],
}
# fmt: on


def theory(case: Case) -> Array:
    """Values, relative allowances and spreads, of shape (layers, 3); NaN stands for unknown."""
    rows = predict(case.network)
    cells = [(r.correlation, r.correlation_slack, r.correlation_spread) for r in rows]
    return np.array(cells, float)


cases = pytest.mark.parametrize("name", CASES, ids=str)


def stored(name: tuple[str, int]) -> tuple[list[int], Simulated]:
    """The places of the layers in :data:`SIMULATED`, and what it holds of them."""
    places = [place for place in LAYERS if place < len(CASES[name].widths) - 1]
    return places, Simulated(*np.array(SIMULATED[name]).T)


# Theory.


@cases
def test_stored_values_are_those_of_the_brute_force(name: tuple[str, int]) -> None:
    """A few hundred networks of other seeds agree with them."""
    places, expected = stored(name)
    found = brute_force(CASES[name], share(100 if name[1] == 256 else 1000), seed=1)
    error = np.hypot(found.error[places], expected.error)
    assert np.all(np.abs(found.value[places] - expected.value) < SIGMAS * error)


@cases
def test_theory_is_within_its_allowance(name: tuple[str, int]) -> None:
    """Every layer to the tenth has one, of at most 1 %."""
    places, expected = stored(name)
    value, slack, _ = theory(CASES[name])[places].T
    assert np.all(slack <= 0.01)
    beyond = np.abs(value - expected.value) - slack * value
    assert np.all(beyond < SIGMAS * expected.error)


def test_each_order_of_the_correction_counts() -> None:
    """The limit, and its first correction, are off for ReLU of width 64 in layer 10."""
    network = CASES["relu", 64].network
    *_, top = _terms(network, layers_in_limit(network), 200)
    _, simulated = stored(("relu", 64))
    value, error = simulated.value[-1], simulated.error[-1]
    assert abs(top.limit - value) > 10 * SIGMAS * error
    assert abs(top.limit + top.first - value) > SIGMAS * error
    assert abs(top.limit + top.first + top.second - value) < SIGMAS * error


@cases
def test_the_spread_between_networks_is_that_of_theory(name: tuple[str, int]) -> None:
    """Its root is not too small, and too large by less than the factor for the spread of h².

    The bounds allow for 4.5 times the stored root's error, 1/√networks for a kurtosis of 5.
    """
    places, expected = stored(name)
    rows = predict(CASES[name].network)
    factor = np.sqrt(1 + np.array([row.batch_spread for row in rows], float)[places])
    ratio = np.sqrt(theory(CASES[name])[places, 2] / expected.spread)
    error = expected.error / np.sqrt(expected.spread)
    assert np.all(ratio > 1 - SIGMAS * error)
    assert np.all(ratio < factor + SIGMAS * error)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu(0.2)", "abs", "relu2"])
@pytest.mark.parametrize("width", [8, 64])
def test_homogeneous_activations_have_no_correction_in_layer_2(activation: str, width: int) -> None:
    """Given a column w of W, h of layer 1 is normal with the covariances |w|² (1, ρ), exactly."""
    network = replace(SMALL, activation=activation, widths=(width,) * 4)
    _, second, third = _terms(network, layers_in_limit(network), 200)
    assert abs(second.first) < 1e-9
    assert abs(second.second) < 1e-9
    assert abs(third.first) > 1e-4 / width


def test_the_correlation_of_a_linear_stack_is_that_of_its_inputs() -> None:
    """At any width, without an allowance but for rounding."""
    network = Network(widths=(16,) * 30, activation="identity", correlation=0.3, backward=False)
    for layer in predict(network):
        assert layer.correlation == pytest.approx(0.3, abs=1e-12)
        assert layer.correlation_slack is not None
        assert layer.correlation_slack < 1e-5


@pytest.mark.parametrize("scale", [1e-24, 1e24])
def test_the_scale_of_signals_does_not_matter(scale: float) -> None:
    """For a homogeneous activation, up to what floats hold of squares."""
    network = replace(SMALL, scale=str(scale))
    for layer, other in zip(predict(network), predict(SMALL), strict=True):
        assert layer.correlation == pytest.approx(other.correlation, rel=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        {"norm": "layer"}, {"residual": 1.0}, {"w_dist": "uniform"}, {"init": "orthogonal"},
        {"activation": "gelu", "scale": "he", "widths": (16,) * 12},
    ],
    ids=str,
)  # fmt: skip
def test_without_an_expansion_theory_is_the_limit_without_a_verdict(
    settings: dict[str, Any],
) -> None:
    """A caveat says so; the last layer's is, in a chaotic stack."""
    every: dict[str, Any] = {"widths": (32,) * 4, "correlation": 0.5, "networks": 8, "batch": 4}
    network = Network(**every | settings)
    row = rows_of(network)[-1]
    assert row.correlation_theory == layers_in_limit(network).correlations[-1]
    assert row.pairs is not None
    assert row.pairs.claim is row.correlation_z is row.correlation_p is None
    assert row.pairs.std_error > 0.0
    assert "limit-correlation" in {caveat.id for caveat in row.caveats}


# Measurement and verdicts.


def samples_of(network: Network, count: int | None = None) -> list[Sampled]:
    return [sample_network(network, index) for index in range(count or network.networks)]


def rows_of(network: Network, samples: list[Sampled] | None = None) -> list[LayerResult]:
    study = StackStudy(network)
    return study.rows(reduce(StackTotals.plus, samples or samples_of(network), study.empty()))


SMALL = Network(
    widths=(24,) * 4, activation="relu", scale="he", correlation=0.5, batch=6, networks=16,
    backward=False,
)  # fmt: skip


def test_the_error_is_that_of_a_ratio_of_means() -> None:
    """By the delta method, from the moments of every network."""
    samples = samples_of(SMALL)
    moments = np.stack([sample.moments for sample in samples])
    square, product = (moments[:, :, FIELDS.index(name)] for name in ("square", "product"))
    ratio = product.mean(axis=0) / square.mean(axis=0)
    rest = (product - ratio * square) / square.mean(axis=0)
    errors = np.sqrt((rest**2).sum(axis=0) / 15 / 16)
    for row, value, error in zip(rows_of(SMALL, samples), ratio, errors, strict=True):
        assert row.output_correlation == pytest.approx(value, rel=1e-12)
        assert row.correlation_std_error == pytest.approx(error, rel=1e-9)
        assert row.pairs is not None
        assert row.pairs in row.estimates


def test_totals_in_parts_are_those_of_the_whole() -> None:
    """In two parts, pooled, and in one."""
    samples = samples_of(SMALL)
    study = StackStudy(SMALL)
    whole, first, second = (
        reduce(StackTotals.plus, some, study.empty()).layers
        for some in (samples, samples[:5], samples[5:])
    )
    for expected, *parts in zip(whole, first, second, strict=True):
        pooled = LayerTotals.pooled(parts)
        assert pooled.product_m2 == pytest.approx(expected.product_m2, rel=1e-12)
        assert pooled.product_square == pytest.approx(expected.product_square, rel=1e-12)


def groups_of(network: Network, count: int) -> list[list[LayerResult]]:
    """Rows of independent groups of networks, each as large as the network asks for."""
    samples = samples_of(network, count * network.networks)
    starts = range(0, len(samples), network.networks)
    return [rows_of(network, samples[start : start + network.networks]) for start in starts]


def test_right_claims_are_rarely_rejected() -> None:
    """At p < 0.05, no more often than that allows in top layers of 200 groups of 16 networks.

    The bound is the binomial's at 1e-6. So are the 95 % intervals that miss, at a rate of 10 %:
    Student's t of a ratio is not exact for 16 networks.
    """
    groups = groups_of(SMALL, share(200))
    tops = [rows[-1].pairs for rows in groups]
    p_values = [top.joint_p for top in tops if top is not None]
    assert len(p_values) == len(groups)
    rejected = sum(p is not None and p < 0.05 for p in p_values)
    assert rejected <= stats.binom.isf(1e-6, len(groups), 0.05)
    missed = sum(top is not None and top.p is not None and top.p < 0.05 for top in tops)
    assert missed <= stats.binom.isf(1e-6, len(groups), 0.1)


def test_a_wrong_claim_is_rejected() -> None:
    """A c that is off by seven errors, in one layer of three; the true one is not."""
    rows = rows_of(replace(SMALL, networks=64))
    assert [row.agrees for row in judge(rows)] == [True] * 3
    middle = rows[1]
    assert middle.pairs is not None
    assert middle.pairs.claim is not None
    error = max(middle.pairs.std_error, middle.pairs.expected_error)
    for side in (-1, 1):
        wrong = middle.prediction._replace(correlation=middle.pairs.value + side * 7 * error)
        judged = judge([rows[0], replace(middle, prediction=wrong), rows[2]])
        assert [row.agrees for row in judged] == [True, False, True]


def test_infinite_width_alone_is_rejected() -> None:
    """By the correlation: the limit of Var[h] is exact for ReLU, and finite width agrees."""
    network = replace(SMALL, widths=(32,) * 11, networks=500)
    samples = samples_of(network)
    assert {row.agrees for row in judge(rows_of(network, samples))} == {True}
    study = StackStudy(network, infinite_width=True)
    *_, last = judge(study.rows(reduce(StackTotals.plus, samples, study.empty())))
    assert last.agrees is False
    assert last.p is not None
    assert last.p > 0.01


@pytest.mark.parametrize("correlation", [0.0, 1.0])
def test_independent_and_equal_inputs_have_no_verdict_on_their_correlation(
    correlation: float,
) -> None:
    """No estimate, and no caveat about it."""
    for row in rows_of(replace(SMALL, correlation=correlation)):
        assert row.pairs is None
        assert row.correlation_std_error is row.correlation_slack is None
        assert row.output_correlation is not None
        assert "limit-correlation" not in {caveat.id for caveat in row.caveats}


def test_correlations_are_compared() -> None:
    """Like the signals, by their errors."""
    a, b = (rows_of(replace(SMALL, seed=seed)) for seed in (0, 1))
    found = compare(match(STACK, a, b))
    assert [each.measure for each in found] == ["Var[h]", "corr[h]"] * 3
    assert {each.verdict for each in found} == {"agrees"}


def print_simulated() -> None:
    """Print :data:`SIMULATED`: corr[h], its standard error and its spread, by layer."""
    for (name, width), case in CASES.items():
        found = brute_force(case, 2500 if width == 256 else 30_000)
        places = [place for place in LAYERS if place < len(case.widths) - 1]
        cells = ", ".join(
            f"({found.value[i]:.5f}, {found.error[i]:.5f}, {found.spread[i]:.5f})" for i in places
        )
        sys.stdout.write(f'    ("{name}", {width}): [{cells}],\n')
        sys.stdout.flush()


if __name__ == "__main__":
    print_simulated()

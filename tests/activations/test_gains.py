"""Gains: quadrature against closed forms, and against an independent high-precision integral."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest
from mpmath import mpf
from scipy import integrate, stats

from tests.program import here, needs, on_terminal, rows, run
from varsim import InputError
from varsim.activations import (
    ACTIVATIONS,
    ALIASES,
    PARAMETRIC,
    canonical_name,
    find_activation,
    lookup,
)
from varsim.activations.gains import TORCH, critical, critical_at, gain, gains
from varsim.activations.quadrature import gaussian_mean
from varsim.stack.question import Network
from varsim.stack.theory import predict

KEY_OF_SILU = "84ef2dc14588ec7f442a77b253d82f9d"

# Written here a second time, from the papers, for arbitrary precision.
ORACLES: dict[str, Callable[[Any], Any]] = {
    "identity": lambda h: h,
    "relu": lambda h: h if h > 0 else mpf(0),
    "leaky_relu": lambda h: h if h > 0 else h / 100,
    "elu": lambda h: h if h > 0 else mpmath.expm1(h),
    "selu": lambda h: mpf("1.0507009873554804934193349852946")
    * (h if h > 0 else mpf("1.6732632423543772848170429916717") * mpmath.expm1(h)),
    "celu": lambda h: h if h > 0 else mpmath.expm1(h),
    "gelu": lambda h: h * mpmath.ncdf(h),
    "gelu_tanh": lambda h: h / 2
    * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * (h + mpf("0.044715") * h**3))),
    "quick_gelu": lambda h: h / (1 + mpmath.exp(-mpf("1.702") * h)),
    "silu": lambda h: h / (1 + mpmath.exp(-h)),
    "mish": lambda h: h * mpmath.tanh(mpmath.log1p(mpmath.exp(h))),
    "softplus": lambda h: mpmath.log1p(mpmath.exp(h)),
    "softsign": lambda h: h / (1 + abs(h)),
    "sigmoid": lambda h: 1 / (1 + mpmath.exp(-h)),
    "tanh": mpmath.tanh,
    "hardtanh": lambda h: min(max(h, mpf(-1)), mpf(1)),
    "hardswish": lambda h: h * min(max(h + 3, mpf(0)), mpf(6)) / 6,
    "relu6": lambda h: min(max(h, mpf(0)), mpf(6)),
    "relu2": lambda h: h * h if h > 0 else mpf(0),
    "abs": abs,
    "sin": mpmath.sin,
    "erf": mpmath.erf,
}  # fmt: skip


class Averages(NamedTuple):
    """E φ, E φ², E φ′² and E φ² (h² - K) for h ~ N(0, K)."""

    mean: float
    square: float
    slope: float
    tilt: float


def averages(name: str, variance: float) -> Averages:
    """Integrate with 30 digits, by Gauss-Legendre between kinks, where φ is analytic.

    φ is computed once per node for all four, and its slope by central differences: 20 digits.
    """
    phi, step = ORACLES[name], mpf(10) ** -10
    nodes: dict[Any, list[Any]] = {}

    def at(z: Any) -> list[Any]:
        if z not in nodes:
            h, density = deviation * z, mpmath.npdf(z)
            value, slope = phi(h), (phi(h + step) - phi(h - step)) / (2 * step)
            terms = value, value**2, slope**2, value**2 * (h**2 - variance)
            nodes[z] = [term * density for term in terms]
        return nodes[z]

    with mpmath.workdps(30):
        deviation = mpmath.sqrt(mpf(variance))
        kinks = [k / deviation for k in ACTIVATIONS[name].kinks if abs(k) < 12 * deviation]
        ends = sorted({*map(mpf, (-15, -6, -2, 0, 2, 6, 15)), *kinks})
        return Averages(*(float(mpmath.quadgl(lambda z, i=i: at(z)[i], ends)) for i in range(4)))


@pytest.mark.parametrize("variance", [1.0, 9.0])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gains_have_ten_digits(name: str, variance: float) -> None:
    """Every average behind a gain agrees with an integral of 30 digits."""
    actual, exact = gains(ACTIVATIONS[name], variance), averages(name, variance)
    second, of_slope = exact.square, exact.slope
    assert actual.mean == pytest.approx(exact.mean, rel=1e-11, abs=1e-13)
    assert actual.second_moment == pytest.approx(second, rel=1e-11)
    assert actual.gain == pytest.approx(math.sqrt(variance / second), rel=1e-11)
    assert actual.derivative_second_moment == pytest.approx(of_slope, rel=1e-9)
    assert actual.chi == pytest.approx(variance / second * of_slope, rel=1e-9)
    std = math.sqrt(second - exact.mean**2)
    assert actual.std_gain == pytest.approx(math.sqrt(variance) / std, rel=1e-9)
    # The same on the line χ⊥ = 1, where dE φ²/dK = E φ² (h² - K) / 2K² takes no derivative.
    tilt = exact.tilt / 2 / variance**2
    at = critical_at(ACTIVATIONS[name], variance)
    assert at.weights == pytest.approx(1 / of_slope, rel=1e-9)
    assert at.bias == pytest.approx(variance - second / of_slope, abs=1e-8 * variance)
    assert at.chi_parallel == pytest.approx(tilt / of_slope, rel=1e-8, abs=1e-8)
    assert at.chi_perpendicular == pytest.approx(1.0, rel=1e-14)


def test_every_activation_has_an_oracle() -> None:
    """The two tables have the same names."""
    assert set(ORACLES) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_are_those_of_the_functions(name: str) -> None:
    """They equal central differences away from kinks, and dtypes are kept."""
    activation = ACTIVATIONS[name]
    h = np.linspace(-7.3, 7.1, 997)
    h = h[np.all(np.abs(h[:, None] - np.array([math.inf, *activation.kinks])) > 1e-3, axis=1)]
    numeric = (activation.phi(h + 1e-5) - activation.phi(h - 1e-5)) / 2e-5
    assert activation.derivative(h) == pytest.approx(numeric, abs=2e-8)
    for function in (activation.phi, activation.derivative):
        single = function(h.astype(np.float32))
        assert single.dtype == np.float32
        assert single == pytest.approx(function(h), abs=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_both_at_once_are_each_alone(name: str, dtype: str) -> None:
    """To the last bit, in both precisions; and h stays as it was."""
    activation = ACTIVATIONS[name]
    h = np.linspace(-30, 30, 10_001).astype(dtype)
    before = h.copy()
    phi, slope = activation.both(h)
    np.testing.assert_array_equal(phi, activation.phi(h), strict=True)
    np.testing.assert_array_equal(slope, activation.derivative(h), strict=True)
    np.testing.assert_array_equal(h, before)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_bounds_and_homogeneity_are_as_declared(name: str) -> None:
    """No value is beyond the bounds, some come near, and φ(3h) = 3φ(h) where it is declared."""
    activation = ACTIVATIONS[name]
    h = np.concatenate([np.linspace(-40, 40, 400_001), [-1e4, 1e4]])
    values = activation.phi(h)
    low, high = activation.bounds
    assert low - 1e-9 <= values.min()
    assert values.max() <= high + 1e-9
    for bound, reached in ((low, values.min()), (high, values.max())):
        assert abs(reached - bound) < 2e-4 or not math.isfinite(bound)
    scaled = np.allclose(activation.phi(3 * h), 3 * values, rtol=1e-12, atol=1e-12)
    assert bool(scaled) is activation.homogeneous
    dead = np.mean(activation.derivative(h[(np.abs(h) > 3) & (np.abs(h) < 5)]) == 0.0)
    assert bool(dead > 0.1) is activation.flat


CLOSED: list[tuple[str, float, str, float]] = [
    ("relu", 3.0, "second_moment", 1.5),
    ("leaky_relu(0.2)", 1.0, "second_moment", (1 + 0.2**2) / 2),
    ("abs", 2.0, "mean", math.sqrt(4 / math.pi)),
    ("relu2", 1.0, "second_moment", 1.5),
    # Williams (1997), eq. 11: E erf(h)² = (2/π) asin(2q / (1 + 2q)).
    ("erf", 1.7, "second_moment", 2 / math.pi * math.asin(3.4 / 4.4)),
    ("erf", 1.7, "derivative_second_moment", 4 / math.pi / math.sqrt(1 + 4 * 1.7)),
    ("sin", 0.8, "second_moment", (1 - math.exp(-1.6)) / 2),
    ("sin", 0.8, "derivative_second_moment", (1 + math.exp(-1.6)) / 2),
    ("gelu", 2.0, "mean", 2.0 / math.sqrt(2 * math.pi * 3)),
    # Roberts, Yaida & Hanin (2022), eq. 5.81.
    ("gelu", 2.0, "second_moment", 2 / 4 + 2 / (2 * math.pi)
     * (math.asin(2 / 3) + 2 * 2 / (3 * math.sqrt(5)))),
    ("selu", 1.0, "mean", 0.0),
    ("selu", 1.0, "second_moment", 1.0),
    ("sigmoid", 5.0, "mean", 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("name", "variance", "what", "value"), CLOSED)
def test_closed_forms(name: str, variance: float, what: str, value: float) -> None:
    """Averages with a closed form meet it to twelve digits."""
    actual = getattr(gains(find_activation(name), variance), what)
    assert actual == pytest.approx(value, rel=1e-12, abs=1e-14)


def test_softplus_is_the_integral_of_sigmoid() -> None:
    """So E softplus′² = E sigmoid²."""
    for variance in (0.3, 1.0, 20.0):
        plus, logistic = (gains(ACTIVATIONS[n], variance) for n in ("softplus", "sigmoid"))
        assert plus.derivative_second_moment == pytest.approx(logistic.second_moment, rel=1e-13)


def test_quadrature_splits_at_kinks_where_gauss_hermite_fails() -> None:
    """200 nodes of Gauss-Hermite miss E relu by 1e-4 and more; ours have 14 digits."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    hermite = float(np.maximum(nodes, 0) @ weights / math.sqrt(2 * math.pi))
    exact = 1 / math.sqrt(2 * math.pi)
    assert abs(hermite - exact) > 1e-4
    assert float(gaussian_mean(lambda h: np.maximum(h, 0), 1.0, [0.0])) == pytest.approx(
        exact, rel=1e-14
    )


@pytest.mark.parametrize("variance", [1e-3, 1.0, 50.0, 100.0])
def test_quadrature_goes_as_far_as_its_integrand(variance: float) -> None:
    """E sinh² = (exp(2q) - 1) / 2 has its mass at 2√q deviations: at 20 for q = 100."""
    second = gains(find_activation("numpy:sinh:cosh"), variance).second_moment
    assert second == pytest.approx(math.expm1(2 * variance) / 2, rel=1e-12)


UNRESOLVED: dict[str, tuple[Callable[[Any], Any], float, str]] = {
    "overflows": (np.exp, 1e3, "at h = 710.* not finite"),
    "has no value": (np.arctanh, 1.0, "at h = -1.* not finite"),
    "grows as the density falls": (lambda h: np.exp(h * h * 0.49), 1.0, "beyond 38 standard"),
    "is infinite": (lambda h: 1 / np.abs(h), 1.0, "at h = .* not finite"),
    "oscillates": (lambda h: np.sin(h) ** 2, 1e12, "changes too often"),
    "is noise": (
        lambda h: np.random.default_rng(0).normal(size=h.shape), 1.0, "compute in float64"
    ),
    "is of single precision": (lambda h: in_single(h) ** 2, 1.0, "compute in float64"),
    "is too large": (lambda h: h * 1e308, 1e10, "not finite"),
    "is too small": (lambda h: h * 1e-320, 1.0, "beyond the normal range"),
}  # fmt: skip


@pytest.mark.parametrize("case", UNRESOLVED)
def test_quadrature_refuses_what_it_cannot_resolve(case: str) -> None:
    """In one sentence, and after a bounded number of evaluations."""
    function, variance, reason = UNRESOLVED[case]
    nodes = []

    def counted(h: Any) -> Any:
        nodes.append(h.size)
        return function(h)

    with pytest.raises(InputError, match=rf"^the averages of f at [^\n]*{reason}[^\n]*$"):
        gaussian_mean(counted, variance, name="f")
    assert sum(nodes) < 2.2e6


def test_quadrature_finds_jumps_that_it_is_not_told() -> None:
    """Only the pieces at them are halved, so that they cost little."""
    nodes = []

    def jump(h: Any) -> Any:
        nodes.append(h.size)
        return (h > 0.3).astype(float)

    exact = math.erfc(0.3 / math.sqrt(2)) / 2
    assert float(gaussian_mean(jump, 1.0)) == pytest.approx(exact, rel=1e-12)
    assert sum(nodes) < 60_000


@pytest.mark.parametrize("variance", [1e4, 1e6, 1e8])
def test_fast_oscillations_are_resolved(variance: float) -> None:
    """Of sin, a thousand per deviation; at 1e10, where its averages were wrong, it is refused."""
    actual = gains(ACTIVATIONS["sin"], variance)
    assert actual.second_moment == pytest.approx(0.5, rel=1e-11)
    with pytest.raises(InputError, match="changes too often"):
        gains(ACTIVATIONS["sin"], 1e10)


@pytest.mark.slow
def test_functions_of_single_precision_have_theory_but_no_ten_digits() -> None:
    """A stack of them is predicted as tanh is; a gain is refused. Their step is a larger one."""
    single = find_activation("tests.activations.test_gains:in_single")
    h = np.linspace(-3, 3, 101)
    assert single.derivative(h) == pytest.approx(1 - np.tanh(h) ** 2, abs=2e-4)
    with pytest.raises(InputError, match="compute in float64"):
        gains(single)
    ours, exact = (
        predict(Network(widths=(64,) * 4, activation=name))
        for name in ("tests.activations.test_gains:in_single", "tanh")
    )
    for mine, other in zip(ours, exact, strict=True):
        assert mine.variance == pytest.approx(other.variance, rel=1e-4)
        assert mine.gradient == pytest.approx(other.gradient, rel=1e-3)


@pytest.mark.parametrize("variance", [1e-8, 1e-3, 1e3, 1e8])
def test_gains_hold_far_from_one(variance: float) -> None:
    """ReLU's does not depend on the variance; tanh tends to the identity or to a sign."""
    assert gains(ACTIVATIONS["relu"], variance).gain == pytest.approx(math.sqrt(2), rel=1e-12)
    assert gains(ACTIVATIONS["relu"]).gain == math.sqrt(2)
    tanh = gains(ACTIVATIONS["tanh"], variance).second_moment
    if variance < 1:
        assert tanh == pytest.approx(variance - 2 * variance**2, rel=10 * variance**2 + 1e-12)
    else:
        assert 1 - tanh == pytest.approx(2 / math.sqrt(2 * math.pi * variance), rel=0.02)


KINDS = {
    "scale-invariant": {"identity", "relu", "leaky_relu", "abs"},
    "half-stable": {"gelu", "gelu_tanh", "quick_gelu", "silu", "mish", "hardswish"},
    "K* = 0": {"tanh", "sin", "erf", "softsign", "hardtanh", "elu", "celu", "selu", "relu6"},
    "line only": {"sigmoid", "relu2"},
    "none": {"softplus"},
}


def test_critical_points_are_those_of_the_book() -> None:
    """Classes and numbers are those of Roberts, Yaida & Hanin (2022), section 5.3."""
    actual = {name: critical(activation) for name, activation in ACTIVATIONS.items()}
    assert {k: {n for n, c in actual.items() if c.kind == k} for k in KINDS} == KINDS
    assert actual["gelu"].variance == pytest.approx((3 + math.sqrt(17)) / 2, rel=1e-10)
    assert actual["gelu"].weights == pytest.approx(1.98305826, abs=5e-9)
    assert actual["gelu"].bias == pytest.approx(0.17292239, abs=5e-9)
    assert actual["silu"].variance == pytest.approx(14.32017362, abs=5e-8)
    assert actual["silu"].weights == pytest.approx(1.98800468, abs=5e-9)
    assert actual["silu"].bias == pytest.approx(0.55514317, abs=5e-9)
    assert actual["erf"].weights == pytest.approx(math.pi / 4, rel=1e-12)
    assert actual["relu"].weights == pytest.approx(2.0, rel=1e-12)
    assert actual["relu6"].weights == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize("name", sorted(KINDS["half-stable"]))
def test_a_critical_point_is_a_fixed_point_with_susceptibilities_of_one(name: str) -> None:
    """K* maps to itself, and both derivatives of the map are 1 there, numerically."""
    activation, at = ACTIVATIONS[name], critical(ACTIVATIONS[name])
    assert at.weights is not None
    assert at.bias is not None
    assert at.variance is not None

    def following(variance: float) -> float:
        return at.bias + at.weights * gains(activation, variance).second_moment  # type: ignore[operator]

    assert following(at.variance) == pytest.approx(at.variance, rel=1e-12)
    step = 1e-4 * at.variance
    parallel = (following(at.variance + step) - following(at.variance - step)) / (2 * step)
    assert parallel == pytest.approx(1.0, abs=1e-7)
    perpendicular = at.weights * gains(activation, at.variance).derivative_second_moment
    assert perpendicular == pytest.approx(1.0, rel=1e-12)
    assert (at.chi_perpendicular, at.chi_parallel) == (1.0, 1.0)
    # Half-stable: the variance moves the same way on both sides of K*, though slowly.
    below, above = (following(at.variance * by) / at.variance - by for by in (0.99, 1.01))
    assert (below > 0) == (above > 0)
    assert 1e-9 < abs(below) < 1e-4
    assert 1e-9 < abs(above) < 1e-4


LINE: dict[str, Callable[[float], tuple[float, float, float]]] = {
    # relu2: E φ² = 3K²/2 and E φ′² = 2K.
    "relu2": lambda k: (1 / (2 * k), k / 4, 1.5),
    "relu": lambda k: (2.0, 0.0, 1.0),
    "numpy:exp:exp": lambda k: (math.exp(-2 * k), k - 1, 2.0),
    "numpy:sinh:cosh": lambda k: (
        2 / (math.exp(2 * k) + 1), k - math.tanh(k), 2 / (1 + math.exp(-2 * k))
    ),
    "numpy:cosh:sinh": lambda k: (
        2 / math.expm1(2 * k), k - 1 / math.tanh(k), -2 / math.expm1(-2 * k)
    ),
    "sin": lambda k: (
        2 / (1 + math.exp(-2 * k)), k - math.tanh(k), 2 / (1 + math.exp(2 * k))
    ),
}  # fmt: skip


@pytest.mark.parametrize("variance", [0.5, 2.0, 50.0])
@pytest.mark.parametrize("name", LINE)
def test_the_line_in_closed_form(name: str, variance: float) -> None:
    """C_W, C_b and χ∥ on the line χ⊥ = 1; a negative C_b is none, and χ∥ says whether K is kept."""
    weights, bias, parallel = LINE[name](variance)
    at = critical_at(find_activation(name), variance)
    assert at.weights == pytest.approx(weights, rel=1e-9)
    assert at.bias == pytest.approx(bias, abs=1e-9 * variance)
    assert at.chi_parallel == pytest.approx(parallel, rel=1e-9, abs=1e-12)
    stability = "marginal" if parallel == 1 else "stable" if parallel < 1 else "unstable"
    assert at.kind == ("none" if bias < 0 else stability)


@pytest.mark.parametrize(
    ("name", "weights", "bias"), [("sigmoid", 151.36, 30.26), ("relu2", 0.005, 25.0)]
)
def test_activations_without_a_critical_point_have_a_line(
    name: str, weights: float, bias: float
) -> None:
    """At K = 100, by SciPy, a fixed point with χ⊥ = 1 is there, though --critical has no point."""
    phi = ACTIVATIONS[name].phi

    def mean(function: Callable[[float], float]) -> float:
        parts = [
            integrate.quad(
                lambda h: function(h) * float(stats.norm.pdf(h, scale=10)), *ends,
                epsabs=1e-14, epsrel=1e-11, limit=500,
            )[0]
            for ends in pairwise((-150, -20, -5, 0, 5, 20, 150))
        ]  # fmt: skip
        return float(sum(parts))

    def value(h: float) -> float:
        return float(phi(np.array([h]))[0])

    def slope(h: float) -> float:
        return 2 * max(h, 0.0) if name == "relu2" else value(h) * value(-h)

    second, of_slope = mean(lambda h: value(h) ** 2), mean(lambda h: slope(h) ** 2)
    at = critical_at(ACTIVATIONS[name], 100.0)
    assert at.weights == pytest.approx(1 / of_slope, rel=1e-9)
    assert at.bias == pytest.approx(100 - second / of_slope, rel=1e-9)
    assert (at.weights, at.bias) == pytest.approx((weights, bias), rel=2e-4)


@pytest.mark.parametrize(
    ("name", "kind", "weights"),
    [
        ("numpy:expm1", "K* = 0", 1.0),
        ("numpy:sinh", "K* = 0", 1.0),
        ("scipy.special:erfinv", "K* = 0", 4 / math.pi),
        ("numpy:exp:exp", "line only", math.exp(-2)),
        ("relu2", "line only", None),
        ("numpy:zeros_like", "none", None),
        ("tests.activations.test_gains:rectified", "scale-invariant", 2.0),
    ],
)
def test_functions_that_leave_the_floats_have_their_critical_point(
    name: str, kind: str, weights: float | None
) -> None:
    """The search ends where averages cannot be computed: nothing is made of what is beyond."""
    at = critical(find_activation(name))
    assert at.kind == kind
    assert at.weights == (None if weights is None else pytest.approx(weights, rel=1e-9))


@pytest.mark.parametrize(
    ("name", "least"), [("sigmoid", None), ("numpy:exp:exp", 1.0), ("numpy:cosh:sinh", 1.19967864)]
)
def test_a_line_begins_where_no_bias_is_needed(name: str, least: float | None) -> None:
    """C_b = K - 1 of exp; K tanh K = 1 for cosh. Below, C_b is negative."""
    at = critical(find_activation(name))
    assert at.variance is not None
    assert at.bias == 0.0
    assert at.variance == (at.variance if least is None else pytest.approx(least, rel=1e-8))
    below, above = (
        critical_at(find_activation(name), at.variance * by) for by in (1 - 1e-6, 1 + 1e-6)
    )
    assert below.bias < 0 < above.bias  # type: ignore[operator]
    assert at.weights == pytest.approx(above.weights, rel=1e-5)
    assert at.chi_parallel == pytest.approx(above.chi_parallel, rel=1e-5)


def rectified(h: Any) -> Any:
    return np.maximum(h, 0)


def in_single(h: Any) -> Any:
    return np.tanh(h.astype(np.float32))


def test_gains_by_name() -> None:
    """They are taken by the library and by --gain."""
    assert gain("gelu") == gains(ACTIVATIONS["gelu"]).gain
    assert gain("swish", 2.0) == gains(ACTIVATIONS["silu"], 2.0).gain
    assert gain("torch:selu") == 0.75
    done = run("--scale", "xavier", "--gain", "gelu,torch:tanh,5/3,2", "-n", "6400", "-f", "jsonl")
    actual = [json.loads(line)["gain"] for line in done.stdout.splitlines()]
    assert actual == [gain("gelu"), 5 / 3, 2.0]


@pytest.mark.parametrize("name", TORCH)
def test_torch_s_table_is_torch_s(name: str) -> None:
    """Every gain in it equals that of an installed torch."""
    needs("torch")
    init = import_module("torch.nn.init")
    known = "linear" if name == "identity" else name
    assert TORCH[name].gain == pytest.approx(init.calculate_gain(known), rel=1e-15)


def test_functions_of_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from the current folder, with or without a derivative; mistakes are told."""
    (tmp_path / "mine.py").write_text(
        "import warnings, numpy as np\n"
        "def phi(h): return np.tanh(h)\n"
        "def slope(h): return 1 - np.tanh(h) ** 2\n"
        "def wrong(h): return h.sum()\n"
        "def broken(h): raise KeyError('no')\n"
        "def leaves(h): raise SystemExit(0)\n"
        "def imaginary(h): return h * 1j\n"
        "def text(h): return np.full(h.shape, 'a')\n"
        "def ragged(h): return [[1], [1, 2]]\n"
        "def nothing(h): pass\n"
        "def periods(h): return np.ones(h.shape, 'm8[s]')\n"
        "class Own(BaseException): pass\n"
        "def own(h): raise Own\n"
        "def loud(h):\n"
        "    print('hello')\n"
        "    warnings.warn('careful')\n"
        "    return np.log(h * h) * 0 + h\n"
        "number = 3\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    done = run("gains", "mine:phi", "mine:phi:slope", "tanh", "-f", "jsonl")
    numeric, exact, ours = (json.loads(line) for line in done.stdout.splitlines())
    assert exact["chi"] == ours["chi"]
    assert numeric["gain"] == pytest.approx(ours["gain"], rel=1e-14)
    assert numeric["chi"] == pytest.approx(ours["chi"], rel=1e-8)
    for name in (
        *("mine:wrong", "mine:broken", "mine:number", "mine:none", "nowhere:phi", "a:b:c:d"),
        *("mine:leaves", "mine:imaginary", "mine:text", "mine:ragged", "mine:nothing"),
        *("mine:periods", "mine:own"),
    ):
        done = here("gains", name)
        assert done.returncode == 2, name
        assert done.stderr.count("\n") == 1
        assert name in done.stderr
    loud = here("gains", "mine:loud", "-f", "csv")
    assert loud.stdout.count("\n") == 2
    assert set(loud.stderr.split()) == {"hello"}
    lookup._activation.cache_clear()
    gained = here("-d", "8", "-s", "xavier", "-g", "mine:loud", "-n", "640", "-f", "csv", "-q")
    assert gained.stdout.count("\n") == 2
    assert set(gained.stderr.split()) == {"hello"}
    sys.modules.pop("mine", None)


def test_files_beside_the_user_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names can be those of modules that libraries need."""
    for name in ("scipy", "queue", "logging", "numpy", "click"):
        (tmp_path / f"{name}.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    done = run("-d", "8", "-n", "640", "-s", "xavier", "-g", "gelu", "-q", "-f", "csv")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name",
    [
        *("reluu", "relu(0.1)", "elu(x)", "celu(0)", "torch:gelu", "", "elu(nan)", "elu(True)"),
        *(
            "elu('a')",
            "elu(alpha=1)",
            "elu(1, 2)",
            "elu(1e999)",
            "elu(" + "9" * 400 + ")",
            "reluu(1)",
        ),
    ],
)
def test_a_mistake_is_one_sentence(name: str) -> None:
    """It is the same in the library and at both commands."""
    with pytest.raises(InputError, match=r"^[^\n]{20,400}$"):
        gain(name)
    for args in (["gains", name], ["--scale", "xavier", "--gain", f"g{name}"]):
        done = here(*args)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1


def test_a_constant_has_no_std_gain() -> None:
    """Its variance is 0, or what rounding leaves of it: the value is unknown, not an error."""
    for row in rows("gains", "numpy:ones_like", "--variance", "0.1:3:0.1"):
        assert (row["gain"], row["std_gain"]) == (pytest.approx(row["variance"] ** 0.5), None)
    assert here("gains", "numpy:ones_like").returncode == 0


def test_variances_outside_are_refused() -> None:
    """Zero, negative and overflowing ones are wrong usage."""
    for variance in ("0", "-1", "1e300"):
        assert here("gains", "tanh", "--variance", variance).returncode == 2
    with pytest.raises(InputError, match="beyond the normal range of floats"):
        gains(ACTIVATIONS["relu"], 1e-320)


def test_names_and_parameters() -> None:
    """Aliases lead to the table, and a parameter's default is the table's."""
    for alias, name in ALIASES.items():
        assert find_activation(alias) is ACTIVATIONS[name]
    h = np.linspace(-3, 3, 50)
    for name, default in (("leaky_relu", 0.01), ("elu", 1.0), ("celu", 1.0)):
        parametric = PARAMETRIC[name](default)
        assert parametric.phi(h).tolist() == ACTIVATIONS[name].phi(h).tolist()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((name, name) for name in ACTIVATIONS),
        *ALIASES.items(),
        (" ReLU ", "relu"),
        ("LeakyReLU( 0.20 )", "leaky_relu(0.2)"),
        ("leaky_relu(1/5)", "leaky_relu(0.2)"),
        ("leaky_relu(0.2)", "leaky_relu(0.2)"),
        ("celu(2.0)", "celu(2)"),
        ("elu(1e-05)", "elu(1e-05)"),
        ("elu(-0.5)", "elu(-0.5)"),
        (" mine:phi:slope ", "mine:phi:slope"),
    ],
)
def test_an_activation_has_one_spelling(text: str, name: str) -> None:
    """It has one object, and all of its spellings lead to it."""
    assert canonical_name(text) == canonical_name(name) == name
    if ":" not in text:
        assert find_activation(text) is find_activation(name)


def test_a_canonical_spelling_has_the_key_that_it_always_had() -> None:
    """Published streams stay: an alias has a key of its own, as it always had."""
    keys = [Network(widths=(8, 8, 8), activation=name).key for name in ("silu", "swish")]
    assert keys[0] == KEY_OF_SILU != keys[1]


def test_the_kind_and_both_susceptibilities_are_in_the_table() -> None:
    """Without a variance, the points; with some, a row for each, and a negative C_b is none."""
    points = rows("gains", "tanh,gelu,sigmoid,softplus", "--critical")
    assert [row["critical"] for row in points] == ["K* = 0", "half-stable", "line only", "none"]
    assert [row["chi_perpendicular"] for row in points] == [1.0, 1.0, 1.0, None]
    assert [row["chi_parallel"] for row in points[:2]] == [1.0, 1.0]
    line = rows("gains", "tanh,sigmoid", "--critical", "--variance", "2,100")
    assert [(row["activation"], row["variance"], row["critical"]) for row in line] == [
        ("tanh", 2, "stable"), ("sigmoid", 2, "none"),
        ("tanh", 100, "stable"), ("sigmoid", 100, "stable"),
    ]  # fmt: skip
    assert [row["bias_variance"] > 0 for row in line] == [True, False, True, True]
    assert all(row["chi_perpendicular"] == pytest.approx(1) for row in line)
    done = here("gains", "relu6", "--critical", "-v", "1")
    assert "1.876e-09" in done.stdout  # to the digits that K - C_W E φ² has
    assert "none: C_b is negative, so no such network exists" in done.stdout


@pytest.mark.parametrize("options", [["--critical"], ["--critical", "-v", "1,100"]])
def test_critical_tables_fit_a_terminal_of_80_columns(options: list[str]) -> None:
    """With all of their columns."""
    shown = on_terminal("gains", *options)
    assert "χ∥" in shown.splitlines()[0]
    assert "too narrow" not in shown

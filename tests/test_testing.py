"""Assertions on variances: their rate of false failures, their power, and their sentences."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.program import needs
from tests.tiers import share
from varsim import InputError
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.samplers import SAMPLERS
from varsim.testing import assert_initializer, assert_variance

NAMES = ["normal", "uniform", "truncated", "laplace"]

Init = Callable[[np.random.Generator, tuple[int, int]], Any]


def drawn(name: str, replicates: int, count: int, seed: int = 0) -> NDArray[np.float64]:
    w = np.empty(replicates * count)
    SAMPLERS[name](np.random.default_rng(seed), w)
    return w.reshape(replicates, count)


def fails(*args: Any, **options: Any) -> bool:
    try:
        assert_variance(*args, **options)
    except AssertionError:
        return True
    return False


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    return rng.standard_normal(shape) / math.sqrt(shape[0])


@pytest.mark.parametrize("mean", [0.0, None])
@pytest.mark.parametrize("name", NAMES)
def test_right_claims_fail_as_often_as_promised(name: str, mean: float | None) -> None:
    """At 1 %: within 5 standard errors of the binomial law; by name and by kurtosis."""
    count, replicates = 3000 if name == "laplace" else 300, share(4000)
    arrays = 0.1 * drawn(name, replicates, count)
    for kurtosis in (name, DISTRIBUTIONS[name].kurtosis):
        failed = np.mean([
            fails(w, 0.01, mean=mean, kurtosis=kurtosis, false_failure=0.01) for w in arrays
        ])  # fmt: skip
        assert abs(failed - 0.01) < 5 * math.sqrt(0.01 * 0.99 / replicates)


@pytest.mark.parametrize("count", [30, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_an_estimated_kurtosis_adds_no_false_failures(name: str, count: int) -> None:
    """At 1 %: at most 5 standard errors above it."""
    arrays = drawn(name, share(2000), count, seed=1)
    failed = np.mean([fails(w, 1.0, false_failure=0.01) for w in arrays])
    assert failed < 0.01 + 5 * math.sqrt(0.01 * 0.99 / len(arrays))


def test_an_estimated_kurtosis_still_sees_errors() -> None:
    """A quarter more or less variance, in 65,536 entries of any distribution."""
    for name in NAMES:
        (w,) = drawn(name, 1, 2**16)
        assert_variance(w, 1.0)
        for factor in (0.75, 1.25):
            assert fails(w, factor), name


def test_a_wrong_kurtosis_is_seen() -> None:
    """Laplace entries fail the test for normal ones more often than promised."""
    arrays = drawn("laplace", 400, 3000)
    assert np.mean([fails(w, 1.0, kurtosis=3, false_failure=0.01) for w in arrays]) > 0.05


def test_a_failure_says_what_was_measured_and_what_fits() -> None:
    """Measured, claim, tolerance, kurtosis, rate, probability, and schemes for either axis as D."""
    w = np.random.default_rng(0).normal(0, 0.125, (64, 512))
    with pytest.raises(AssertionError) as failure:
        assert_variance(w, 1 / 32, kurtosis=3)
    assert str(failure.value) == (
        "the variance of 32,768 entries is 0.0155555, 49.78% of 0.03125; allowed are 96.22% to "
        "103.87% (kurtosis 3, false failures 1e-06); under the claim, the probability of this is "
        "below 1e-100; it fits scale sqrt and lecun for D = 64"
    )
    with pytest.raises(AssertionError, match=r"it fits scale sqrt and lecun for D = 64$"):
        assert_variance(w.T, 1 / 32)
    with pytest.raises(AssertionError, match=r"under the claim, the probability of this is \de-1"):
        assert_variance(w, 0.0147, kurtosis=3)
    with pytest.raises(AssertionError, match="it fits no scheme for this shape"):
        assert_variance(3 * w, 1 / 32)
    with pytest.raises(AssertionError, match=r"is below 1e-100$"):
        assert_variance(w.ravel(), 1 / 32)


def test_a_failure_shows_no_frame_of_the_assertion() -> None:
    """In pytest, which leaves out functions with a local variable for that."""
    claims = [
        partial(assert_variance, np.ones(1000), 4.0),
        partial(assert_variance, [math.nan, 1.0], 4.0),
        partial(assert_initializer, normal, "he", dim=64),
    ]
    for claim in claims:
        with pytest.raises(AssertionError) as failure:
            claim()
        frames = [entry.frame for entry in failure.traceback]
        ours = [f for f in frames if f.f_globals["__name__"] == "varsim.testing"]
        assert ours
        assert all(frame.f_locals["__tracebackhide__"] for frame in ours)


def test_a_known_mean_is_taken_off_and_an_unknown_one_is_estimated() -> None:
    """Else it counts as variance."""
    w = 5.0 + np.random.default_rng(0).standard_normal(10000)
    assert_variance(w, 1.0, mean=5.0)
    assert_variance(w, 1.0, mean=None, kurtosis="normal")
    assert fails(w, 1.0)


def test_entries_that_differ_by_rounding_alone_pass() -> None:
    """±1/√512 in float32, whose squares are 1/512 to 6e-8."""
    signs = np.where(np.arange(1000) % 3, 1, -1).astype(np.float32) / np.float32(math.sqrt(512))
    assert_variance(signs, 1 / 512, kurtosis=1)
    assert fails(signs, 1.00001 / 512, kurtosis=1)


def test_what_numpy_reads_is_an_array() -> None:
    """Lists, whole numbers, and tensors with gradients."""
    assert_variance([[1, -1], [1, -1]], 1)
    torch = pytest.importorskip(needs("torch"))
    weight = torch.nn.Linear(256, 512).weight
    assert_variance(weight, 1 / (3 * 256), kurtosis="uniform")
    with pytest.raises(AssertionError, match="it fits scale torch-linear for D = 256"):
        assert_variance(weight, 1 / 256)


@pytest.mark.parametrize(
    ("array", "options", "sentence"),
    [
        ([1.0], {}, "the array has 1 entries; give at least 2"),
        (["a", "b"], {}, "the array cannot be used"),
        ([1j, 2.0], {}, "the array cannot be used"),
        ([[1], [1, 2]], {}, "the array cannot be used"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), {}, "it is a masked array"),
        ([1, 2], {"expected": 0}, "expected is 0; give a finite variance above 0"),
        ([1, 2], {"kurtosis": 0.5}, "kurtosis is 0.5; give a number from 1 to 1e+06"),
        ([1, 2], {"kurtosis": "gauss"}, "distribution of W 'gauss' is unknown"),
        ([1, 2], {"kurtosis": "student-t(9)"}, "has too few moments"),
        ([1, 2], {"false_failure": 0}, "false_failure is 0; give a number between 0 and 1"),
    ],
)
def test_a_mistake_is_no_failure(array: Any, options: dict[str, Any], sentence: str) -> None:
    """But an InputError of one sentence."""
    with pytest.raises(InputError) as refused:
        assert_variance(array, **{"expected": 1.0, **options})
    assert sentence in str(refused.value)


def test_entries_that_are_not_finite_fail() -> None:
    """With their number."""
    with pytest.raises(AssertionError, match=r"^2 of 3 entries are not finite$"):
        assert_variance([math.nan, 1.0, math.inf], 1.0)


@pytest.mark.parametrize(
    ("init", "scale", "options"),
    [
        (normal, "sqrt", {}),
        (normal, 16, {"dim": 256}),
        ("truncated_normal(std='lecun')", "lecun", {}),
        ("truncated_normal(std='he')", "he", {"fan_out": 16}),
        ("orthogonal", "sqrt", {}),
        ("truncated_normal(std='xavier')", "xavier", {"fan_out": 192, "kurtosis": "truncated"}),
    ],
)
def test_an_initializer_has_the_variance_of_its_scheme(
    init: str | Init, scale: str | float, options: dict[str, Any]
) -> None:
    """By its name or as a function."""
    assert_initializer(init, scale, **{"dim": 64, **options})


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_an_initializer_that_is_wrong_by_what_it_sees_fails(factor: float) -> None:
    """For each of 5 seeds: all pass with a probability of 0.995."""

    def wrong(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
        return math.sqrt(factor) * normal(rng, shape)

    for seed in range(5):
        with pytest.raises(AssertionError, match=r"^E w² of wrong of"):
            assert_initializer(wrong, "sqrt", dim=64, seed=seed)


def test_a_missing_rescaling_is_seen() -> None:
    """A normal cut at two deviations lacks 22.6 %; the sentence says so, for seeds alike."""
    for seed in range(3):
        with pytest.raises(AssertionError, match=r"^E w² of trunc_normal.* 7[5-9]\.\d+% of"):
            assert_initializer("trunc_normal(std=0.125, bound=0.25)", "sqrt", dim=64, seed=seed)


def test_as_many_matrices_are_drawn_as_an_error_needs() -> None:
    """Each with its stream; a finer error needs more."""
    draws: list[float] = []

    def counted(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
        w = normal(rng, shape)
        draws.append(float(w[0, 0]))
        return w

    assert_initializer(counted, "sqrt", dim=64, kurtosis="normal", sees=0.05)
    assert len(set(draws)) == len(draws) == math.ceil(53334 / 64**2)
    assert_initializer(counted, "sqrt", dim=64, kurtosis="normal", sees=0.5)
    assert len(draws) == math.ceil(53334 / 64**2) + 1


@pytest.mark.parametrize(
    ("init", "options", "sentence"),
    [
        (lambda _, shape: np.ones(shape[0]), {}, "returned the shape (64,) for (64, 64)"),
        ("orthogonall", {}, "orthogonal"),
        (normal, {"sees": 5}, "sees is 5; give a number between 0 and 1"),
        (normal, {"sees": 1e-5}, "sees is 1e-05, which needs"),
        (normal, {"gain": 2}, "scale 'sqrt' has none"),
    ],
)
def test_a_mistake_with_an_initializer_is_no_failure(
    init: str | Init, options: dict[str, Any], sentence: str
) -> None:
    """But an InputError of one sentence."""
    with pytest.raises(InputError) as refused:
        assert_initializer(init, "sqrt", dim=64, **options)
    assert sentence in str(refused.value)

"""The catalog: samplers keep the moments that are declared for them, and scales give their k."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from varsim import Experiment, InputError
from varsim.catalog import samplers
from varsim.catalog.distributions import DISTRIBUTIONS, FAMILIES, find_distribution
from varsim.catalog.samplers import SAMPLERS, FloatArray, find_sampler
from varsim.catalog.scales import ALIASES, SCALES, canonical_name, find_scale
from varsim.layer import density
from varsim.layer.density import SHAPES

COUNT = 1_000_000
DTYPES = ["float32", "float64"]

CDFS = {
    "normal": stats.norm().cdf,
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).cdf,
    "truncated": stats.truncnorm(-2, 2, scale=1 / stats.truncnorm(-2, 2).std()).cdf,
    "laplace": stats.laplace(scale=math.sqrt(0.5)).cdf,
    "exponential": stats.expon(-1).cdf,
    "student-t(5)": stats.t(5, scale=math.sqrt(3 / 5)).cdf,
    "student-t(4.5)": stats.t(4.5, scale=math.sqrt(2.5 / 4.5)).cdf,
}
"""SciPy's own word on the continuous distributions."""

MEMBERS = ["bernoulli(0.1)", "bernoulli(0.95)", "student-t(5)", "student-t(30)"]
"""Some members of every family."""


def drawn(name: str, dtype: str, count: int = COUNT, seed: int = 1) -> FloatArray:
    out = np.empty(count, dtype)
    find_sampler(name)(np.random.Generator(np.random.SFC64(seed)), out)
    return out


def test_every_distribution_has_a_sampler() -> None:
    """And a shape of its density: three tables name the same ones, in the same order."""
    assert list(SAMPLERS) == list(SHAPES) == list(DISTRIBUTIONS)
    assert list(samplers.FAMILIES) == list(density.FAMILIES) == list(FAMILIES)
    assert {name.partition("(")[0] for name in MEMBERS} == set(FAMILIES)


@pytest.mark.parametrize("name", [*DISTRIBUTIONS, *MEMBERS])
def test_even_moments_are_those_of_the_other_facts(name: str) -> None:
    """E b², and E b⁴ from mean, variance, skewness and kurtosis."""
    base = find_distribution(name)
    mean, variance = base.mean, base.variance
    third, fourth = base.skewness * variance**1.5, base.kurtosis * variance**2
    raw = fourth + 4 * mean * third + 6 * mean**2 * variance + mean**4
    assert base.even_moment(0) == 1.0
    assert base.even_moment(2) == pytest.approx(variance + mean**2, rel=1e-6)
    assert base.even_moment(4) == pytest.approx(raw, rel=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*DISTRIBUTIONS, *MEMBERS])
def test_moments_are_those_declared(name: str, dtype: str) -> None:
    """Mean, variance, skewness and kurtosis, each within 6 of its own standard errors.

    The third and fourth powers of student-t(5) have no standard error.
    """
    base, values = find_distribution(name), drawn(name, dtype).astype(np.float64)
    deviations = (values - base.mean) / math.sqrt(base.variance)
    for power, declared in ((1, 0.0), (2, 1.0), (3, base.skewness), (4, base.kurtosis)):
        if math.isinf(base.even_moment(2 * power)):
            continue
        powers = deviations**power
        error = max(float(powers.std()) / math.sqrt(COUNT), 1e-6)
        assert abs(float(powers.mean()) - declared) < 6 * error, f"moment {power}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CDFS)
def test_shape_is_scipys(name: str, dtype: str) -> None:
    """Kolmogorov-Smirnov against SciPy's CDF, at p = 1e-9."""
    assert stats.kstest(drawn(name, dtype), CDFS[name]).pvalue > 1e-9


def test_rademacher_is_a_fair_coin_in_every_bit_position() -> None:
    """Only -1 and 1, and no position within a word of bits leans to one side."""
    values = drawn("rademacher", "float32", count=64 * 10_000)
    assert set(np.unique(values)) == {-1.0, 1.0}
    leans = values.reshape(-1, 64).mean(axis=0)
    assert np.abs(leans).max() < 6 / math.sqrt(10_000)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*SAMPLERS, *MEMBERS])
@pytest.mark.parametrize("count", [1, 2, 3, 31, 64, 65])
def test_any_length_is_filled(name: str, dtype: str, count: int) -> None:
    """Odd and tiny lengths leave nothing as it was, and nothing is infinite or missing."""
    out = np.full(count, np.nan, dtype)
    find_sampler(name)(np.random.Generator(np.random.SFC64(3)), out)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("count", [1, 2, 63, 1000])
def test_words_are_those_of_uniform_integers(count: int) -> None:
    """The bits of a stream are NumPy's uniform integers, one draw after the other."""
    ours, numpys = (np.random.Generator(np.random.SFC64(5)) for _ in range(2))
    for _ in range(2):
        words = samplers._random_words(ours, count)
        np.testing.assert_array_equal(
            words, numpys.integers(2**64 - 1, size=count, dtype=np.uint64, endpoint=True)
        )
    assert ours.random() == numpys.random()


@pytest.mark.parametrize("name", [*SAMPLERS, *MEMBERS])
def test_neighbours_are_uncorrelated(name: str) -> None:
    """No lag at which draws come from one word or one angle shows in the draws or their squares."""
    values = drawn(name, "float32", count=2**16).astype(np.float64)
    for series in (values, values**2):
        centred = series - series.mean()
        power = float(centred @ centred)
        if power < 1e-9:
            continue  # the square of a coin
        for lag in (1, 2, 32, 64, 2**15):
            correlation = float(centred[:-lag] @ centred[lag:]) / power
            assert abs(correlation) < 6 / math.sqrt(values.size - lag), f"lag {lag}"


class Words:
    """Stands in for a generator: hands out chosen 32-bit words."""

    def __init__(self, words: np.ndarray) -> None:
        self.words = words.astype(np.uint32)
        self.bit_generator = self

    def random_raw(self, size: int) -> np.ndarray:
        assert self.words.size == 2 * size
        return self.words.view(np.uint64)


def test_float32_normals_have_the_right_variance_to_a_millionth() -> None:
    """Box-Muller over evenly spaced radii: no bias of float32 shows at 1e-6, nor beyond 6.76."""
    count = 2**22
    radii = np.arange(count, dtype=np.uint64) * (2**32 // count) + 2**31 // count
    angles = (np.arange(count, dtype=np.uint64) * 2_654_435_769) % 2**32
    out = np.empty(2 * count, np.float32)
    SAMPLERS["normal"](Words(np.concatenate([radii, angles])), out)  # type: ignore[arg-type]
    # Midpoints leave out a part of the logarithm's peak: log(2)/2 of a cell, times 2 for r²/2.
    midpoint_rule = 1 - math.log(2) / count / 2
    assert abs(float(np.square(out, dtype=np.float64).mean()) - midpoint_rule) < 1e-6
    extreme = np.empty(2, np.float32)
    SAMPLERS["normal"](Words(np.array([0, 0])), extreme)  # type: ignore[arg-type]
    assert extreme[0] == pytest.approx(math.sqrt(2 * 33 * math.log(2)), rel=1e-6)


def test_logarithms_see_no_zero() -> None:
    """Random bits that are all 0 give finite draws all the same."""
    for name in ("normal", "exponential", "laplace", "student-t(5)"):
        out = np.empty(64, np.float32)
        find_sampler(name)(ZeroWords(), out)  # type: ignore[arg-type]
        assert np.isfinite(out).all()


class ZeroWords:
    """Stands in for a generator whose every bit is 0."""

    @property
    def bit_generator(self) -> ZeroWords:
        return self

    def random_raw(self, size: int) -> np.ndarray:
        return np.zeros(size, np.uint64)

    def random(self, out: np.ndarray, dtype: type = np.float64) -> None:
        assert out.dtype == dtype
        out.fill(0.0)


def test_a_family_has_scipys_moments() -> None:
    """Mean, variance, skewness and kurtosis, in closed form by another program."""
    for p in (0.1, 0.5, 0.95):
        base = find_distribution(f"bernoulli({p})")
        declared = [base.mean, base.variance, base.skewness, base.kurtosis - 3]
        assert declared == pytest.approx(stats.bernoulli(p).stats(moments="mvsk"), abs=1e-12)
    for dof in (4.5, 5, 30):
        base = find_distribution(f"student-t({dof})")
        assert (base.mean, base.variance, base.skewness) == (0, 1, 0)
        assert base.kurtosis == pytest.approx(stats.t(dof).stats(moments="k") + 3)


def test_a_wrong_parameter_is_noticed() -> None:
    """A probability 5 % off, and 6 degrees of freedom for 5, in a million draws."""
    ones = float(drawn("bernoulli(0.1)", "float32").mean())
    assert abs(ones - 0.1) < 6 * 0.3 / 1000 < abs(ones - 0.105)
    other = stats.t(6, scale=math.sqrt(4 / 6)).cdf
    assert stats.kstest(drawn("student-t(5)", "float64"), other).pvalue < 1e-9


def test_a_parameter_has_one_spelling_and_a_key() -> None:
    """Spellings of one number are one question; other numbers are others."""
    spellings = ("bernoulli(0.1)", "Bernoulli( 1/10 )", "bernoulli(1e-1)")
    same = {Experiment(dim=8, scale="none", x_dist=text).key for text in spellings}
    others = {Experiment(dim=8, scale="none", x_dist=f"bernoulli({p})").key for p in (0.2, 0.3)}
    assert len(same) == 1
    assert len(same | others) == 3
    assert Experiment(dim=8, scale="none", x_dist="student-t(5.0)").x_dist == "student-t(5)"


@pytest.mark.parametrize(
    ("x", "sentence"),
    [
        ("bernoulli", "takes a probability from 0.000001 to 0.999999; write one like bernoulli"),
        ("bernoulli(0)", "takes a probability"),
        ("bernoulli(0.1, 0.2)", "takes a probability"),
        ("bernoulli(p=0.1)", "takes a probability"),
        ("student-t(4)", "above 4, where a fourth moment exists"),
        ("student-t(True)", "above 4"),
        ("normal(2)", "only bernoulli, student-t take one; leave it out"),
        ("onehot(2)", "only bernoulli, student-t take one; leave it out"),
        ("cauchy(1)", "take student-t"),
    ],
)
def test_a_wrong_parameter_is_refused(x: str, sentence: str) -> None:
    """With the limit, and with what to write."""
    with pytest.raises(InputError, match=sentence):
        Experiment(dim=8, scale="none", x_dist=x)


def test_zeros_and_ones_are_for_x_only() -> None:
    """Weights have mean 0, and a lookup is one of rows of x."""
    for name in ("onehot", "bernoulli(0.1)", "rectified"):
        with pytest.raises(InputError, match=r"of x only; for W take normal, .*, student-t"):
            Experiment(dim=8, scale="none", w_dist=name)
    assert Experiment(dim=8, scale="none", w_dist="student-t(6)").w_dist == "student-t(6)"


K_AT_512_128 = {
    "none": 1.0,
    "linear": 512.0,
    "sqrt": math.sqrt(512),
    "lecun": math.sqrt(512) / 1.0,
    "xavier": math.sqrt(320),
    "he": math.sqrt(256),
    "he-fan-out": math.sqrt(64),
    "geometric": 256.0**0.5,
    "torch-linear": math.sqrt(1536),
    "D^0.25": 512**0.25,
    "D^1/2": math.sqrt(512),
    "d^-1": 1 / 512,
    "5/3": 5 / 3,
    "1_000": 1000.0,
    "D^(0.5)": math.sqrt(512),
    "3": 3.0,
    "sqrt(D)": math.sqrt(512),
    "D": 512.0,
    "D**0.5": math.sqrt(512),
    "sqrt(2)": math.sqrt(2),
    "1k": 1000.0,
}


@pytest.mark.parametrize("name", K_AT_512_128)
def test_k_is_that_of_the_literature(name: str) -> None:
    """K at D = 512 and n = 128, worked out by hand."""
    assert Experiment(dim=512, fan_out=128, scale=name).k == pytest.approx(K_AT_512_128[name])


def test_the_cases_above_leave_out_no_scheme() -> None:
    """A new scheme is worked out by hand too."""
    assert set(SCALES) <= set(K_AT_512_128)


@pytest.mark.parametrize("name", [name for name, scale in SCALES.items() if scale.gain])
def test_a_gain_multiplies_w(name: str) -> None:
    """K is inverse to the gain, for every scheme that has one."""
    at = [Experiment(dim=100, fan_out=50, scale=name, gain=gain).k for gain in (1.0, 2.5)]
    assert at[0] / at[1] == pytest.approx(2.5)


@pytest.mark.parametrize("name", [name for name, scale in SCALES.items() if not scale.gain])
def test_a_gain_is_refused_where_there_is_none(name: str) -> None:
    """It is not dropped in silence."""
    with pytest.raises(InputError, match="has none; leave it out"):
        Experiment(dim=100, scale=name, gain=2.0)


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_the_same_experiment_under_the_name_it_was_asked_for(alias: str) -> None:
    """The same draws, and the table shows the word that was typed."""
    asked, plain = Experiment(dim=64, scale=alias), Experiment(dim=64, scale=ALIASES[alias])
    assert asked.key == plain.key
    assert asked.scale == alias


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_a_number_is_its_own_scheme(k: float) -> None:
    """Any positive number, in any spelling that Python reads."""
    assert math.sqrt(find_scale(repr(k)).k_squared(512, 512, 1.0)) == pytest.approx(k)
    assert canonical_name(f" {k!r} ") == canonical_name(repr(k))

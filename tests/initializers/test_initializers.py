"""Built-in initializers: what theory says of them, and how they are drawn.

Bounds are in standard errors. There are about 300 checks here, and 6 standard errors of each keep
the chance that a right program fails under 1e-6 in all. Seeds are fixed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tests.tiers import share
from varsim import Experiment, InputError, simulate
from varsim.compute.streams import generator
from varsim.initializers import builtin, documented, find, initializer
from varsim.initializers.theory import INITIALIZERS, independent
from varsim.layer.sampling import stream
from varsim.layer.theory import predict, predict_given_x
from varsim.layer.totals import Totals

BOUND = 6.0
KEY_BEFORE = "3253782806a7a3c4ca6351c6debdefb1"
SHAPES = [(1, 2), (2, 2), (2, 5), (5, 2), (6, 6), (3, 40)]
CALLS = [
    *INITIALIZERS,
    "orthogonal(gain=1.5)",
    "sparse(sparsity=0.5, std=2)",
    "truncated_normal(bound=0.5)",
    'trunc_normal(std="he", bound=0.3)',
]


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_all_draws() -> Iterator[None]:
    """To set it for each of them takes longer than to draw a small W."""
    with initializer._one_blas_thread:
        yield


def drawn(init: str, dim: int, n: int, count: int, dtype: str = "float64") -> NDArray[Any]:
    """Independent W of a built-in initializer, one after the other from one stream."""
    rng, source = generator("0" * 32, 3), find(init)
    draws = [source.draw(rng, (dim, n), np.dtype(dtype)).weights.copy() for _ in range(count)]
    return np.stack(draws)


def assert_mean(values: NDArray[Any], expected: float) -> None:
    # Where nothing varies, rounding is left.
    error = max(float(np.std(values)) / math.sqrt(len(values)), 1e-12 * (abs(expected) + 1))
    assert abs(float(np.mean(values)) - expected) <= BOUND * error


def test_every_initializer_has_theory_and_draws() -> None:
    """Both tables have the same names."""
    assert list(INITIALIZERS) == list(builtin.DRAWS)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("init", CALLS)
def test_moments_are_those_of_what_is_drawn(init: str, shape: tuple[int, int]) -> None:
    """All four moments of M = W Wᵀ agree with 4,000 W."""
    expected = find(init).moments(*shape)
    assert expected is not None
    count, (dim, n) = 4000, shape
    if init.startswith("orthogonal") or 'std="' in init:
        w = drawn(init, dim, n, count)
    else:  # rows are independent, and D changes none of them: one draw has those of all W
        w = drawn(init, count * dim, n, 1).reshape(count, dim, n)
    m = w @ w.transpose(0, 2, 1)
    traces = np.trace(m, axis1=1, axis2=2)
    assert_mean(traces, expected.trace)
    assert_mean((traces - expected.trace) ** 2, expected.trace_variance)
    assert_mean((m**2).sum(axis=(1, 2)), expected.square)
    assert_mean((np.diagonal(m, axis1=1, axis2=2) ** 2).sum(axis=1), expected.diagonal_square)


def test_moments_of_independent_entries_give_the_known_spread() -> None:
    """For normal entries it is 2 (D + r + c + 1) / (D r c)."""
    e = Experiment(dim=48, fan_out=20, scale="sqrt", init="mine:unknown", samples=6400)
    r, c = e.block.rows, e.block.columns
    assert predict(e).block_error2 == pytest.approx(2 * (48 + r + c + 1) / (48 * r * c), rel=1e-12)
    assert independent(3, 5) == find("truncated_normal(bound=40)").moments(3, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("init", "x", "shape"),
    [
        (init, x, ((6, 3), (4, 8))[(i + j) % 2])
        for i, init in enumerate(INITIALIZERS)
        for j, x in enumerate(["normal", "laplace", "exponential", "rectified"])
    ],
    ids=str,
)
def test_the_spread_between_blocks_is_as_predicted(
    init: str, x: str, shape: tuple[int, int]
) -> None:
    """It holds for x of any mean, skewness and kurtosis, over 2,000 crossed blocks.

    Tall and wide W take turns, so that both meet every initializer and every x.
    """
    dim, n = shape
    e = Experiment(dim=dim, fan_out=n, scale="sqrt", x_dist=x, init=init, samples=64 * 7 * n)
    predicted = predict(e)
    actual = predicted.init_variance
    assert actual is not None
    blocks = stream(e, indices=range(2000))
    squares = np.array([b.moments.variance + b.moments.mean**2 for b in blocks]) / actual
    assert_mean(squares, 1.0)
    assert_mean((squares - 1.0) ** 2, predicted.block_error2)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_the_spread_for_one_x_is_as_predicted(init: str) -> None:
    """It holds given x, over W alone."""
    e = Experiment(dim=5, fan_out=3, scale="sqrt", init=init, design="fixed-x", dtype="float64")
    exact = find(init).moments(5, 3)
    assert exact is not None
    blocks = list(stream(e, indices=range(share(4000))))
    sums = blocks[0].x_sums
    assert sums is not None
    predicted = predict_given_x(e, *sums)
    truth = sums[0] * exact.trace / 15
    squares = np.array([b.moments.variance + b.moments.mean**2 for b in blocks]) / truth
    assert_mean(squares, 1.0)
    assert_mean((squares - 1.0) ** 2, predicted.block_error2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (40, 9), (9, 40)])
def test_orthogonal_is_orthogonal(shape: tuple[int, int], dtype: str) -> None:
    """Columns, or rows where there are fewer, are orthogonal but for rounding."""
    (w,) = drawn("orthogonal(gain=3)", *shape, 1, dtype)
    product = w.T @ w if shape[1] <= shape[0] else w @ w.T
    assert np.allclose(product, 9 * np.eye(len(product)), atol=2e2 * np.finfo(dtype).eps)


def test_orthogonal_is_uniform() -> None:
    """It has the moments of Haar's measure, which a QR decomposition without signs has not."""
    q = drawn("orthogonal", 3, 3, share(20_000))
    trace = np.trace(q, axis1=1, axis2=2)
    assert_mean(trace, 0.0)
    assert_mean(trace**2, 1.0)
    assert_mean(q[:, 0, 0] ** 4, 3 / 15)
    assert_mean(q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2, 4 / 30)
    assert_mean(q[:, 0, 0] * q[:, 1, 1] * q[:, 0, 1] * q[:, 1, 0], -1 / 30)
    assert_mean(np.linalg.det(q), 0.0)
    naive = np.linalg.qr(generator("0" * 32, 4).standard_normal((5000, 3, 3)))[0]
    with pytest.raises(AssertionError):
        assert_mean(np.trace(naive, axis1=1, axis2=2), 0.0)


@pytest.mark.parametrize("rows", [3, 50])
@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.35, 0.7])
def test_sparse_has_its_zeros_anywhere(rows: int, sparsity: float) -> None:
    """Every row has as many, in places that are equally likely and independent of other rows."""
    w = drawn(f"sparse(sparsity={sparsity})", rows, 20, 3000 // rows)
    zeros = w == 0
    assert np.all(zeros.sum(axis=2) == math.ceil(sparsity * 20))
    share = math.ceil(sparsity * 20) / 20
    for place in range(20):
        assert_mean(zeros[:, :, place].ravel(), share)
    if sparsity:
        assert_mean((zeros[:, 0] & zeros[:, 1]).ravel(), share**2)


@pytest.mark.parametrize(("std", "bound"), [(1.0, 2.0), (0.02, 2.0), (5.0, 2.0), (2.0, 0.5)])
@pytest.mark.parametrize("name", ["truncated_normal", "trunc_normal"])
def test_truncation_is_that_of_its_convention(name: str, std: float, bound: float) -> None:
    """Bounds are in deviations with rescaling, or absolute without: Kolmogorov-Smirnov, 1e-7."""
    w = drawn(f"{name}(std={std}, bound={bound})", 100, 300, 1).ravel()
    edge = bound if name == "truncated_normal" else bound / std
    law = stats.truncnorm(-edge, edge)
    scale = std / law.std() if name == "truncated_normal" else std
    assert stats.kstest(w / scale, law.cdf).pvalue > 1e-7
    assert stats.kstest(w / scale * 1.03, law.cdf).pvalue < 1e-2 or edge < 1


@pytest.mark.parametrize(
    ("init", "scale", "agrees", "said"),
    [
        ("orthogonal", "sqrt", True, ""),
        ("orthogonal", "he", False, "fits scale sqrt and lecun (k"),
        ("orthogonal(gain=2)", "sqrt", False, "it fits no scheme (k = "),
        ('truncated_normal(std="xavier")', "xavier", True, ""),
        ('truncated_normal(std="xavier")', "he", False, "for this shape it fits scale xavier (k"),
        ("trunc_normal", "none", False, "0.7737 times by the initializer's own theory"),
        ("trunc_normal(std=0.02)", "50", True, ""),
        ("sparse", "100", False, "0.8906 times by the initializer's own theory"),
    ],
)
@pytest.mark.parametrize("design", ["crossed", "fixed-x"])
def test_the_verdict_is_about_the_claim(
    init: str, scale: str, agrees: bool, said: str, design: str
) -> None:
    """A caveat says how far off it is and which schemes fit."""
    e = Experiment(dim=256, fan_out=64, scale=scale, init=init, design=design, samples=40_000)
    result = simulate(e)
    assert result.agrees is agrees
    message = "".join(c.message for c in result.caveats if c.id == "initializer")
    assert said in message
    assert bool(message) is not agrees
    held = result.theory if result.conditional_theory is None else result.conditional_theory
    exact = (result.init_theory or 0.0) * held / result.theory
    assert abs(result.empirical - exact) <= BOUND * result.std_error


def test_a_bias_adds_its_claim() -> None:
    """It makes (D + 1) / k², and given x (||x||² + 1) / k²."""
    e = Experiment(dim=4, scale="2", init="torch.nn.Linear(bias=True)")
    assert predict(e).variance == 5 / 4
    assert predict_given_x(e, 3.0, 9.0).variance == 1.0
    assert predict(Experiment(dim=4, scale="2", init="torch.nn.Linear")).variance == 1.0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"init": "orthogonl"}, "did you mean orthogonal"),
        ({"init": "torch.nn.LayerNorm"}, "is no module whose weights varsim knows; write a"),
        ({"init": "torch.nn.conv2d"}, "is unknown"),
        ({"init": "orthogonal(g=1)"}, r"write orthogonal\(gain=1\)$"),
        ({"init": "orthogonal(gain=0)"}, "gain is 0; give a number above 0"),
        ({"init": "orthogonal(gain=True)"}, "gain is True"),
        ({"init": "sparse(sparsity=1)"}, "give a number from 0 to below 1"),
        ({"init": "sparse(sparsity=0.99)"}, "which zeroes all 8 outputs"),
        ({"init": "trunc_normal(std=1e6)"}, "give at least 0.01"),
        ({"init": "truncated_normal(std='hee')"}, "is not a scheme"),
        ({"init": "orthogonal", "w_dist": "uniform"}, "so w_dist, w_mean and w_std do not apply"),
        ({"init": "orthogonal", "w_std": 2.0}, "so w_dist, w_mean and w_std do not apply"),
        ({"init": "orthogonal", "design": "paired"}, "crossed or fixed-x"),
        (
            {"init": "orthogonal", "fan_out": 999, "precision": 0.01, "max_samples": 999},
            "make 63,936 outputs; give 63,936 or more",
        ),
        ({"init": "orthogonal", "fan_out": 2**26}, "take a smaller dim or fan_out"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, Any], sentence: str) -> None:
    """The experiment cannot be made, and a sentence says why."""
    with pytest.raises(InputError, match=sentence):
        Experiment(**{"dim": 8, "scale": "sqrt", **fields})


def test_an_initializer_is_known_by_what_it_asks() -> None:
    """Two spellings have one key, and the key without an initializer stays as published."""
    spelled = [Experiment(dim=8, scale="sqrt", init=i) for i in ("sparse(std=1, sparsity=.5)",
               " sparse( sparsity=0.5,std=1 )")]  # fmt: skip
    assert spelled[0].key == spelled[1].key
    assert spelled[0].init == "sparse(sparsity=0.5, std=1)"
    assert Experiment(dim=512, scale="sqrt", samples=1_000_000).key == KEY_BEFORE


@pytest.mark.parametrize(
    ("dim", "n", "samples"),
    [(512, 256, 10**6), (16, 16, 10**6), (4, 1, 10**4), (2, 500_000, 10**6), (1, 1, 10**5)],
)
def test_blocks_are_whole_w(dim: int, n: int, samples: int) -> None:
    """They are at least 64 and make as many outputs as asked, with more where one W says little."""
    e = Experiment(dim=dim, fan_out=n, scale="sqrt", init="orthogonal", samples=samples)
    assert e.block.groups == 1
    assert e.block.columns == n
    assert 64 <= e.blocks <= 1024
    assert e.blocks * e.block.outputs >= samples
    assert Totals.of(stream(e, indices=range(3))).blocks == 3


def test_what_completes_an_initializer_is_one() -> None:
    """The built-ins, and names that are known without their framework."""
    assert set(INITIALIZERS) <= set(documented.names())
    for name in documented.names():
        find(name)

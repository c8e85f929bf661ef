"""Checks of initializers: what they claim and what they do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tests.laws import BOUND
from tests.program import here, needs, run
from varsim import Experiment, runner
from varsim.check.question import question
from varsim.check.result import CHECKS, InitializerCheck
from varsim.check.study import CheckStudy
from varsim.compute import one_blas_thread, threads
from varsim.compute.provenance import FRAMEWORKS, frameworks
from varsim.initializers import adapters, find, installed
from varsim.initializers.documented import CLAIMS, REMARKS
from varsim.initializers.theory import INITIALIZERS
from varsim.layer import sampling
from varsim.layer.sampling import whole
from varsim.runner import ResumePoint, RunOptions
from varsim.statistics import Estimate, judge

Array = NDArray[np.float64]

# Keras' documentation calls it the deviation of the values, and it is that of the normal
# distribution before it is truncated.
OFF = {"keras.initializers.TruncatedNormal": 0.7737}

# The documentation says that std is that of the normal distribution before it is truncated.
CUT = {
    "trunc_normal": 1.0,
    "torch.nn.init.trunc_normal_": 1.0,
    "jax.nn.initializers.truncated_normal": 0.01,
}

# What the documentation of the argument says: a change there changes the claim.
PROMISES = {
    "torch.nn.init.trunc_normal_": (
        "normal distribution :math:`\\mathcal{N}(\\text{mean}, \\text{std}^2)` with values outside "
        ":math:`[a, b]` redrawn",
        "std: the standard deviation of the normal distribution",
    ),
    "jax.nn.initializers.truncated_normal": (
        "stddev: optional; the standard deviation of the untruncated distribution.",
    ),
    "jax.nn.initializers.variance_scaling": ("a standard deviation (after truncation",),
    "keras.initializers.TruncatedNormal": ("Standard deviation of the random values to generate.",),
    "keras.initializers.VarianceScaling": ("a standard deviation (after truncation",),
}

KURTOSES = {
    "orthogonal": 3 * 40 / 42,
    "truncated_normal": 2.3654,
    "torch.nn.init.kaiming_uniform_": 1.8,
    "torch.nn.init.xavier_normal_": 3.0,
    "jax.nn.initializers.he_normal": 2.3654,
    "keras.initializers.RandomUniform": 1.8,
}


def checked(asked: Experiment, draws: int = 64) -> InitializerCheck:
    """A check without a verdict."""
    study = CheckStudy(asked, draws)
    totals = study.empty().plus(*study.sample(range(draws)))
    (row,) = study.rows(totals)
    return row


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Entries of variance 1, of the numbers that x would have from the same stream."""
    return rng.standard_normal(shape)


def signs(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """As many entries of 0.1 as of -0.1, in random places: their kurtosis is 1."""
    return 0.1 * rng.permuted(np.arange(math.prod(shape)) % 2 * 2.0 - 1.0).reshape(shape)


def permutation(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """A permutation of the units, times 0.1."""
    return 0.1 * np.eye(*shape)[rng.permutation(shape[0])]


def many(seeds: int = 800, fan_out: int = 6) -> list[InitializerCheck]:
    """Checks of normal W of 12 x fan-out, with 16 draws each, held to their true E w²."""
    study = partial(question, "tests.check.test_check:normal", 12, fan_out, dtype="float64")
    with one_blas_thread:
        return [replace(checked(study(seed=s), draws=16), claimed=1.0) for s in range(seeds)]


@cache
def sound() -> list[InitializerCheck]:
    """Checks by the program as it is."""
    return many()


def laws(estimates: Sequence[Estimate]) -> dict[str, float]:
    """z-scores: of the mean against the claim, and of squared errors against squared deviations."""
    values, truths, errors, expected = (
        np.array([getattr(e, name) for e in estimates])
        for name in ("value", "claim", "std_error", "expected_error")
    )
    deviations = values - truths
    terms = {"mean": deviations, "error": deviations**2 - errors**2}
    if expected.any():
        terms["expected error"] = deviations**2 - expected**2
    return {
        name: float(of.mean() / of.std(ddof=1) * math.sqrt(of.size)) for name, of in terms.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("side", "number"), [("estimate", 3), ("back", 2), ("square", 2)])
def test_errors_are_the_spread_between_seeds(side: str, number: int) -> None:
    """And no mean is off: 7 z-scores within 6.2, so a right program fails in 4e-9 of all runs."""
    scores = laws([getattr(row, side) for row in sound()])
    assert len(scores) == number
    assert all(abs(z) <= BOUND for z in scores.values()), scores


@pytest.mark.slow
@pytest.mark.parametrize("side", ["estimate", "back", "square"])
def test_errors_that_are_off_are_caught(side: str) -> None:
    """Half as large again, or two thirds; measured or expected."""
    for factor in (1.5, 1 / 1.5):
        off = [
            replace(e, std_error=factor * e.std_error, expected_error=factor * e.expected_error)
            for e in (getattr(row, side) for row in sound())
        ]
        scores = laws(off)
        assert abs(scores.pop("mean")) <= BOUND
        assert all(abs(z) > BOUND for z in scores.values()), scores


@pytest.mark.slow
def test_inputs_do_not_share_the_stream_of_w(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one column, an x from the stream of W would be W itself, and caught."""
    independent = laws([row.estimate for row in many(200, fan_out=1)])
    monkeypatch.setattr("varsim.check.sampling._STREAM_OF_INPUTS", sampling._STREAM_OF_W)
    shared = laws([row.estimate for row in many(200, fan_out=1)])
    assert abs(independent["mean"]) <= BOUND < abs(shared["mean"])


def test_intervals_are_student_s() -> None:
    """Of 16 draws, as SciPy has them: from the values of each W, and by their width in errors."""
    (row,) = many(1)
    squares = [np.mean(whole(row.question, index).weights ** 2) for index in range(16)]
    about = {"loc": np.mean(squares), "scale": stats.sem(squares)}
    assert row.square.interval(0.95) == pytest.approx(stats.t.interval(0.95, 15, **about))
    assert row.shape is not None
    for estimate in (row.estimate, row.back, row.square, row.shape):
        errors = estimate.half_width(0.95) / estimate.std_error
        assert errors == pytest.approx(float(stats.t.ppf(0.975, 15)))


@pytest.mark.parametrize("init", list(CLAIMS))
def test_every_claim_is_kept_or_known_to_be_off(init: str) -> None:
    """D E w² forward and n E w² backward hold within 6 standard errors: 1e-7 in all."""
    if init not in INITIALIZERS:
        needs(init)
    row = checked(question(init, 40, 24))
    assert row.claimed == CLAIMS[init].mean_square(40, 24)
    factor = OFF.get(init, 1.0)
    for measured, error, theory in (
        (row.forward, row.forward_error, row.forward_theory),
        (row.backward, row.backward_error, row.backward_theory),
    ):
        assert theory is not None
        assert abs(measured - factor * theory) <= 6 * error + 1e-6 * theory
        if init in OFF:
            assert abs(measured - theory) > 6 * error
    if init in KURTOSES:
        assert row.kurtosis is not None
        assert row.kurtosis_error is not None
        assert abs(row.kurtosis - KURTOSES[init]) <= 6 * row.kurtosis_error
    verdict = judge([row], alpha=1e-6)[0]
    assert verdict.agrees is (init not in OFF)
    expected = {"initializer": init in OFF, "documented": init in CUT}
    said = {caveat.id for caveat in verdict.caveats}
    assert said == {name for name, is_expected in expected.items() if is_expected}


@pytest.mark.parametrize("init", list(PROMISES))
def test_the_documentation_says_what_the_claims_are_made_of(init: str) -> None:
    """Of a deviation, whether it is that before or after truncation."""
    framework = find(needs(init)).framework
    about = " ".join((adapters()[framework].function(init).__doc__ or "").split())
    for promise in PROMISES[init]:
        assert promise in about


@pytest.mark.parametrize("init", list(CUT))
def test_a_loss_that_is_documented_is_a_remark(init: str) -> None:
    """The claim is what is left of std², and a caveat says how much is missing, and why."""
    row = judge([checked(question(needs(init), 40, 24))])[0]
    left = stats.truncnorm(-2, 2).var()
    assert row.claimed == pytest.approx(left * CUT[init] ** 2, rel=1e-6)
    assert row.agrees
    (caveat,) = row.caveats
    assert f"{1 - left:.1%} below std² as documented" in caveat.message


def test_claims_with_one_formula_have_one_remark() -> None:
    """Rows hold the formula, and are read without the framework."""
    for claim in CLAIMS.values():
        assert REMARKS.get(claim.formula, "") == claim.remark


SHAPES = [(64, 5), (5, 64), (8, 10), (4, 11), (2, 30), (7, 20), (3, 1)]
"""With and without rounding of a tenth of the fan-out."""


@pytest.mark.parametrize("init", list(CLAIMS))
def test_the_formula_of_a_claim_is_its_number(init: str) -> None:
    """As printed, for D and n of every shape."""
    claim = CLAIMS[init]
    formula = re.sub(r"(?<=\d)(?=[Dn])", "*", claim.formula).replace("·", "*").replace("²", "**2")
    for dim, n in SHAPES:
        value = eval(formula, {"D": dim, "n": n, "max": max, "ceil": math.ceil})  # noqa: S307
        assert claim.mean_square(dim, n) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("init", ["sparse", "torch.nn.init.sparse_(sparsity=0.1)"])
def test_the_claim_of_sparse_is_about_the_zeros_there_are(
    init: str, shape: tuple[int, int]
) -> None:
    """Each row of W, which is a column of torch's tensor, has as many: of n, and not of D."""
    if init == "sparse" and shape[1] == 1:
        pytest.skip("varsim refuses a W of zeros")
    weights = whole(question(needs(init), *shape), 0).weights
    left = CLAIMS[init].mean_square(*shape) / 0.01**2
    assert np.all((weights != 0).sum(axis=1) == pytest.approx(left * shape[1]))


@pytest.mark.parametrize("sparsity", [0.07, 0.1, 0.28, 0.5])
@pytest.mark.parametrize("n", [100, 25, 7])
def test_sparse_rounds_as_torch_does(sparsity: float, n: int) -> None:
    """Up, and so 0.07 of 100, which is 7.000000000000001 in floating point, to 8."""
    counts = {
        int((whole(question(init, 6, n), 0).weights == 0).sum())
        for init in (f"sparse(sparsity={sparsity})", needs(f"torch.nn.init.sparse_({sparsity})"))
    }
    assert counts == {6 * math.ceil(sparsity * n)}


def test_a_row_that_is_held_to_a_former_claim_is_concluded_again() -> None:
    """Its draws are kept."""
    new = checked(question("trunc_normal", 16, 8), 16)
    old = replace(new, claim="1", claimed=1.0)
    study = CheckStudy(new.question, 16)
    assert study.resume([new]) == (study, new.totals, True)
    assert study.resume([old]) == (study, new.totals, False)
    (row,) = runner.run([ResumePoint(study, new.totals)], RunOptions(), threads(1)).rows
    assert (row.draws, row.claim, row.agrees) == (16, "0.774", True)


@pytest.mark.slow
def test_every_installed_initializer_is_in_the_table() -> None:
    """It has one row, or is left out with a reason; every known claim has a row."""
    done = here("init", "-d", "12", "--fan-out", "8", "--draws", "8", "-f", "json")
    assert done.returncode == 0, done.stderr
    table = [row["init"] for row in json.loads(done.stdout)]
    clauses = " ".join(done.stderr.split()).partition("Left out: ")[2].split("; ")
    left_out = {clause.partition(" ")[0] for clause in clauses}
    listed = list(installed())
    assert len(listed) == len(set(listed))
    for name in listed:
        assert (name in table) != (name in left_out), name
    absent = tuple(framework for framework in FRAMEWORKS if framework not in frameworks())
    assert {name for name in CLAIMS if not name.startswith(absent)} <= set(table)
    if "torch" in frameworks():
        import torch

        ours = {name.partition("(")[0].rpartition(".")[2] for name in listed}
        theirs = {n for n in dir(torch.nn.init) if n.endswith("_") and not n.startswith("_")}
        assert theirs <= ours


def test_a_framework_that_cannot_be_loaded_is_left_out_in_words() -> None:
    """Keras without its backend has no rows and a sentence; the others stay."""
    needs("keras")
    done = run("init", "-d", "8", "--draws", "8", "-f", "json", KERAS_BACKEND="nothing")
    assert done.returncode == 0, done.stderr
    assert not any(row["init"].startswith("keras") for row in json.loads(done.stdout))
    assert "Left out: keras cannot be loaded (ValueError: Unable to import backend" in " ".join(
        done.stderr.split()
    )


def test_what_is_not_documented_is_measured_without_a_claim() -> None:
    """It has no theory, no p and no verdict."""
    row = judge([checked(question("truncated_normal(std=2)", 16, 8))])[0]
    assert (row.claim, row.forward_theory, row.p, row.agrees) == (None, None, None, None)
    assert row.forward == pytest.approx(64, rel=0.1)


def entries(asked: Experiment, draws: int) -> list[Array]:
    """Every W of a check."""
    return [whole(asked, index).weights.astype(np.float64) for index in range(draws)]


def kurtosis_of(moments: Sequence[float] | Array) -> float:
    """E (w - mean)⁴ / Var², from the means of the first four powers."""
    m1, m2, m3, m4 = moments
    return float((m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / (m2 - m1**2) ** 2)


def powers_of(matrices: Sequence[Array]) -> Array:
    """The means of the first four powers of the entries: one row per W."""
    return np.array([[np.mean(w**power) for power in (1, 2, 3, 4)] for w in matrices])


# With and without a mean, and W whose entries depend on each other.
SHAPED = ["sparse(sparsity=0.5, std=1)", "orthogonal", "torch.nn.init.uniform_"]


@pytest.mark.parametrize("init", SHAPED)
def test_the_kurtosis_is_that_of_the_entries(init: str) -> None:
    """It is taken over the entries of all draws together."""
    asked = question(needs(init), 10, 6)
    pooled = np.stack(entries(asked, 12))
    deviations = pooled - pooled.mean()
    expected = np.mean(deviations**4) / np.mean(deviations**2) ** 2
    assert checked(asked, 12).kurtosis == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("init", SHAPED)
def test_the_error_of_the_kurtosis_is_that_of_the_delta_method(init: str) -> None:
    """By numerical slopes of the kurtosis and the covariance of the powers over W."""
    asked = question(needs(init), 10, 6)
    powers = powers_of(entries(asked, 12))
    at, step = powers.mean(axis=0), 1e-6 * np.eye(4)
    slopes = [(kurtosis_of(at + by) - kurtosis_of(at - by)) / 2e-6 for by in step]
    expected = math.sqrt(slopes @ np.cov(powers.T) @ slopes / 12)
    assert checked(asked, 12).kurtosis_error == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("init", SHAPED)
def test_the_error_of_the_kurtosis_is_near_the_jackknife_s(init: str) -> None:
    """It is within 3 % of the delete-one jackknife over 64 W."""
    asked = question(needs(init), 10, 6)
    powers = powers_of(entries(asked, 64))
    left_out = [kurtosis_of(np.delete(powers, i, axis=0).mean(axis=0)) for i in range(64)]
    jackknife = math.sqrt(np.var(left_out) * 63)
    assert checked(asked).kurtosis_error == pytest.approx(jackknife, rel=0.03)


@pytest.mark.parametrize(
    ("init", "shape", "shown"),
    [
        ("signs", (2, 10), "1"),
        ("signs", (64, 10), "1"),
        ("permutation", (10, 10), "8.11111"),
        ("permutation", (64, 64), "62.0159"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kurtosis_that_is_exact_has_six_digits(
    init: str, shape: tuple[int, int], shown: str, dtype: str
) -> None:
    """Its error between draws is of rounding, and machine formats have it as it is."""
    row = checked(question(f"tests.check.test_check:{init}", *shape, dtype=dtype))
    assert CHECKS.by_name["kurtosis"].text(row) == shown
    assert CHECKS.record(row)["kurtosis"] == row.kurtosis == pytest.approx(float(shown), rel=1e-5)


def test_nothing_is_no_number() -> None:
    """W that does not vary has no kurtosis, and its verdict is still told."""
    needs("torch")
    row = judge([checked(question("torch.nn.init.zeros_", 8, 8))])[0]
    assert (row.kurtosis, row.ratio, row.z, row.agrees) == (None, None, None, True)
    ones = judge([checked(question("torch.nn.init.constant_(1)", 8, 8))])[0]
    assert ones.kurtosis is None
    assert ones.mean_square == 1.0


def test_the_command_s_codes_and_sentences() -> None:
    """They are 0, and 3 with --check."""
    done = here("init", "orthogonal,sparse", "trunc_normal", "-d", "16,32", "--check", "-f", "csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7
    assert "nan" not in done.stdout.lower()
    needs("torch")
    cut = here("init", "torch.nn.init.trunc_normal_", "-d", "32", "--check")
    assert cut.returncode == 0
    assert "22.6% below std² as documented" in " ".join(cut.stderr.split())
    needs("keras")
    off = here("init", "keras.initializers.TruncatedNormal", "-d", "32", "--check")
    assert off.returncode == 3
    assert "times the documented 0.05²" in " ".join(off.stderr.split())

"""The program keeps the laws, and a program with a fault in it would not."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests import laws
from varsim import Experiment
from varsim.catalog.designs import DESIGNS
from varsim.catalog.samplers import SAMPLERS, FloatArray
from varsim.compute.streams import generator
from varsim.layer import sampling

pytestmark = pytest.mark.usefixtures("one_blas_thread")

DIMS = {1: 512, 16: 64, 128: 32}
"""Outputs per block at each D: many where few products leave the outputs far from normal."""

SOME_PAIRS = [("normal", "normal"), ("uniform", "laplace"), ("rectified", "truncated")]


def some_replicates() -> list[laws.Replicates]:
    """A fifth as many as a design and a dimension have in all, so what is caught here is there."""
    return [laws.replicates(x, w, "crossed", 16, outputs=1024, seeds=200) for x, w in SOME_PAIRS]


sound_replicates = cache(some_replicates)


@pytest.mark.parametrize(
    "dim", [pytest.param(dim, marks=pytest.mark.slow if dim > 100 else ()) for dim in DIMS]
)
@pytest.mark.parametrize("design", DESIGNS)
def test_mean_spread_and_coverage_are_those_of_theory(design: str, dim: int) -> None:
    """For every pair of distributions: unbiased, spread by the formula, 95 % covered."""
    all_replicates = [laws.replicates(x, w, design, dim, outputs=DIMS[dim]) for x, w in laws.PAIRS]
    assert list(laws.violations(all_replicates)) == []


WIDE = [("bernoulli(0.2)", "normal"), ("bernoulli(0.7)", "laplace"), ("student-t(9)", "uniform"),
        ("normal", "student-t(9)"), ("bernoulli(0.5)", "student-t(12)")]  # fmt: skip
"""Pairs with a parameter; squares of student-t(9) have variances with a standard error."""


@pytest.mark.parametrize("design", DESIGNS)
def test_distributions_with_a_parameter_keep_the_laws(design: str) -> None:
    """Bernoulli entries have a mean, and those of Student's t have heavy tails."""
    all_replicates = [laws.replicates(x, w, design, 16, outputs=256) for x, w in WIDE]
    assert list(laws.violations(all_replicates)) == []


def test_another_probability_is_caught() -> None:
    """Ones 5 % too often, and errors of normal entries for those of ones and zeros."""
    sound = laws.replicates("bernoulli(0.1)", "normal", "crossed", 16, outputs=1024, seeds=400)
    assert list(laws.violations([sound])) == []
    wrong = replace(sound, deviations=(1 + sound.deviations) / 1.05 - 1)
    assert any("mean" in violation for violation in laws.violations([wrong]))
    normal = Experiment(dim=16, scale="sqrt", samples=64 * 1024)
    expected = np.full(sound.errors.size, laws.expected_error2(normal, None) / laws.BLOCKS)
    wrong = replace(sound, expected_errors2=expected)
    assert any("spread" in violation for violation in laws.violations([wrong]))


def test_a_sound_program_passes_the_checks_that_faults_must_fail() -> None:
    """The faults below fail because of the fault, not because the check is too tight."""
    assert list(laws.violations(sound_replicates())) == []


def test_half_a_percent_in_k_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """W divided by 1.005 k is 1 % off in variance."""
    fault = property(lambda self: 1.005 * math.sqrt(self.k_squared))
    monkeypatch.setattr(Experiment, "k", fault)
    assert any("mean" in violation for violation in laws.violations(some_replicates()))


@pytest.mark.slow
def test_a_reused_stream_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks that draw from one stream leave the mean right and the error bar wrong."""
    honest = generator
    monkeypatch.setattr(sampling, "_NUMBERS_PER_BATCH", 0)  # a stream per block
    monkeypatch.setattr(
        sampling, "generator", lambda key, seed, *index: honest(key, seed, *(i // 2 for i in index))
    )
    broken = {v.split(": ")[1].split(" is")[0] for v in laws.violations(some_replicates())}
    assert {"spread", "coverage"} <= broken


@pytest.mark.slow
@pytest.mark.parametrize("fault", [lambda z: z * 1.005, lambda z: z + 0.1, lambda z: z.clip(-2, 2)])
def test_a_biased_sampler_is_caught(monkeypatch: pytest.MonkeyPatch, fault) -> None:  # type: ignore[no-untyped-def]
    """A normal sampler half a percent too wide, shifted, or cut off is noticed."""
    honest = SAMPLERS["normal"]

    def biased(rng: np.random.Generator, out: FloatArray) -> None:
        honest(rng, out)
        out[:] = fault(out)

    monkeypatch.setitem(SAMPLERS, "normal", biased)
    assert any("mean" in violation for violation in laws.violations(some_replicates()))


def test_the_textbook_error_bar_is_caught() -> None:
    """2/(rc), which takes the outputs of a block for independent, breaks spread and coverage."""
    textbook = []
    for each in sound_replicates():
        independent = np.full(each.errors.size, 2 / 1024 / laws.BLOCKS)
        textbook.append(replace(each, errors=np.sqrt(independent), expected_errors2=independent))
    broken = {v.split(": ")[1].split(" is")[0] for v in laws.violations(textbook)}
    assert {"spread", "coverage"} <= broken


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_an_error_bar_ten_percent_off_is_caught(factor: float) -> None:
    """Though its intervals still cover 92 % or 97 %."""
    wrong = [replace(each, errors=factor * each.errors) for each in sound_replicates()]
    assert any("claim" in violation for violation in laws.violations(wrong))


def test_theory_with_one_over_k_is_caught() -> None:
    """D/k instead of D/k² is nowhere near: k is 4."""
    wrong = [replace(each, deviations=(1 + each.deviations) / 4 - 1) for each in sound_replicates()]
    assert any("mean" in violation for violation in laws.violations(wrong))

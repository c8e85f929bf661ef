"""The table of what initializers claim and what they do."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.program import here, needs, run
from varsim import InputError
from varsim.compute import threads
from varsim.compute.provenance import FRAMEWORKS, frameworks
from varsim.initializers import installed
from varsim.initializers.documented import CLAIMS
from varsim.initializers.theory import INITIALIZERS
from varsim.layer.check import Surveyed, judge, question, survey
from varsim.layer.sampling import whole

# torch's, JAX's and Keras' documentation call it the standard deviation, and it is that of the
# normal distribution before it is truncated.
OFF = {
    "torch.nn.init.trunc_normal_": 0.7737,
    "jax.nn.initializers.truncated_normal": 0.7737,
    "keras.initializers.TruncatedNormal": 0.7737,
}

KURTOSES = {
    "orthogonal": 3 * 40 / 42,
    "truncated_normal": 2.3654,
    "torch.nn.init.kaiming_uniform_": 1.8,
    "torch.nn.init.xavier_normal_": 3.0,
    "jax.nn.initializers.he_normal": 2.3654,
    "keras.initializers.RandomUniform": 1.8,
}


@pytest.mark.parametrize("init", list(CLAIMS))
def test_every_claim_is_kept_or_known_to_be_off(init: str) -> None:
    """Forward D E w² and backward n E w², in 6 standard errors: 1e-7 in all."""
    if init not in INITIALIZERS:
        needs(init)
    row = survey(question(init, 40, 24))
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
    assert bool(verdict.caveats) is (init in OFF)


def test_all_that_there_is_stands_in_the_table_once() -> None:
    """Or is left out with a reason; each known claim is that of one of them."""
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
    """As Keras is without its backend; the others stay."""
    needs("keras")
    done = run("init", "-d", "8", "--draws", "8", "-f", "json", KERAS_BACKEND="nothing")
    assert done.returncode == 0, done.stderr
    assert not any(row["init"].startswith("keras") for row in json.loads(done.stdout))
    assert "Left out: keras cannot be loaded (ValueError: Unable to import backend" in " ".join(
        done.stderr.split()
    )


def test_what_is_not_documented_is_measured_without_a_claim() -> None:
    """And without a verdict."""
    row = judge([survey(question("orthogonal(gain=2)", 16, 8))])[0]
    assert (row.claim, row.forward_theory, row.p, row.agrees) == (None, None, None, None)
    assert row.forward == pytest.approx(4, rel=0.1)


def test_the_kurtosis_and_its_error_are_those_of_the_entries() -> None:
    """Pooled over all draws; the jackknife by hand."""
    asked = question("sparse(sparsity=0.5, std=1)", 10, 6)
    row = survey(asked, draws=12)
    w = [whole(asked, i).weights.astype(np.float64) for i in range(12)]

    def kurtosis(w: list[np.ndarray]) -> float:
        m1, m2, m3, m4 = (np.mean(np.stack(w) ** power) for power in (1, 2, 3, 4))
        return float((m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / (m2 - m1**2) ** 2)

    left_out = [kurtosis(w[:i] + w[i + 1 :]) for i in range(12)]
    assert row.kurtosis == pytest.approx(kurtosis(w))
    assert row.kurtosis_error == pytest.approx(math.sqrt(np.var(left_out) * 11))


def test_workers_do_not_matter() -> None:
    """The same record for one thread and two."""
    asked = question("orthogonal", 16, 8)
    with threads(2) as mapper:
        assert survey(asked, 16, mapper=mapper) == survey(asked, 16)


def test_nothing_is_no_number() -> None:
    """What does not vary has no kurtosis, and is as claimed or not."""
    needs("torch")
    row: Surveyed = judge([survey(question("torch.nn.init.zeros_", 8, 8))])[0]
    assert (row.kurtosis, row.ratio, row.z, row.agrees) == (None, None, None, True)
    ones = judge([survey(question("torch.nn.init.constant_(1)", 8, 8))])[0]
    assert ones.kurtosis is None
    assert ones.mean_square == 1.0


def test_the_command_s_codes_and_sentences() -> None:
    """0, 2 for what is named and cannot be, and 3 with --check."""
    done = here("init", "orthogonal,sparse", "trunc_normal", "-d", "16,32", "--check", "-f", "csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7
    assert "nan" not in done.stdout.lower()
    for args, sentence in (
        (("orthogonl",), "did you mean orthogonal"),
        (("orthogonal", "--draws", "7"), "draws is 7; give a number from 8"),
        (("f(",), "not a name or a call"),
        (("orthogonal", "-d", "1e5"), "take a smaller dim"),
    ):
        refused = here("init", *args)
        assert refused.returncode == 2
        assert sentence in " ".join(refused.stderr.split())
    needs("torch")
    off = here("init", "torch.nn.init.trunc_normal_", "-d", "32", "--check")
    assert off.returncode == 3
    assert "times the documented 1" in " ".join(off.stderr.split())


def test_an_example_is_checked_as_any_experiment() -> None:
    """Its arguments too."""
    with pytest.raises(InputError, match="from 0 to below 1"):
        question("sparse(sparsity=2)", 8, 8)

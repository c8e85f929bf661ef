"""Models: means of every module, their errors between initializations, and theory."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.check.test_check import laws
from tests.laws import BOUND
from tests.model import networks
from tests.program import here, needs
from tests.rows import WithoutFramework, totals_of
from tests.tiers import share
from varsim import check_model
from varsim.compute import one_blas_thread
from varsim.model.question import Model
from varsim.model.result import MODULES, ModuleResult
from varsim.model.theory import expected_square
from varsim.model.totals import ModelTotals, Module, Passed
from varsim.stack.question import Network
from varsim.stack.theory import predict
from varsim.storage.text import jsonl_text

IMAGE = ("--input", "16x3x8x8")


def args_of(name: str, *others: str) -> tuple[str, ...]:
    """The command line of a network of this folder."""
    return ("model", f"tests.model.networks:{needs('torch') and name}", *others)


@cache
def measured(name: str, *others: str) -> dict[str, dict[str, Any]]:
    """The rows of a network by module."""
    done = here(*args_of(name, *others), "-f", "jsonl")
    assert done.returncode == 0, done.stderr
    return {row["module"]: row for row in map(json.loads, done.stdout.splitlines())}


def convolutions() -> list[dict[str, Any]]:
    """The rows of the six convolutions with He's initialization."""
    rows = measured("he", *IMAGE, "--inits", "60").values()
    return [row for row in rows if row["module_type"] == "Conv2d"]


# Errors.

# E ‖x‖ of a normal x with six entries.
_NORM = math.sqrt(2) * math.gamma(3.5) / math.gamma(3)

TRUTH = {"linear": 6.0, "rectified": 3.0 - _NORM**2 / (2 * math.pi)}
"""Var[y] of the first layer of the models without a framework: six inputs, W of variance 1."""


@cache
def first_layers(name: str) -> tuple[ModuleResult, ...]:
    """The first layer of models with many seeds."""
    rows = []
    with one_blas_thread:
        for seed in range(share(400)):
            asked = Model(
                model="tests.rows:normal", input=(4, 6), seed=seed,
                tokens=None if name == "linear" else 2,
            )  # fmt: skip
            study = WithoutFramework(asked)
            rows.append(study.rows(totals_of(study, 16))[0])
    return tuple(rows)


@pytest.mark.parametrize("name", TRUTH)
def test_errors_are_the_spread_between_seeds(name: str) -> None:
    """And the variance has no bias, with and without a mean: 4 z-scores within 6.2."""
    scores = scores_of(name, 1.0)
    assert all(abs(z) <= BOUND for z in scores.values()), scores


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.5, 1 / 1.5])
def test_errors_that_are_off_are_caught(factor: float) -> None:
    """Half as large again, or two thirds."""
    for name in TRUTH:
        scores = scores_of(name, factor)
        assert abs(scores["error"]) > BOUND


def scores_of(name: str, factor: float) -> dict[str, float]:
    """z-scores of the variances and of their errors, times a factor."""
    estimates = [row.forward for row in first_layers(name)]
    changed = [
        type(e)(value=e.value, std_error=factor * e.std_error, dof=e.dof, claim=TRUTH[name])
        for e in estimates
        if e is not None
    ]
    assert len(changed) == len(estimates)
    return laws(changed)


@pytest.mark.slow
def test_convolutions_with_he_have_a_variance_of_two() -> None:
    """In each of six layers, within the errors between whole initializations."""
    rows = convolutions()
    assert len(rows) == 6
    for row in rows:
        assert abs(row["variance"] - 2.0) <= BOUND * row["std_error"]
        assert row["std_error"] < 0.2
        assert row["agrees"] is True
    assert rows[0]["ratio"] == pytest.approx(1.0, abs=BOUND * rows[0]["std_error"])


@pytest.mark.slow
def test_one_initialization_alone_is_far_too_sure() -> None:
    """By a factor of 6 in the first layer, and of 30 to 100 in the sixth."""
    factors = [row["spread"] / row["naive"] for row in convolutions()]
    assert 4 < factors[0] < 9
    assert 30 < factors[5] < 120


# Theory.


@pytest.mark.slow
def test_a_perceptron_is_a_deep_stack() -> None:
    """Forward and backward: theory of stacks holds for the modules of torch."""
    rows = measured("perceptron", "--input", "16x24", "--inits", "200")
    network = Network(widths=(24,) * 4, activation="relu", scale="he", batch=16)
    for place, theory in enumerate(predict(network)):
        row = rows[str(2 * place)]
        for value, error, expected in (
            (row["variance"], row["std_error"], theory.variance),
            (row["gradient"], row["gradient_error"], theory.gradient),
        ):
            assert expected is not None
            assert abs(value - expected) <= BOUND * error + 0.01 * expected
        assert row["agrees"] is True
    assert rows["1"]["theory"] is None
    assert rows["1"]["zeros"] == pytest.approx(0.5, abs=0.05)
    assert rows["1"]["gain"] == pytest.approx(0.5, abs=0.05)


LAYERS = [
    ("Linear", (5, 4), {}, (3, 2, 5)),
    ("Conv1d", (4, 6, 3), {"padding": 2, "stride": 2, "groups": 2}, (2, 4, 7)),
    ("Conv2d", (2, 2, 3), {"padding": 1, "padding_mode": "circular"}, (2, 2, 4, 5)),
    ("Conv2d", (2, 3, 2), {"padding": 1, "padding_mode": "reflect", "dilation": 2}, (2, 2, 4, 5)),
    ("Conv3d", (1, 2, 2), {"bias": False}, (1, 1, 3, 2, 3)),
    ("ConvTranspose1d", (2, 2, 3), {"stride": 2, "output_padding": 1}, (2, 2, 4)),
    ("ConvTranspose2d", (4, 2, 2), {"groups": 2, "stride": 2, "padding": 1}, (2, 4, 3, 3)),
]


@pytest.mark.parametrize(("name", "args", "options", "shape"), LAYERS, ids=str)
def test_theory_is_the_sum_over_every_entry_of_the_weight(
    name: str, args: tuple[int, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    """By the definition: the squares of what each entry alone adds to the outputs."""
    needs("torch")
    import torch

    torch.manual_seed(1)
    layer = getattr(torch.nn, name)(*args, **options).double()
    x = torch.from_numpy(np.random.default_rng(1).standard_normal(shape))
    with torch.no_grad():
        theory = expected_square(layer, x, layer(x))
        weight, bias = layer.weight.clone(), layer.bias
        layer.bias = None
        sums = 0.0
        for entry in range(weight.numel()):
            layer.weight.zero_()
            layer.weight.view(-1)[entry] = 1.0
            sums += float(layer(x).square().mean())
        expected = float(weight.square().mean()) * sums
        expected += 0.0 if bias is None else float(bias.square().mean())
    assert theory == pytest.approx(expected, rel=1e-12)


def test_a_layer_of_one_output_raises_no_false_alarms() -> None:
    """Its ratio is χ² of one degree; the measured error alone would raise too many.

    Of 6,000 tests at 1% at most 60 + 6 √60 = 106 disagree, or a right program fails in 1e-6 of all
    runs; by the measured error alone about 170 do.
    """
    ratios = np.random.default_rng(1).standard_normal((6000, 64)) ** 2
    row = first_layers("linear")[0]
    rows = [
        replace(
            row,
            part=Module("head", "Linear", (4, 1)),
            totals=row.totals._replace(
                inits=64, ratio=float(each.mean()), ratio_m2=float(each.var() * 64)
            ),
        )
        for each in ratios
    ]
    tested = [row.in_theory for row in rows]
    assert sum(each is None or (each.joint_p or 0.0) <= 0.01 for each in tested) <= 106
    assert sum(each is not None and (each.p or 0.0) <= 0.01 for each in tested) > 106


@pytest.mark.slow
def test_weights_that_break_the_theory_disagree() -> None:
    """Weights with a mean, of inputs with one, are no He initialization: exit 3 with --check."""
    done = here(*args_of("biased", "--input", "16x24", "--inits", "16", "--check"))
    assert done.returncode == 3
    assert "times that of weights without a mean" in " ".join(done.stderr.split())


# Modules.


@pytest.mark.slow
def test_modules_that_call_no_others_have_rows() -> None:
    """Attention is one, an unused layer is none, and weights that are shared have no theory."""
    rows = measured("translator", "--input", "4x6", "--tokens", "50", "--inits", "8")
    assert [*rows][:2] == ["embedding", "block.self_attn"]
    assert [*rows][-1] == "head"
    assert "unused" not in rows
    assert rows["block.self_attn"]["output_shape"] == [4, 6, 16]
    assert rows["embedding"]["gain"] is None
    assert rows["block.linear1"]["theory"] is not None
    assert rows["head"]["theory"] is rows["embedding"]["theory"] is None
    assert rows["head"]["gradient"] == pytest.approx(1.0, rel=0.1)
    assert rows["block.dropout"]["zeros"] > 0.5
    blocks = measured(
        "translator", "--input", "4x6", "--tokens", "50", "--inits", "8", "--depth", "1"
    )
    assert [*blocks] == ["embedding", "block", "head"]
    quiet = measured("translator", "--input", "4x6", "--tokens", "50", "--inits", "8", "--eval")
    assert quiet["block.dropout1"]["zeros"] == 0.0


@pytest.mark.slow
def test_calls_without_gradients_or_theory_have_empty_cells() -> None:
    """A part without gradients, a module that is called twice, and weights made of others."""
    rows = measured("mixed", "--input", "8x24", "--inits", "8")
    assert [*rows] == ["frozen", "twice", "normed"]
    assert rows["frozen"]["gradient"] is None
    assert rows["frozen"]["agrees"] is True
    assert rows["twice"]["theory"] is rows["normed"]["theory"] is None
    assert rows["normed"]["gradient"] == pytest.approx(1.0, rel=0.3)


@pytest.mark.slow
def test_an_overflow_is_an_empty_cell_with_a_caveat() -> None:
    """And no number."""
    row = measured("exploding", "--input", "8x24", "--inits", "8")["0"]
    assert row["variance"] is row["ratio"] is row["agrees"] is None
    assert [caveat["id"] for caveat in row["caveats"]] == ["overflow"]
    assert row["gradient"] is not None


# The command.


@pytest.mark.slow
def test_a_layer_of_ten_times_the_weights_is_outside_the_band() -> None:
    """It is named, and --check exits with 3; the sound model is inside."""
    band = ("--inits", "16", "--between", "0.1:10", "--check")
    sound = here(*args_of("he", *IMAGE, *band))
    assert sound.returncode == 0, sound.stderr
    assert "22 inside." in sound.stdout
    broken = here(*args_of("faulty", *IMAGE, *band))
    assert broken.returncode == 3
    rows = measured("faulty", *IMAGE, *band[:-1])
    assert [row["forward_band"] for row in rows.values()][:7] == ["inside"] * 6 + ["above"]


@pytest.mark.slow
def test_workers_and_resuming_change_no_byte(tmp_path: Path) -> None:
    """A run in two parts, and one on two threads, are the run at once."""
    args = args_of("perceptron", "--input", "8x24", "--quiet")
    file = tmp_path / "rows.jsonl"
    whole = here(*args, "--inits", "12", "-f", "jsonl", "--workers", "1").stdout
    assert here(*args, "--inits", "12", "-f", "jsonl", "--workers", "2").stdout == whole
    for inits in ("8", "12"):
        done = here(*args, "--inits", inits, "-o", str(file), "--resume")
        assert done.returncode == 0, done.stderr
    assert file.read_text(encoding="utf-8") == whole


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["8x24", (8, 24)])
def test_python_gives_the_rows_of_the_command_line(shape: str | tuple[int, int]) -> None:
    """To the last digit, with a shape and a band as texts or as numbers."""
    band = "0.1:10" if isinstance(shape, str) else (0.1, 10.0)
    args = args_of("perceptron", "--input", "8x24", "--inits", "8", "--between", "0.1:10")
    printed = here(*args, "-f", "jsonl").stdout
    assert (
        jsonl_text(
            [
                MODULES.record(row)
                for row in check_model(
                    "tests.model.networks:perceptron", shape, inits=8, between=band
                )
            ]
        )
        == printed
    )


@pytest.mark.slow
def test_modules_are_compared_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is new in the second file has no partner, and shifts no other."""
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    args = args_of("perceptron", "--input", "8x24", "--inits", "8", "--quiet")
    assert here(*args, "-o", str(a)).returncode == 0
    with monkeypatch.context() as patch:
        patch.setattr(networks, "perceptron", networks.longer)
        assert here(*args, "-o", str(b)).returncode == 0
    done = here("compare", str(a), str(b), "-f", "json")
    pairs = [(pair["module"], pair["verdict"]) for pair in json.loads(done.stdout)]
    assert pairs == [(name, "agrees") for name in "01234" for _ in range(2)]
    assert "has no partner" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("unstable", "4x3x8x8", "has other modules than those before, from "),
        ("unseeded", "4x24", "draw all of them from torch's generator"),
        ("nothing", "4x24", "returns NoneType; return a torch.nn.Module"),
        ("missing", "4x24", "cannot be loaded"),
        ("perceptron", "4x25", "fails for input 4x25: RuntimeError: "),
    ],
)
def test_a_model_that_cannot_be_measured_is_one_sentence(
    name: str, shape: str, reason: str
) -> None:
    """What is wrong and what to do."""
    done = here(*args_of(name, "--input", shape, "--inits", "16"))
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert reason in sentence


def test_another_structure_is_refused() -> None:
    """Another module, one more, or one without gradients; the sentence names the first."""

    def passed(name: str, gradient: float | None = 1.0) -> Passed:
        return Passed(Module(name, "Linear", (4, 6)), 0, 1, 1, 0, 1, None, None, gradient)

    totals = ModelTotals().plus([passed("a"), passed("b")])
    assert totals.plus([passed("a"), passed("b")]).inits == 2
    for other in ([passed("a")], [passed("a"), passed("c")], [passed("a"), passed("b", None)]):
        with pytest.raises(ValueError, match=r"^initialization 1 has other modules .* '[bc]' on"):
            totals.plus(other)
    with pytest.raises(ValueError, match="'c' on"):
        totals.plus([passed("a"), passed("b"), passed("c")])

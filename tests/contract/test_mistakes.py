"""A mistake in a setting is one sentence: what was given, what is allowed and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.test_resuming import KINDS
from varsim import (
    Experiment,
    InputError,
    Network,
    check_initializer,
    check_model,
    layers,
    simulate,
)
from varsim.check.question import question
from varsim.check.study import CheckStudy
from varsim.model.question import Model
from varsim.model.study import ModelStudy

INF, NAN = math.inf, math.nan

LAYER: dict[str, Any] = {"dim": 512, "scale": "sqrt"}
STACK: dict[str, Any] = {"widths": (16,) * 4, "scale": "xavier"}
CHECK: dict[str, Any] = {"init": "orthogonal", "dim": 8, "fan_out": 4}
MODEL: dict[str, Any] = {"model": "tests.rows:normal", "input": (4, 6)}

QUESTIONS: dict[str, Callable[..., Any]] = {
    "layer": lambda **given: Experiment(**LAYER | given),
    "stack": lambda **given: Network(**STACK | given),
    "check": lambda draws=8, **given: CheckStudy(question(**CHECK | given), draws),
    "model": lambda between=None, **given: ModelStudy(Model(**MODEL | given), between=between),
}
"""What makes the question of a kind, from settings that differ from the usual ones."""


def each(name: str, *values: Any, **other: Any) -> list[dict[str, Any]]:
    """Settings with each of these values."""
    return [{name: value, **other} for value in values]


NEITHER = "scale {!r} is neither a scheme, nor a number, nor D^p; "
SCALE = "scale is {}; give a finite number above 0, a scheme, or D^p"
RANGE = "takes x, W or x@W out of the range 1e-30 to 1e+30, where float32 is safe; choose k and "
SEEDS = each("seed", -1, 1.5, 2**64, "0")

MISTAKES: dict[str, list[tuple[list[dict[str, Any]], str]]] = {
    "layer": [
        (each("dim", 0, -1, 2.5, "512", True, None, NAN), "dim is {!r}; give a whole number from "),
        (each("dim", 10**30), "give a whole number from 1 to 1,000,000,000"),
        (each("fan_out", 0, -1, 1.5, 10**10), "fan_out is {!r}; give a whole number from 1 to "),
        (each("samples", 0, 63, 10**13, 1e6), "samples is {!r}; give a whole number from 64 to "),
        (each("samples", 3 * 10**10), "float32 rounding allows 20,000,000,000, for an error of "),
        (SEEDS, "seed is {!r}; give a whole number from 0 to 18,446,744,073,709,551,615"),
        (each("scale", "sqr"), NEITHER + "did you mean sqrt?"),
        (each("scale", "xaver"), NEITHER + "did you mean xavier?"),
        (each("scale", "", "D^", "D^x", "1/0", "D^(0.5", "D^\n0.5"), NEITHER + "known are none, "),
        (each("scale", None), "scale 'None' is neither a scheme, nor a number, nor D^p; "),
        (each("scale", "0", "-2", "nan", "inf", "D^nan", "1e20000", 0, -1.0), SCALE),
        (each("scale", "D^60", "D^-60"), "at D = 512, which is out of range; choose a k nearer "),
        (each("scale", "1e40"), RANGE),
        (each("gain", 0, -1, scale="he"), "gain is {}; give a finite number above 0"),
        (each("gain", NAN, INF, scale="he"), "gain is {}; give a finite number"),
        (each("gain", 1e40, scale="he"), RANGE),
        (each("gain", 1e200, 1e-200, scale="he"), "scale 'he' gives k² = nan at D = 512, which "),
        (each("x_std", 0.0, -1.0), "x_std is {}; give a finite number above 0"),
        (each("w_std", 0.0, -1.0), "w_std is {}; give a finite number above 0"),
        (each("x_std", INF, NAN), "x_std is {}; give a finite number"),
        (each("w_std", INF, NAN), "w_std is {}; give a finite number"),
        (each("x_mean", INF, NAN), "x_mean is {}; give a finite number"),
        (each("w_mean", INF, NAN), "w_mean is {}; give a finite number"),
        (each("x_std", 1e-40, 1e40) + each("w_std", 1e-40, 1e40), RANGE),
        (each("x_mean", 1e35) + each("w_mean", 1e35), RANGE),
        (each("x_mean", 1e6) + each("w_mean", 1e6) + each("x_mean", 100.0, w_mean=100.0),
         "times their deviations, and float32 allows 1000 times; take smaller means, or dtype "),
        (each("x_dist", "nrmal"), "distribution of x 'nrmal' is unknown; did you mean normal?"),
        (each("w_dist", "gauss"), "distribution of W 'gauss' is unknown; did you mean gaussian?"),
        (each("w_dist", "rectified"), "'rectified' is a distribution of x only; for W take normal"),
        (each("design", "cross"), "design 'cross' is unknown; did you mean crossed?"),
        (each("dtype", "float16"), "dtype 'float16' is unknown; take float32"),
        (each("precision", 0, -0.1), "precision is {}; give a finite number above 0"),
        (each("precision", 1, 5, 1e-7), "precision is {}; give a relative standard error from "),
        (each("precision", 5e-6), "float32 rounding allows none below 1e-05; take a larger one"),
        (each("precision", NAN, "1%"), "precision is {!r}; give a finite number"),
        (each("precision", 0.01, samples=1000), "samples and precision are both given; give one "),
        (each("max_samples", 1000), "without a precision; give a precision too, or samples "),
        (each("max_samples", 10, 1e5, precision=0.01), "max_samples is {}; give a whole number "),
    ],
    "stack": [
        ([{"widths": (16,)}, {"widths": (4,) * 10_002}], "layers; give the width of the input, "),
        ([{"widths": (16, width)} for width in (0, 2.5, True, 2**16 + 1)],
         "; give a whole number from 1 to 65,536"),
        (each("activation", "tahn"), "activation 'tahn' is unknown; did you mean tanh?"),
        (each("activation", "tanh(2)"), "'tanh(2)' has a parameter, and only leaky_relu, elu, "),
        (each("scale", "xaver"), NEITHER + "did you mean xavier?"),
        (each("gain", 0.0), "gain is 0.0; give a finite number above 0"),
        (each("gain", 2.0, scale="sqrt"), "gain is 2.0, but scale 'sqrt' has none; leave it out, "),
        (each("bias_std", -0.1, INF, NAN), "bias_std is {}; give a number from 0 to 1e6"),
        (each("residual", -1.0, NAN), "residual is {}; give a number from 0 to 1e6"),
        (each("residual", 1.0, widths=(16, 16, 8)), "so all need the same width; give one width, "),
        (each("norm", "group"), "norm 'group' is unknown; known are none, batch, layer, rms"),
        (each("batch", 1, norm="batch"), "batch is 1; give a whole number from 2 to 1,000,000"),
        (each("batch", 0), "batch is 0; give a whole number from 1 to 1,000,000"),
        (each("batch", 10**6, widths=(16, 2**16)), "takes too much memory; take a smaller batch"),
        (each("x_dist", "gumbel"), "distribution of x 'gumbel' is unknown; known are normal, "),
        (each("w_dist", "rectified"), "'rectified' is a distribution of x only; for W take normal"),
        (each("networks", 7, 64.0), "networks is {}; give a whole number from 8 to 10,000,000"),
        (each("networks", 10**7, widths=(4,) * 100), "; take fewer "),
        (SEEDS, "seed is {!r}; give a whole number from 0 to 18,446,744,073,709,551,615"),
        (each("dtype", "float16"), "dtype 'float16' is unknown; take float32"),
        (each("init", "torch.nn.Linear(bias=True)"), "makes a bias"),
        (each("init", "orthogonl"), "did you mean orthogonal"),
        (each("init", "sparse(sparsity=0.999)"), "which zeroes all"),
    ],
    "check": [
        (each("draws", 7, 8.5, 10**7), "draws is {}; give a whole number from 8 to 1,000,000"),
        (each("init", "orthogonl"), "did you mean orthogonal"),
        (each("init", "sparse(sparsity=2)"), "from 0 to below 1"),
        (each("dim", 10**5, fan_out=10**5), "take a smaller dim"),
        (SEEDS, "seed is {!r}; give a whole number from 0 to 18,446,744,073,709,551,615"),
        (each("dtype", "float16"), "dtype 'float16' is unknown; take float32"),
    ],
    "model": [
        (each("model", "net", "torch.nn.Linear"), "{!r} is no function; write module:function, "),
        (each("input", ()), "input has 0 sizes; give 1 to 8, the batch first, such as 16x3x32x32"),
        (each("input", (2,) * 9), "input has 9 sizes; give 1 to 8"),
        ([{"input": (4, size)} for size in (0, -1, 2.5, True)], "give a whole number from 1 to "),
        (each("input", (10**5, 10**4)), "input is 100000x10000, above 1e8 numbers; take a "),
        (each("tokens", 0, 2.5, 2**40), "tokens is {}; give a whole number from 1 to "),
        (each("depth", 0, 1.5), "depth is {}; give a whole number from 1 to 1,000"),
        (each("inits", 7, 64.0), "inits is {}; give a whole number from 8 to 10,000,000"),
        (each("precision", 0.0, 1.0, NAN), "precision is {:g}; give a relative standard error "),
        (each("eval_mode", 1), "eval_mode is {}; give True or False"),
        (each("between", (10.0, 0.1)), "between is 10:0.1; give two variances, the smaller one "),
        (each("between", (-1.0, 1.0), (1.0, 1.0), (0.0, INF), (NAN, 1.0)), "such as 0.1:10"),
        (SEEDS, "seed is {!r}; give a whole number from 0 to 18,446,744,073,709,551,615"),
        (each("dtype", "float16"), "dtype 'float16' is unknown; take float32"),
    ],
}  # fmt: skip
"""Wrong settings of each kind, with a part of their sentence; {} is the value of the first."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_setting_is_one_sentence(kind: str) -> None:
    """The usual settings are accepted, and each mistake in them is refused when it is made."""
    assert QUESTIONS[kind]()
    for mistakes, part in MISTAKES[kind]:
        for mistake in mistakes:
            with pytest.raises(InputError, match=r"^[^\n]{20,240}$") as refusal:
                QUESTIONS[kind](**mistake)
            assert part.format(*mistake.values()) in str(refusal.value), mistake


CALLS: dict[str, Callable[..., Any]] = {
    "layer": lambda **given: simulate(QUESTIONS["layer"](), **given),
    "stack": lambda **given: layers(QUESTIONS["stack"](), **given),
    "check": lambda **given: check_initializer("orthogonal", dim=8, **given),
    "model": lambda **given: check_model("tests.rows:normal", "4x6", **given),
}
"""What runs a question of a kind."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mistakes", "part"),
    [(each("workers", 0, 0.5, True, 2000), "workers is {}; give a whole number from 1 to 1,024"),
     (each("confidence", 0.0, 1.0, 95), "confidence is {}; give a number between 0 and 1"),
     (each("alpha", 0.0, 1.5, "x"), "alpha is {}; give a number between 0 and 1")],
    ids=["workers", "confidence", "alpha"],
)  # fmt: skip
def test_a_mistake_in_running_is_one_sentence(
    kind: str, mistakes: list[dict[str, Any]], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is sampled."""
    monkeypatch.setattr("varsim.runner.sample", lambda _: pytest.fail("it was sampled"))
    for mistake in mistakes:
        with pytest.raises(InputError, match=r"^[^\n]{20,240}$") as refusal:
            CALLS[kind](**mistake)
        assert part.format(*mistake.values()) in str(refusal.value), mistake

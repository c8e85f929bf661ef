"""An experiment is checked once, and what is wrong with it is said in one sentence."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim import Experiment, InputError, infer, stream
from varsim.catalog.designs import DESIGNS
from varsim.layer.theory import predict
from varsim.stack.question import Network


def test_an_experiment_is_frozen() -> None:
    """What was checked stays as it was checked; a changed copy is checked again."""
    experiment = Experiment(dim=512, scale="sqrt")
    with pytest.raises(FrozenInstanceError):
        experiment.dim = 0  # type: ignore[misc]
    with pytest.raises(InputError):
        replace(experiment, dim=0)


def test_a_changed_copy_follows_what_was_not_asked() -> None:
    """The fan-out stays D, the gain the scheme's own and the samples the default."""
    he = replace(Experiment(dim=512, scale="xavier"), dim=64, scale="he")
    assert (he.n, he.g, he.outputs) == (64, math.sqrt(2), 6_080_000)
    assert he.key == Experiment(dim=64, scale="he", fan_out=64, gain=math.sqrt(2)).key


def test_numbers_of_numpy_are_numbers() -> None:
    """A sweep written with NumPy gives the same experiments."""
    plain = Experiment(dim=64, scale="2", x_std=1.5, seed=3)
    given: dict[str, Any] = {"dim": np.int32(64), "scale": 2, "x_std": np.float64(1.5)}
    from_numpy = Experiment(**given | {"seed": np.uint8(3)})
    assert plain.key == from_numpy.key


magnitudes = st.integers(-75, 75).map(lambda power: 1.7 * 10.0**power)


@given(
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(list(DESIGNS)),
    st.sampled_from([1, 2, 9, 10**9]),
    st.fixed_dictionaries(
        {
            "x_std": magnitudes,
            "w_std": magnitudes,
            "x_mean": st.just(0.0) | magnitudes,
            "scale": magnitudes.map(str),
        }
    ),
)
def test_what_is_accepted_can_be_predicted_and_sampled(
    dtype: str, design: str, dim: int, magnitude: dict[str, Any]
) -> None:
    """Near the limits too, nothing overflows, vanishes or is not a number."""
    try:
        experiment = Experiment(dim=dim, dtype=dtype, design=design, samples=64, **magnitude)
    except InputError:
        return
    prediction = predict(experiment)
    assert 0 < prediction.variance < math.inf
    assert 0 < prediction.pair_error2 < math.inf
    if dim < 10:
        result = infer(experiment, stream(experiment))
        assert 0 < result.std_error < math.inf
        assert result.z is not None
        assert abs(result.z) < 100


KEY_CHANGES: list[dict[str, Any]] = [
    {"dim": 513}, {"scale": "none"}, {"fan_out": 7}, {"gain": 2.0}, {"x_dist": "uniform"},
    {"w_dist": "uniform"}, {"x_mean": 0.5}, {"x_std": 2.0}, {"w_mean": 0.5}, {"w_std": 2.0},
    {"design": "paired"}, {"samples": 10_000}, {"dtype": "float64"}, {"init": "orthogonal"},
]  # fmt: skip


@pytest.mark.parametrize("change", KEY_CHANGES, ids=str)
def test_every_field_is_in_the_key(change: dict[str, Any]) -> None:
    """Two different experiments never share their random streams."""
    base = Experiment(dim=512, scale="xavier")
    assert Experiment(**{"dim": 512, "scale": "xavier", **change}).key != base.key


def test_the_key_does_not_change_from_release_to_release() -> None:
    """It names rows on disk and roots the streams: a change must be meant."""
    asked = Experiment(dim=512, scale="sqrt", samples=1_000_000)
    assert asked.key[:16] == "3253782806a7a3c4"
    assert Experiment(dim=512, scale="sqrt").key[:16] == "26405455eb739f46"


@pytest.mark.parametrize("dim", [1, 2, 7, 8, 64, 512, 1000, 4096, 10**6])
def test_the_default_is_a_standard_error_of_a_thousandth(dim: int) -> None:
    """Not a thousand outputs per block fewer would do; other designs take one million."""
    default = Experiment(dim=dim, scale="sqrt")
    assert default.outputs is not None
    assert predict(default).relative_error(default.blocks) <= 0.001
    less = replace(default, samples=default.outputs - 64_000)
    assert predict(less).relative_error(less.blocks) > 0.001
    for other in ({"design": "paired"}, {"design": "fixed-x"}):
        assert replace(default, **other).outputs == 1_000_000  # type: ignore[arg-type]


def test_the_seed_is_not_in_the_key() -> None:
    """It is the root of the streams beside the key."""
    assert Experiment(dim=2, scale="1", seed=1).key == Experiment(dim=2, scale="1", seed=2).key


@given(
    st.sampled_from(list(DESIGNS)),
    st.integers(1, 10**9),
    st.integers(64, 10**10),
)
def test_blocks_hold_what_was_asked_and_little_more(design: str, dim: int, samples: int) -> None:
    """At least the samples asked for; at most one row or column more per group; bounded memory."""
    experiment = Experiment(dim=dim, scale="sqrt", design=design, samples=samples)
    shape, drawn = experiment.block, experiment.blocks * experiment.block.outputs
    asked_a_block = -(-samples // experiment.blocks)
    assert experiment.blocks >= 64
    assert samples <= drawn
    assert shape.outputs - asked_a_block <= shape.groups * (shape.rows + 1)
    assert shape.outputs <= DESIGNS[design].largest + shape.groups * (shape.rows + 1)
    if design == "crossed" and dim >= 8:
        assert shape.rows <= shape.columns <= shape.rows + 2 <= dim + 2


def test_two_spellings_of_a_stack_are_one_question() -> None:
    """Names are brought to their one form where they are checked, as for one layer."""
    typed = Network(widths=(8, 8), x_dist="GAUSSIAN", w_dist="Uniform", norm="RMS", dtype="Float32")
    plain = Network(widths=(8, 8), w_dist="uniform", norm="rms")
    assert typed == plain
    assert typed.key == plain.key

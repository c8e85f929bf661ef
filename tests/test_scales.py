"""Scaling schemes: what k is, and which spellings are the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim import Experiment, InputError
from varsim.catalog.scales import ALIASES, SCALES, canonical_name, find_scale

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
    with pytest.raises(InputError, match="has no gain"):
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

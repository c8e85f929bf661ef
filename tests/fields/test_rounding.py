"""Numbers for people: digits by their errors."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim.fields.rounding import error_digits, rounded, significant, with_error

PDG = {  # error: how it is written
    0.827: "0.8", 0.367: "0.4", 0.354: "0.35", 0.355: "0.4", 0.119: "0.12", 0.949: "0.9",
    0.95: "1.0", 0.999: "1.0", 3.54: "3.5", 3.55: "4", 95.0: "100", 1234.0: "1200",
}  # fmt: skip


@pytest.mark.parametrize("error", PDG)
def test_errors_have_the_digits_of_the_particle_data_group(error: float) -> None:
    """Their own examples (0.827, 0.367, 0.119) and the edges of their rule."""
    written = with_error(0.0, error).split(" ± ")[1]
    assert written == PDG[error]


@given(st.floats(1e-12, 1e12), st.floats(1e-6, 0.5))
def test_rounding_moves_a_value_by_less_than_its_error(value: float, relative: float) -> None:
    """What is shown is the value, to a fraction of its error."""
    error = value * relative
    text = with_error(value, error)
    exponent = re.fullmatch(r"\((.*)\)(e[+-]\d+)", text)
    body, power = (exponent[1], exponent[2]) if exponent else (text, "")
    shown, shown_error = (float(part + power) for part in body.split(" ± "))
    assert abs(shown - value) <= 0.15 * error
    assert abs(shown_error - error) <= 0.15 * error
    assert abs(float(rounded(value, error)) - value) <= 0.15 * error


def test_a_number_below_the_normal_floats_is_written() -> None:
    """Its power of ten may be no float."""
    assert with_error(2.5e-310, 3e-311) == "(2.50 ± 0.30)e-310"
    assert with_error(2e-323, 1e-323) == "(2.0 ± 1.0)e-323"


@given(st.floats(1e-12, 1e12), st.floats(0.0, 9e-8))
def test_an_error_of_rounding_is_not_shown(value: float, relative: float) -> None:
    """Nor the digits that it would leave: what is exact has six."""
    for sign in (1, -1):
        exact = significant(sign * value)
        assert with_error(sign * value, value * relative) == exact
        assert rounded(sign * value, value * relative) == exact


@given(st.floats(1e-300, 1e300))
def test_significant_keeps_six_digits(value: float) -> None:
    """To a relative 5e-6, and in at most 12 characters."""
    text = significant(value)
    assert math.isclose(float(text), value, rel_tol=5.1e-6)
    assert len(text) <= 12


def test_decimals_of_powers_of_ten() -> None:
    """An error of 1 keeps one decimal, ten none: two digits each."""
    assert [error_digits(e)[1] for e in (1.0, 10.0, 100.0, 0.1)] == [1, 0, -1, 2]

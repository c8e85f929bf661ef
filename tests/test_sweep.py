"""The grammar of sweeps."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim import parsing

RANGES = {
    "7": [7],
    "1:4": [1, 2, 3, 4],
    "1:10:4": [1, 5, 9],
    "5:5": [5],
    "10:1:-3": [10, 7, 4, 1],
    "16:128:x2": [16, 32, 64, 128],
    "100:1:x0.1": [100, 10, 1],
    "3:3:x2": [3],
    "1:100:log3": [1, 10, 100],
    "100:1:log3": [100, 10, 1],
    "-1:1:1": [-1, 0, 1],
    "1:1000:log4": [1, 10, 100, 1000],
    "1e3": [1000],
    "1:2:1/2": [1, Fraction(3, 2), 2],
}

MISTAKES = [
    *("", "a", "1:", ":1", "1:2:3:4", "1:10:0", "10:1", "1:10:-1", "1:10:x1", "1:10:x0.5"),
    *("10:1:x2", "0:10:x2", "-1:10:x2", "1:10:x0", "1:10:x-2", "1:10:log1", "0:10:log3"),
    *(
        "1:1e9",
        "1:10:1e-9",
        "1:2:log999999",
        "1:2:x1.0000001",
        "1:2:x1.00000000000000000000000000000001",
        "nan",
        "inf",
        "1e9999999999",
    ),
    *(
        "1/0",
        "1/2/3",
        "0x10",
        "1:10:log",
        "1:10:x",
        "1:2:x1.000000000000000000000001",
        "--1",
        "1..2",
        "５：",
    ),
]


@pytest.mark.parametrize("text", RANGES)
def test_a_range_has_the_values_it_says(text: str) -> None:
    """Ends are inclusive."""
    assert parsing.expand(text, whole=True) == RANGES[text]


def test_decimals_are_exact() -> None:
    """0.1:1:0.1 has ten values, and the last is 1, which no float loop gives."""
    values = parsing.expand("0.1:1:0.1")
    assert [float(value) for value in values] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_sentence(text: str) -> None:
    """It says what is wrong, at once, and never hangs or fills the memory."""
    with pytest.raises(ValueError, match=r"^[^\n]{15,160}$"):
        parsing.expand(text)


@given(st.integers(-1000, 1000), st.integers(0, 200), st.integers(1, 50))
def test_linear_ranges_are_pythons(start: int, length: int, step: int) -> None:
    """For whole numbers, a range with its end included."""
    stop = start + length
    assert parsing.expand(f"{start}:{stop}:{step}") == list(range(start, stop + 1, step))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(2, 50))
def test_log_ranges_keep_their_ends_and_their_ratio(start: int, stop: int, count: int) -> None:
    """The ends are exact, and neighbours have one ratio."""
    values = parsing.expand(f"{start}:{stop}:log{count}")
    assert values[0] == start
    assert values[-1] == stop
    assert len(values) == count
    ratio = (stop / start) ** (1 / (count - 1))
    for low, high in pairwise(values):
        assert float(high / low) == pytest.approx(ratio)


@given(st.text(max_size=30))
def test_no_text_breaks_the_grammar(text: str) -> None:
    """Whatever is typed is a list of numbers or a ValueError."""
    try:
        values = [value for item in parsing.items(text) for value in parsing.expand(item)]
    except ValueError:
        return
    assert all(isinstance(value, Fraction) for value in values)

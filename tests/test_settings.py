"""Settings as people write them."""

from __future__ import annotations

import pytest

from tests.program import SMALL, here, rows
from varsim.settings import duration


def test_shares_are_percentages_too() -> None:
    """A level, a false-alarm rate and a correlation."""
    args = ("--scale", "sqrt", "--dim", "8", *SMALL)
    assert rows(*args, "--confidence", "95%", "--alpha", "0.1%") == rows(*args)
    stack = ("layers", "--width", "8", "--depth", "1", "--networks", "8", "--batch", "4")
    assert rows(*stack, "--correlation", "50%") == rows(*stack, "--correlation", "0.5")


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("--scale sqrt(D)", "--scale sqrt"), ("--scale SQRT", "--scale sqrt"),
        ("--scale D", "--scale linear"), ("--scale sqrt(fan_in)", "--scale sqrt"),
        ("--dim 8 --format MD", "--dim 8 --format markdown"), ("--scale D**1/2", "--scale D^0.5"),
        ("--scale 1e3", "--scale 1000"), ("--scale he_fan_out", "--scale he-fan-out"),
        ("--scale he --gain sqrt(3)", "--scale he --gain 1.7320508075688772"),
        ("--scale sqrt --dim 2^4", "--scale sqrt --dim 16"),
        ("--scale sqrt --x-dist Gaussian", "--scale sqrt"),
        ("--scale sqrt --x-dist relu --w-dist UNIFORM",
         "--scale sqrt --x-dist rectified --w-dist uniform"),
        ("layers -a LEAKY_RELU(0.20)", "layers -a leaky_relu(0.2)"),
        ("layers -a LeakyReLU(1/5)", "layers -a leaky_relu(0.2)"),
        ("layers -a ReLU -w UNIFORM --norm RMS", "layers -a relu -w uniform --norm rms"),
    ],
)  # fmt: skip
def test_two_spellings_are_one_row(typed: str, canonical: str) -> None:
    """With one name, one key and the same draws, to the byte."""
    stack = ("--width", "8", "--depth", "1", "--networks", "8", "--batch", "4")
    small = stack if typed.startswith("layers") else SMALL
    if "--format" not in typed:
        small = (*small, "-f", "jsonl")
    ours, theirs = (here(*words.split(), *small) for words in (typed, canonical))
    assert ours.returncode == 0
    assert ours.stdout == theirs.stdout


def test_an_alias_keeps_the_word_that_was_typed() -> None:
    """A published spelling keeps its row."""
    (row,) = rows("--scale", "Kaiming", "--dim", "8", *SMALL)
    assert row["scale"] == "kaiming"
    stack = ("layers", "--width", "8", "--depth", "1", "--networks", "8", "--batch", "4")
    (row,) = rows(*stack, "-a", "Swish")
    assert row["activation"] == "swish"


@pytest.mark.parametrize(
    ("text", "share"), [("0.1%", 0.001), ("5 %", 0.05), ("1/200", 0.005), ("2e-3", 0.002)]
)
def test_a_precision_is_a_share(text: str, share: float) -> None:
    """As a percentage, a fraction or a number."""
    (row,) = rows("--dim", "8", "--scale", "sqrt", "--precision", text)
    assert row["precision"] == pytest.approx(share)
    assert row["std_error"] <= share * row["empirical"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5s", 1.5),
        ("5m", 300),
        ("2min", 120),
        ("1m5sec", 65),
        ("1h30m", 5400),
        ("1D", 86400),
    ],
)
def test_a_time_has_units(text: str, seconds: float) -> None:
    """Seconds without one."""
    assert duration(text) == seconds

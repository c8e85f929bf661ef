"""The command ``varsim layers`` as its users run it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests import program
from tests.program import here, on_terminal, run, visible
from varsim.stack.result import LAYERS

SMALL = ("layers", "--width", "32", "--depth", "4", "--networks", "32", "--batch", "8")


def rows(*args: str) -> list[dict[str, Any]]:
    return program.rows(*SMALL, *args)


def test_sweeps_are_stacks() -> None:
    """Each combination is a stack, and its layers are rows from the input on."""
    args = ("--activation", "relu,tanh", "--scale", "he,xavier")
    assert [(r["activation"], r["scale"], r["layer"]) for r in rows(*args)] == [
        (a, s, layer) for a in ("relu", "tanh") for s in ("he", "xavier") for layer in (1, 2, 3, 4)
    ]


def test_a_stack_is_the_same_alone_and_in_a_sweep() -> None:
    """But for its verdict."""
    alone, swept = rows(), rows("--gain", "2,1")[4:]
    for row in [*alone, *swept]:
        row.pop("alpha")
    assert alone == swept


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks may be computed anywhere; no worker imports the files of its folder."""
    pytest.importorskip("distributed", reason="the extra varsim[cluster] is not installed")
    for name in ("signal", "socket", "selectors"):
        (tmp_path / f"{name}.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    args = (*SMALL, "-f", "csv", "--activation", "gelu")
    here, there = run(*args), run(*args, "--scheduler", "local", "-j", "2")
    assert there.returncode == 0, there.stderr
    assert here.stdout == there.stdout


@pytest.mark.parametrize(
    ("suffix", "more"), [("jsonl", ()), ("csv", ("--histogram", "--norm", "layer"))]
)
def test_resuming_continues_with_more_networks(
    suffix: str, more: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are those of one run, to the last byte."""
    monkeypatch.chdir(tmp_path)
    args = (*SMALL, "--activation", "tanh,relu", *more, "--check", "-f", "jsonl")
    plain, resume = here(*args), ("-o", f"kept.{suffix}", "--resume")
    assert here(*args, "--networks", "10", *resume).returncode == 0
    resumed = here(*args, *resume)
    assert plain.returncode == resumed.returncode == 0, resumed.stderr
    assert plain.stdout == resumed.stdout
    assert all(json.loads(line)["networks"] == 32 for line in plain.stdout.splitlines())
    kept = Path(f"kept.{suffix}").read_bytes()
    again = here(*args, *resume)
    assert "2 of 2 stacks are done already" in again.stderr
    assert again.stdout == resumed.stdout
    assert Path(f"kept.{suffix}").read_bytes() == kept


def test_a_precision_takes_more_networks() -> None:
    """Networks are added until the error of every layer is small enough."""
    table = rows("--precision", "2%", "--no-backward")
    assert all(row["std_error"] <= 0.02 * row["empirical"] for row in table)
    assert table[0]["networks"] > 32


def test_a_precision_is_bounded() -> None:
    """A stack that stops short says what it reached; a layer of heavy tails would not end."""
    args = (*SMALL, "--networks", "8", "--precision", "0.1%", "-f", "jsonl")
    for limit, fewest, most in (("--max-networks=20", 20, 20), ("--max-time=0.001", 8, 32)):
        done = here(*args, limit)
        row, *_ = (json.loads(line) for line in done.stdout.splitlines())
        assert done.returncode == 4
        assert fewest <= row["networks"] <= most
        (said,) = (c["message"] for c in row["caveats"] if c["id"] == "precision-unmet")
        assert re.fullmatch(
            r"the relative standard error is [0-9.]+% after \d+ networks, not 0\.1% as asked; that "
            r"needs about [0-9,]+ networks",
            said,
        )


@pytest.mark.parametrize(
    ("args", "caveat"),
    [
        ("--width 64 --depth 100 -a linear -s linear", "underflow"),
        ("--width 64 --depth 100 -a linear -s none", "overflow"),
        ("--width 8 --depth 100 -a abs -s 1e-2 --histogram", "overflow"),
        ("--width 8 --depth 20 -a hardswish -s 0.001 --norm layer --dtype float64", "no-theory"),
        ("--width 4 --depth 3 -a leaky_relu(1e300)", "overflow"),
        ("--width 4 --depth 3 -a numpy:log --histogram", "overflow"),
        ("--width 4 --depth 40 -a erf -s 1e-10 --infinite-width", "no-theory"),
        ("--width 4 --depth 3 -a elu(1e100) --dtype float64", "no-theory"),
        ("--width 4 --depth 3 -a relu2 -s 1e-9 --residual 1e6 --correlation 0.5", "overflow"),
    ],
)
def test_what_vanishes_or_explodes_is_shown(args: str, caveat: str) -> None:
    """Cells beyond the floats are empty, a caveat says why, and nothing is warned of."""
    done = here("layers", *args.split(), "--networks", "8", "--batch", "4", "-f", "jsonl")
    assert done.returncode == 0, done.stderr
    table = [json.loads(line, parse_constant=pytest.fail) for line in done.stdout.splitlines()]
    assert caveat in {each["id"] for row in table for each in row["caveats"]}
    assert not any(row["agrees"] is False for row in table)
    assert all(line.startswith(("Caveat: ", " ")) for line in done.stderr.splitlines()[:-1])
    assert LAYERS.record(LAYERS.row_of(table[-1])) == table[-1]


def test_without_gradients_their_cells_are_empty() -> None:
    """As what is unknown is."""
    (row, *_) = rows("--no-backward")
    assert row["gradient"] is row["gradient_theory"] is row["gradient_z"] is None


def test_correlated_inputs_are_followed() -> None:
    """From layer to layer, beside theory and χ⊥."""
    table = rows("--correlation", "0.5")
    assert table[0]["correlation_theory"] == pytest.approx(0.5)
    assert abs(table[0]["output_correlation"] - 0.5) < 0.2
    assert table[0]["correlation_theory"] > table[3]["correlation_theory"]
    assert 0 < table[0]["chi"] < table[2]["chi"] < 1


@pytest.mark.slow
def test_check_finds_a_scheme_without_its_gain() -> None:
    """The theory of infinite width is refuted at 8 units; the corrected one passes."""
    args = ("--width", "8", "--depth", "6", "-a", "selu", "-s", "lecun", "--networks", "4000")
    assert here("layers", *args, "--check", "--no-backward").returncode == 0
    done = here("layers", *args, "--check", "--no-backward", "--infinite-width")
    assert done.returncode == 3
    assert "disagree with theory: selu, scale lecun, gain 1, layer" in done.stderr


def test_the_command_takes_initializers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They can be swept and be of users; what those print goes to stderr, and errors are told."""
    source = (
        "def init(rng, shape):\n    print('hello')\n    return rng.standard_normal(shape) / 8\n"
        "def turned(rng, shape):\n    return rng.standard_normal((shape[1] + 1, shape[0]))\n"
        "def late(rng, shape):\n    w = rng.standard_normal(shape) / 8\n    assert w[0, 0] < 0.2\n"
        "    return w\n"
    )
    (tmp_path / "stackinit.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    args = ("layers", "--width", "64", "--depth", "3", "-s", "lecun", "--networks", "16")
    done = here(*args, "-i", "stackinit:init,orthogonal", "--check", "-f", "csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7
    assert "hello" in done.stderr
    assert "init orthogonal" in here(*args, "-i", "orthogonal", "-q").stdout
    wrong = here(*args, "-i", "stackinit:turned")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "not (fan-in, fan-out) = (64, 64); return that shape" in " ".join(wrong.stderr.split())
    late = here(*args, "-i", "orthogonal,stackinit:late", "-f", "csv")
    assert late.returncode == 1
    assert len(late.stdout.splitlines()) == 4
    assert "AssertionError" in late.stderr


def test_a_narrow_terminal_drops_columns_but_no_digit() -> None:
    """The columns that are left fit, and stderr names the others."""
    shown = on_terminal(*SMALL)
    assert "The terminal is too narrow for:" in shown
    assert max(map(len, visible(shown).splitlines())) <= 80

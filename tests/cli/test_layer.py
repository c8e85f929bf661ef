"""The command ``varsim`` itself: sweeps, their rows and their plan."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from tests.program import SMALL, here, rows
from varsim import Experiment, simulate
from varsim.layer.sampling import block_bytes


def test_varsim_alone_answers_the_question() -> None:
    """Three experiments at D = 512: k = 1, D and √D; all agree, and only √D keeps the variance."""
    table = rows()
    assert [(row["dim"], row["scale"]) for row in table] == [
        (512, "none"), (512, "linear"), (512, "sqrt"),
    ]  # fmt: skip
    assert [row["theory"] for row in table] == [512.0, 1 / 512, 1.0]
    assert all(row["agrees"] and row["samples"] == 3_968_000 for row in table)
    assert all(row["std_error"] / row["empirical"] < 0.0013 for row in table)
    for row in table:
        assert row["empirical"] == pytest.approx(row["theory"], rel=0.01)


@pytest.mark.parametrize(
    ("typed", "shown"),
    [("22.627416997969522", "√512"), ("sqrt(512)", "√512"), ("5/3", "5/3"), ("3.3", "3.3")],
)
def test_a_divisor_is_shown_as_what_it_is(typed: str, shown: str) -> None:
    """As a root or a fraction, and never in seventeen digits."""
    args = ("--dim", "512", "--scale", typed, "--samples", "640", "--columns", "scale,k")
    assert here(*args).stdout.splitlines()[2].split() == [shown, shown]


def test_two_spellings_of_a_gain_are_one_row() -> None:
    """√2 is the gain of ReLU."""
    assert len(rows(*SMALL, "--scale", "he", "--gain", "relu,sqrt(2),1.4142135623730951")) == 1


def test_seeds_are_rows_as_of_runs_of_their_own(tmp_path: Path) -> None:
    """And one file of them is pooled by merge."""
    one = (*SMALL, "--scale", "sqrt")
    file = tmp_path / "seeds.jsonl"
    several = rows(*one, "--seed", "3,1", "--output", str(file))
    assert several == [*rows(*one, "--seed", "3"), *rows(*one, "--seed", "1")]
    table = here(*one, "--seed", "3,1").stdout
    assert [line.split()[2] for line in table.splitlines()[:4]] == ["seed", "----", "3", "1"]
    (pooled,) = json.loads(here("merge", str(file), "--format", "json").stdout)
    assert pooled["samples"] == 2 * several[0]["samples"]
    assert (pooled["seed"], pooled["pooled"]) == (1, [3])
    assert here(*one, "--seed", "1,1").stderr.startswith("Note: 1 row is in the sweep more than")


def test_machine_formats_are_the_library_s_result() -> None:
    """The command and the library are one program."""
    result = simulate(Experiment(dim=64, scale="sqrt", samples=6400, seed=9))
    (row,) = rows("--dim", "64", "--scale", "sqrt", *SMALL, "--seed", "9")
    assert (row["empirical"], row["std_error"], row["p"]) == (
        result.empirical, result.std_error, result.p,
    )  # fmt: skip


def test_a_sweep_is_every_combination_in_order() -> None:
    """Lists, ranges and repeats multiply; the last option turns fastest."""
    table = rows("--dim", "2:8:x2", "-d", "3", "--scale", "none,D^0.5,2:4:2", *SMALL)
    assert [(row["dim"], row["scale"]) for row in table] == [
        (dim, scale) for dim in (2, 4, 8, 3) for scale in ("none", "D^0.5", "2", "4")
    ]


def test_every_sweepable_option_sweeps_and_has_its_column() -> None:
    """What varies is shown, in the table and in the records."""
    sweeps = {
        "--fan-out": ("64,128", "fan-out"), "--gain": ("1,5/3", "gain"),
        "--x-dist": ("normal,laplace", "x"), "--w-dist": ("normal,uniform", "W"),
        "--x-mean": ("0,0.5", "x mean"), "--x-std": ("1:2", "x std"),
        "--w-mean": ("0,0.1", "W mean"), "--w-std": ("1,2", "W std"),
        "--design": ("crossed,paired", "design"),
    }  # fmt: skip
    for option, (values, header) in sweeps.items():
        done = here("--dim", "8", "--scale", "xavier", *SMALL, option, values)
        lines = done.stdout.splitlines()
        assert f" {header} " in lines[0], option
        assert len(lines) == 7, option


def test_a_row_is_the_same_alone_and_in_a_sweep() -> None:
    """Whoever else is in the table, with any number of workers."""
    (alone,) = rows("--dim", "64", "--scale", "he", *SMALL, "--workers", "1")
    swept = rows("--dim", "512,64,2", "--scale", "sqrt,he", *SMALL, "--workers", "3")
    assert swept[3] == alone


def test_a_random_seed_is_shown_and_gives_the_row_again() -> None:
    """So that a drawn seed is as good as a chosen one."""
    (row,) = rows("--seed", "random", "--scale", "sqrt", *SMALL)
    (other,) = rows("--seed", "random", "--scale", "sqrt", *SMALL)
    (again,) = rows("--seed", str(row["seed"]), "--scale", "sqrt", *SMALL)
    assert row == again
    assert row["seed"] != other["seed"]


def test_dry_run_runs_nothing() -> None:
    """A sweep that would take years is planned at once, at its cost and its error."""
    done = here(
        "--dry-run", "--dim", "1e9,512", "--samples", "1e9", "--scale", "sqrt", "-f", "json"
    )
    assert re.fullmatch(r"On this machine it takes about [\d.]+ \w+\.\n", done.stderr)
    plan = json.loads(done.stdout)
    experiment = Experiment(dim=10**9, scale="sqrt", samples=10**9)
    shape = experiment.block
    assert plan[0]["numbers"] == experiment.blocks * 10**9 * (shape.rows + shape.columns)
    assert plan[0]["samples"] == experiment.blocks * shape.outputs >= 10**9
    for workers, plans in ((1, "--dry-run --workers 1"), (3, "--dry-run --workers 3")):
        for row in json.loads(here(*plans.split(), "-f", "json").stdout):
            e = Experiment(dim=row["dim"], scale=row["scale"])
            assert row["memory"] == workers * block_bytes(e), "tests of sampling hold that to peaks"


def test_a_dry_run_s_error_is_the_error_of_the_run() -> None:
    """Planned and measured relative error differ by the error of an error bar, at most 5 of it."""
    args = ("--dim", "16,300", "--x-dist", "normal,exponential", "--samples", "1e5", "-s", "sqrt")
    plans = json.loads(here(*args, "--dry-run", "-f", "json").stdout)
    for plan, row in zip(plans, rows(*args), strict=True):
        assert plan["theory"] == row["theory"]
        measured = row["std_error"] / row["theory"]
        assert abs(measured / plan["relative_error"] - 1) < 5 * math.sqrt(1 / (2 * 63))

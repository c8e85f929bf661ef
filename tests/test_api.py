"""The Python interface: the numbers of the command line, rows that show themselves, and errors."""

from __future__ import annotations

import copy
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import varsim
from tests.program import here
from varsim import (
    Experiment,
    InputError,
    Network,
    Result,
    Rows,
    check_initializer,
    conclude,
    critical,
    gain,
    infer,
    judge,
    layers,
    settings,
    simulate,
    sweep,
)
from varsim.fields import RowBase
from varsim.layer.study import LayerStudy
from varsim.layer.totals import Totals

SMALL: dict[str, Any] = {"dim": 64, "scale": "sqrt", "samples": 6400}
STACK: dict[str, Any] = {"width": 16, "depth": 2, "networks": 8}


@cache
def one_of_each() -> tuple[RowBase, ...]:
    """A row of every kind."""
    return simulate(**SMALL), layers(**STACK)[1], check_initializer("orthogonal", dim=8, draws=8)


def records(*arguments: str) -> list[dict[str, Any]]:
    done = here(*arguments, "--quiet", "-f", "json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def recorded(*rows: RowBase) -> list[dict[str, Any]]:
    return json.loads(json.dumps([row.schema.record(row) for row in rows]))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (
            {"dim": [8, 16], "scale": ["he", "sqrt"], "x_dist": "rectified", "samples": "1e4"},
            "--dim 8,16 --scale he,sqrt --x-dist rectified --samples 1e4",
        ),
        (
            {"dim": np.array([8, 16]), "gain": ["5/3", 1], "scale": "xavier", "samples": 6400},
            "--dim 8:16:x2 --gain 5/3,1 --scale xavier --samples 6400",
        ),
        ({"samples": 6400, "seed": 3}, "--samples 6400 --seed 3"),
        (
            {"dim": "8:16:x2", "scale": range(2, 4), "precision": "4%"},
            "--dim 8,16 --scale 2,3 -p 4%",
        ),
    ],
    ids=["lists", "arrays", "defaults", "texts"],
)
def test_a_sweep_has_the_rows_of_the_command_line(settings: dict[str, Any], options: str) -> None:
    """In its order, with its streams and its joint verdicts."""
    rows = sweep(**settings)
    assert len(rows) > 1
    assert recorded(*rows) == records(*options.split())


def test_layers_and_checks_are_those_of_the_command_line() -> None:
    """Sweeps of stacks, all widths, and an initializer."""
    rows = layers(**STACK, activation=["tanh", "relu"], residual="gpt2", norm="layer")
    options = "--width 16 --depth 2 --networks 8 --activation tanh,relu --residual gpt2"
    assert recorded(*rows) == records("layers", *options.split(), "--norm", "layer")
    rows = layers(widths=(16, 8, 4), networks=8)
    assert recorded(*rows) == records("layers", "--widths", "16,8,4", "--networks", "8")
    assert rows == layers(Network(widths=(16, 8, 4), networks=8))
    row = check_initializer("orthogonal", dim=8, draws=8)
    assert recorded(row) == records("init", "orthogonal", "--dim", "8", "--draws", "8")


def test_arguments_are_the_settings_of_questions() -> None:
    """Each setting has its type, its reader and its field."""
    layer, stack = (
        set(kind.__optional_keys__) for kind in (settings.LayerSettings, settings.StackSettings)
    )
    assert layer == set(settings.LAYER) == {field.name for field in fields(Experiment)}
    of_network = {field.name for field in fields(Network)}
    assert stack == set(settings.STACK) == of_network | {"width", "depth"}


def test_simulate_takes_settings_or_an_experiment() -> None:
    """Of Python or of NumPy; None is the default."""
    row = simulate(**SMALL)
    assert row == simulate(Experiment(**SMALL))
    assert row == simulate(**SMALL, gain=None, workers=np.int64(1))  # type: ignore[arg-type]
    assert row == simulate(dim=np.int64(64), scale="sqrt", samples=np.int32(6400), x_std=np.ones(1))
    assert simulate(**SMALL | {"scale": np.float64(8)}).k == row.k
    assert simulate(64, "sqrt", samples=6400) == row
    assert simulate(np.int64(64), scale="sqrt", samples=6400) == row
    assert simulate(scale="sqrt", samples=640).dim == 512


def test_a_whole_number_may_be_a_float() -> None:
    """1e4 is a float in Python; a fraction stays a mistake."""
    row = simulate(**SMALL | {"samples": 6.4e3, "dim": 64.0}, seed=np.float64(1))
    assert row == simulate(**SMALL, seed=1)
    assert layers(**STACK | {"networks": 8.0, "width": [16.0]}) == layers(**STACK)
    checked = check_initializer("orthogonal", 8.0, draws=8.0)
    assert checked == check_initializer("orthogonal", "8", 8, draws=8)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: simulate(dims=3), "setting 'dims' is unknown; did you mean dim?"),  # type: ignore[call-arg]
        (lambda: simulate(3, "sqrt", dim=4), "dim is given twice; give it once"),
        (lambda: simulate(3, "sqrt", samples=640.5), "samples is 640.5; give a whole number from"),
        (lambda: simulate(Experiment(**SMALL), "he"), "scale stands beside Experiment(...)"),
        (lambda: simulate(Network(widths=(8, 8))), "of type Network is given where Experiment"),  # type: ignore[arg-type]
        (lambda: simulate(3, "sqrt", histogram="no"), "histogram is 'no'; give True or False"),  # type: ignore[arg-type]
        (lambda: layers(**STACK, backward="no"), "backward is 'no'; give True or False"),  # type: ignore[arg-type]
        (lambda: layers(**STACK, infinite_width=0), "infinite_width is 0; give True or False"),  # type: ignore[arg-type]
        (lambda: layers(**STACK, activation=3), "activation is 3; give a name, such as 'tanh'"),  # type: ignore[arg-type]
        (lambda: critical(np.tanh), "activation is <ufunc 'tanh'>; give a name, such as 'tanh'"),  # type: ignore[arg-type]
        (lambda: gain(None), "activation is None; give a name"),  # type: ignore[arg-type]
        (lambda: check_initializer("orthogonal", [8, 16]), "dim has 2 values; it takes one"),
        (lambda: Rows().plot(), "there are no rows to draw; give at least one"),
        (lambda: Rows([one_of_each()[0]]).plot(width=1), "width is 1; give inches from 2 to 40"),
        (lambda: simulate(dim=3, worker=2), "setting 'worker' is unknown; did you mean workers?"),  # type: ignore[call-arg]
        (lambda: simulate(dim=3), "scale is missing; give it"),
        (lambda: simulate(dim=[3, 4], scale="sqrt"), "make 2; take sweep"),
        (lambda: simulate(SMALL), "of type dict is given where Experiment(...) is expected"),
        (lambda: simulate(Experiment(**SMALL), seed=1), "seed stands beside Experiment(...)"),
        (lambda: simulate(dim="5x", scale="sqrt"), "dim: '5x' is not a number; write one"),
        (lambda: sweep(dim=[]), "dim has no values; give one"),
        (lambda: sweep(samples=[1, 2]), "samples has 2 values; it takes one"),
        (lambda: sweep(dim=range(10**9)), "100,000 are allowed; take fewer values"),
        (lambda: layers(depht=3), "setting 'depht' is unknown; did you mean depth?"),  # type: ignore[call-arg]
        (lambda: layers(widths=[8, 8], width=8), "leave width and depth out"),
        (lambda: layers(width=8, depth=0), "depth is 0; give a whole number from 1"),
        (lambda: judge([], alpha=3), "alpha is 3; give a number between 0 and 1"),
        (lambda: infer(Experiment(**SMALL), []), "there are 0 blocks; an error bar needs"),
        (lambda: conclude(Experiment(**SMALL), Totals(blocks=9), 95), "confidence is 95; give a"),
        (lambda: gain("gelu", variance=-1), "variance is -1; give a number from 1e-12 to 1e12"),
        (lambda: critical("tanh", variance=0), "variance is 0; give a number from 1e-12"),
        (lambda: critical("tanhh"), "did you mean tanh?"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(call: Callable[[], Any], sentence: str) -> None:
    """An InputError, which is a ValueError, with what to do."""
    with pytest.raises(InputError) as caught:
        call()
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_a_sweep_leaves_out_is_told() -> None:
    """As a warning of the caller's line."""
    with pytest.warns(UserWarning, match="more than once") as told:
        assert len(sweep(**SMALL | {"dim": [8, 8]})) == 1
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match="does not apply to scale sqrt"):
        sweep(**SMALL | {"scale": ["sqrt", "he"]}, gain=2)


def test_an_interrupt_is_the_caller_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the call, and gives no rows that look complete."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LayerStudy, "sample", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate(**SMALL, workers=1)


def test_critical_points_are_those_of_the_table() -> None:
    """Of a name, with or without a variance."""
    assert critical("relu")[:3] == pytest.approx(("scale-invariant", 2.0, 0.0))
    assert critical("tanh", 2.0).chi_perpendicular == pytest.approx(1.0)


def test_a_row_is_one_line() -> None:
    """Its settings, what was measured, theory and verdict; without totals, its settings."""
    result, layer, check = map(repr, one_of_each())
    assert result == "Result(D = 64, scale sqrt: 0.98 ± 0.04, theory 1, agrees)"
    assert layer.startswith("LayerResult(tanh, scale xavier, gain 1: layer 2, ")
    assert layer.endswith("theory 1, agrees)")
    assert check.startswith("InitializerCheck(orthogonal, D = 8, fan-out 8: x@W ")
    assert repr(Result(Experiment(**SMALL), Totals())) == "Result(D = 64, scale sqrt)"
    wrong = simulate(**SMALL | {"init": "orthogonal", "scale": "he"})
    assert repr(wrong).endswith("theory 2, DISAGREES)")
    given_x = simulate(**SMALL, design="fixed-x")
    assert ", given x " in repr(given_x)
    unjudged = infer(Experiment(**SMALL), varsim.stream(Experiment(**SMALL)))
    assert repr(unjudged) == result.replace("agrees", "pending")


@pytest.mark.parametrize("place", range(3))
def test_a_row_is_a_value(place: int) -> None:
    """Copies and pickles are equal to it, with one hash."""
    row = one_of_each()[place]
    pickled = pickle.loads(pickle.dumps(row))  # noqa: S301
    for twin in (copy.copy(row), copy.deepcopy(row), pickled):
        assert (twin, hash(twin), repr(twin)) == (row, hash(row), repr(row))
    assert row != simulate(**SMALL, seed=1)


@pytest.mark.parametrize("place", range(3))
def test_a_record_has_single_values(place: int) -> None:
    """Those of the machine formats, with their names."""
    row = one_of_each()[place]
    record = row.to_dict()
    whole = row.schema.record(row)
    assert record.items() <= whole.items()
    assert {type(value) for value in record.values()} <= {str, int, float, bool, type(None)}
    left_out = {name for name, value in whole.items() if isinstance(value, dict | list)}
    assert not left_out & record.keys()
    assert {"agrees", "seed"} <= record.keys()
    assert (dict(row), row["seed"], len(row)) == (record, row.question.seed, len(record))


def test_fields_are_attributes_that_are_found() -> None:
    """By completion, and so by Python's hints at the nearest name."""
    row = one_of_each()[0]
    assert {"theory", "seed", "x_dist", "to_dict"} <= set(dir(row))
    with pytest.raises(AttributeError, match="'Result' object has no attribute 'empirica'"):
        _ = row.empirica  # type: ignore[attr-defined]  # mypy knows, too


def test_rows_print_as_the_table_of_the_command_line() -> None:
    """Slices and sums stay rows; the list itself is a line per row."""
    rows = sweep(**SMALL | {"scale": ["sqrt", "he"]})
    assert str(rows) == here("-d", "64", "-s", "sqrt,he", "-n", "6400").stdout
    assert repr(rows) == f"[{rows[0]!r},\n {rows[1]!r}]"
    assert [type(each) for each in (rows[:1], rows + rows, copy.copy(rows))] == [Rows] * 3
    assert isinstance(rows[0], Result)
    assert (str(Rows()), Rows()._repr_html_()) == ("[]", None)
    assert rows.to_markdown() == rows._repr_markdown_()


class Cells(HTMLParser):
    """Counts the cells of tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells, self.tables = 0, 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.cells += tag in ("td", "th")
        self.tables += tag == "table"


def test_a_notebook_shows_tables() -> None:
    """Of one row and of many, a table per stack, with nothing unescaped."""
    rows = sweep(**SMALL | {"scale": ["sqrt", "he"]})
    html, one = rows._repr_html_(), rows[0]._repr_html_()
    assert html is not None
    assert one is not None
    assert (Cells(html).cells, Cells(one).cells) == (3 * 8, 2 * 8)
    markdown = rows._repr_markdown_()
    options = ("-d", "64", "-s", "sqrt,he", "-n", "6400", "-f", "markdown")
    assert markdown == here(*options).stdout
    stacks = layers(**STACK, activation=["tanh", "relu"])._repr_html_()
    assert stacks is not None
    assert Cells(stacks).tables == 2
    check = one_of_each()[2]._repr_markdown_()
    assert check is not None
    assert check.startswith("| package | initializer")


def test_rows_draw_themselves(tmp_path: Path) -> None:
    """As varsim plot does: an SVG for a notebook, and the same bytes in a file."""
    pytest.importorskip("matplotlib")
    rows = sweep(**SMALL | {"scale": ["sqrt", "he"]})
    picture = rows.plot(tmp_path / "figure.svg")
    assert picture._repr_svg_().startswith("<?xml")
    here("-d", "64", "-s", "sqrt,he", "-n", "6400", "-o", str(tmp_path / "rows.jsonl"))
    assert here("plot", str(tmp_path / "rows.jsonl"), "-o", str(tmp_path / "b.svg")).returncode == 0
    assert (tmp_path / "figure.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    rows[:1].plot(str(tmp_path / "figure.PNG"), width=5, title="One")
    assert (tmp_path / "figure.PNG").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match=r"'a.gif' has no known suffix; give one of .svg, .png"):
        rows.plot("a.gif")


def test_a_missing_package_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of imports, for the interpreter that runs."""
    rows = Rows([one_of_each()[0]])
    install = re.escape(f"is not installed; run: {sys.executable} -m pip install")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ModuleNotFoundError, match=f"^data frames need pandas, which {install}"):
        rows.to_pandas()
    for name in [n for n in sys.modules if n.startswith("varsim.plots")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=f"^figures need matplotlib, which {install}"):
        rows.plot()


def test_rows_are_a_data_frame() -> None:
    """A column per field with single values, in the order of files."""
    pandas = pytest.importorskip("pandas")
    rows = sweep(**SMALL | {"scale": ["sqrt", "he"]})
    frame = rows.to_pandas()
    assert list(frame) == list(rows[0].to_dict())
    assert list(frame["theory"]) == [1.0, 2.0]
    if tuple(map(int, pandas.__version__.split(".")[:2])) >= (3, 1):
        assert pandas.DataFrame(rows).equals(frame)


_STATE = """
import os, signal, sys, threading, warnings
def state():
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return (list(sys.meta_path), list(sys.path), dict(os.environ), handlers,
            list(warnings.filters), sys.excepthook, sys.unraisablehook, threading.active_count())
import numpy
before = state()
import varsim
for name in varsim.__all__:
    getattr(varsim, name)
print(before == state())
"""


def test_importing_changes_nothing_in_the_process() -> None:
    """A library's guest finds its host as it was: finders, paths, signals, warnings, threads."""
    done = subprocess.run(
        [sys.executable, "-c", _STATE], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"

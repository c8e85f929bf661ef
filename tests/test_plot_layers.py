"""Deep stacks in files and in figures: what is read is what was written, and drawn."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from varsim.layer.records import record_of as result_record
from varsim.plots.layers import MOST_STACKS, stacks_of
from varsim.stack.records import LAYERS, NAMES, record_of, result_of

from tests.program import VARSIM, environment, here, run
from varsim import Experiment, simulate, student
from varsim.parsing import InputError
from varsim.plots.distributions import curves_of
from varsim.plots.figure import draw_any, draw_layers, encode
from varsim.plots.style import styled
from varsim.report import Sheet
from varsim.report.formats import FORMATS
from varsim.stack.network import Network
from varsim.stack.result import LayerResult, activation_bins, infer, judge, simulate_layers
from varsim.stack.sampling import stream
from varsim.statistics import Caveat

MAGIC = {".svg": b"<?xml", ".png": b"\x89PNG\r\n", ".pdf": b"%PDF-"}


@cache
def stack(depth: int = 5, **settings: Any) -> list[LayerResult]:
    """A small stack of equal widths."""
    return simulate_layers(network(depth, **settings), workers=1)


@cache
def counted(depth: int = 5, **settings: Any) -> list[LayerResult]:
    """The same with histograms."""
    asked = network(depth, **settings)
    return judge(infer(asked, stream(asked, bins=activation_bins(asked))))


def network(depth: int, **settings: Any) -> Network:
    usual: dict[str, Any] = {"activation": "tanh", "scale": "xavier", "networks": 16, "batch": 8}
    return Network(widths=(16,) * (depth + 1), **(usual | settings))


def text_of(rows: Sequence[LayerResult], suffix: str) -> str:
    return FORMATS[suffix[1:]](Sheet([], [], list(map(record_of, rows))))


def file_of(folder: Path, rows: Sequence[LayerResult], name: str = "layers.jsonl") -> Path:
    file = folder / name
    file.write_text(text_of(rows, file.suffix), encoding="utf-8")
    return file


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in np.array(line.get_data()).T]


def named(figure: Figure, panel: int, name: str) -> list[Line2D]:
    return [line for line in figure.axes[panel].lines if line.get_gid() == name]


def measured(figure: Figure, panel: int) -> list[tuple[float, float]]:
    bars: list[Any] = list(figure.axes[panel].containers)
    return [point for bar in bars for point in points(bar.lines[0])]


def intervals(figure: Figure, panel: int) -> list[tuple[float, float]]:
    bars: list[Any] = list(figure.axes[panel].containers)
    paths = [path for bar in bars for path in bar.lines[2][0].get_paths()]
    return [(float(path.vertices[0, 1]), float(path.vertices[1, 1])) for path in paths]


def said_below(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().split())


# --- files


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json"])
def test_layers_are_read_as_they_were_written(suffix: str) -> None:
    """Every field to the last digit: histograms, caveats, and what is not known."""
    rows = [
        *counted(),
        *stack(norm="batch", activation="relu", scale="he", gain=None),
        *stack(backward=False, residual=0.5),
        replace(stack()[0], caveats=(Caveat("overflow", 'a "quoted", one\n'),), empirical=None),
        replace(stack()[0], gradient_theory=-1.0),  # as leading orders can be
    ]
    assert list(LAYERS.parse(text_of(rows, suffix), suffix)) == rows


def test_a_record_has_the_names_of_the_schema_in_their_order() -> None:
    """And a record of them makes the row."""
    record = record_of(counted()[0])
    assert list(record) == NAMES
    assert result_of(record) == counted()[0]


@pytest.mark.parametrize(
    "change",
    [{"layer": 0}, {"layer": 6}, {"width": 0}, {"empirical": -1.0}, {"empirical": "1"},
     {"theory": None}, {"theory": float("nan")}, {"theory": 10**400}, {"networks": 1},
     {"networks": 2.0}, {"confidence": 1.0}, {"schema": 99}, {"schema": None}, {"agrees": 1},
     {"caveats": [{"id": 3}]}, {"caveats": None}, {"counts": None}, {"counts": [1, 2]},
     {"counts": 3}, {"histogram": {"low": 0}}, {"saturated": 1.5}, {"key": 3}, {"more": 1},
     {"histogram": {"low": 0.0, "width": 0.0, "number": 100}}],
    ids=str,
)  # fmt: skip
def test_what_is_no_layer_is_one_sentence(change: dict[str, Any]) -> None:
    """Whatever a record holds instead."""
    with pytest.raises(InputError, match=r"^it[s ][^\n]{10,200}$"):
        result_of({**record_of(counted()[0]), **change})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("junk", [{}, [], [[]], "x", True, -1e999, {"low": []}], ids=str)
def test_junk_in_a_record_raises_nothing_else(name: str, junk: Any) -> None:
    """It is refused, or is a value that there can be."""
    record = record_of(counted()[0])
    with suppress(InputError):
        result_of({**record, name: junk})
    with pytest.raises(InputError):
        result_of({key: value for key, value in record.items() if key != name})


# --- figures


@pytest.mark.parametrize(("panel", "name"), [(0, ""), (1, "gradient")])
def test_a_panel_shows_theory_measurements_and_intervals(panel: int, name: str) -> None:
    """Forward above, backward below, at every layer."""
    rows = stack()
    figure = draw_layers(rows).figure
    (line,) = named(figure, panel, "theory")
    theory, mean, error = (
        (f"{name}_theory", name, f"{name}_std_error") if name
        else ("theory", "empirical", "std_error")
    )  # fmt: skip
    assert points(line) == [(row.layer, getattr(row, theory)) for row in rows]
    assert measured(figure, panel) == [(row.layer, getattr(row, mean)) for row in rows]
    t = student.quantile(0.95, 15)
    for row, ends in zip(rows, intervals(figure, panel), strict=True):
        half = t * getattr(row, error)
        assert ends == pytest.approx((getattr(row, mean) - half, getattr(row, mean) + half))
    assert figure.axes[panel].get_yscale() == "log"
    assert [axes.get_ylabel() for axes in figure.axes] == ["E h²", "E (∂h)²"]


def test_the_band_is_one_deviation_between_networks() -> None:
    """Of a log-normal with the measured mean and relative variance."""
    row = stack()[-1]
    figure = draw_layers([row]).figure
    (point,) = measured(figure, 0)
    (band,) = [each for each in figure.axes[0].collections if each.get_gid() == "band"]
    outline = np.array(band.get_paths()[0].vertices)
    low, high = map(float, np.unique(outline[:, 1]))
    assert row.spread is not None
    deviation = np.log(high / low) / 2
    assert np.expm1(deviation**2) == pytest.approx(row.spread)
    assert np.sqrt(low * high) * np.exp(deviation**2 / 2) == pytest.approx(point[1])


def test_the_typical_network_is_a_cross_where_few_carry_the_mean() -> None:
    """And the caption says what a cross is; without such a caveat there is none."""
    rows = stack(12, activation="relu", scale="he")
    heavy = [row for row in rows if any(c.id == "heavy-tails" for c in row.caveats)]
    figure = draw_layers(rows).figure
    (crosses,) = named(figure, 0, "median")
    assert 0 < len(heavy) < len(rows)
    assert points(crosses) == [(row.layer, row.median) for row in heavy]
    assert "Crosses: the median network" in said_below(figure)
    assert not named(draw_layers(stack(2)).figure, 0, "median")


def test_stacks_are_lines_of_what_tells_them_apart() -> None:
    """The legend has what differs, the caption what is shared."""
    rows = [*stack(), *stack(gain=5 / 3), *stack(scale="none")]
    figure = draw_layers(rows).figure
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["xavier, gain 1", "xavier, gain 1.667", "none"]
    assert len(named(figure, 0, "theory")) == len(named(figure, 1, "theory")) == 3
    for expected in ("tanh", "width 16", "5 layers", "batch 8", "16 networks", "seed 0", "95%"):
        assert expected in said_below(figure)
    assert "gain" not in said_below(figure)


def test_the_order_of_rows_and_a_row_twice_change_nothing() -> None:
    """A stack is its layers, however they come."""
    once, twice = stacks_of(stack()), stacks_of([*reversed(stack()), *stack()])
    assert once == twice


def test_widths_are_told_in_few_words() -> None:
    """All, where they are few."""
    rows = simulate_layers(Network(widths=(8, 4, 4, 2), networks=8, batch=2), workers=1)
    assert "widths 8-4×2-2, 3 layers" in said_below(draw_layers(rows).figure)


def test_more_stacks_than_can_be_told_apart_are_left_out_and_said_so() -> None:
    """Eight remain."""
    rows = [replace(row, seed=seed) for seed in range(MOST_STACKS + 2) for row in stack()]
    drawn = draw_layers(rows)
    assert len(named(drawn.figure, 0, "theory")) == MOST_STACKS
    assert drawn.remarks == [
        "The figure has room for 8 of 10 stacks; plot fewer settings at a time."
    ]
    assert "2 more are not shown." in said_below(drawn.figure)


def test_of_many_layers_some_are_marked_and_all_that_disagree() -> None:
    """Filled; the line of theory has all."""
    rows = [replace(row, agrees=row.layer != 3) for row in stack(40)]
    figure = draw_layers(rows).figure
    bars: list[Any] = list(figure.axes[0].containers)
    assert [points(bar.lines[0])[0][0] for bar in bars] == [1.0, 3.0]
    assert (
        bars[0].lines[0].get_markerfacecolor() == "none" != bars[1].lines[0].get_markerfacecolor()
    )
    assert len(points(named(figure, 0, "theory")[0])) == 40
    assert "of one layer in 3" in said_below(figure)
    assert "Filled: disagrees." in said_below(figure)


def test_without_gradients_there_is_one_panel() -> None:
    """And through batch norm they have no theory but on top, which the caption says."""
    assert len(draw_layers(stack(backward=False)).figure.axes) == 1
    figure = draw_layers(stack(norm="batch")).figure
    (line,) = named(figure, 1, "theory")
    assert points(line) == [(5.0, 1.0)]
    assert len(measured(figure, 1)) == 5
    assert "No theory of gradients through batch norm." in said_below(figure)


def test_what_overflowed_has_no_marker() -> None:
    """Nor is anything else in its place, even where nothing is left at all."""
    caveat = (Caveat("overflow", "float32 cannot hold what explodes here"),)
    gone: dict[str, Any] = {"empirical": None, "std_error": None, "median": None, "spread": None}
    gone |= {"gradient": None, "gradient_std_error": None, "gradient_median": None}
    lost = [replace(row, caveats=caveat, **gone) for row in stack()]
    figure = draw_layers([*stack()[:2], *lost[2:]]).figure
    assert [layer for layer, _ in measured(figure, 0)] == [1.0, 2.0]
    assert "Without a marker: overflow." in said_below(figure)
    nothing = [replace(row, theory=0.0, gradient_theory=-1.0) for row in lost]
    assert not measured(draw_layers(nothing).figure, 0)


def test_histograms_of_one_stack_are_densities_from_light_to_dark() -> None:
    """Of the first, the last and some between, with the share that is saturated."""
    rows = counted(12)
    figure = draw_layers(rows).figure
    curves, relative = curves_of(rows)
    assert not relative
    assert [curve.row.layer for curve in curves] == [1, 3, 4, 6, 7, 9, 10, 12]
    panel, scale = figure.axes[2:]
    shades = []
    for curve, stairs in zip(curves, panel.patches, strict=True):
        heights = np.array(stairs.get_data().values)  # type: ignore[attr-defined]
        assert (heights * np.diff(curve.edges)).sum() == pytest.approx(1.0)
        counts = np.array(curve.row.counts)[1:-1]
        assert heights * np.diff(curve.edges) * counts.sum() == pytest.approx(counts)
        shades.append(sum(stairs.get_edgecolor()[:3]))  # type: ignore[arg-type]
    assert shades == sorted(shades, reverse=True)
    first = scale.get_xticklabels()[0].get_text()
    assert first == f"1\n{100 * (rows[0].saturated or 0.0):.1f}%"


def test_what_rounds_to_a_bound_is_drawn_there() -> None:
    """In float32 a large tanh is 1, and counts in the last bin."""
    rows = counted(3, scale="none", gain=None)
    assert rows[0].counts is not None
    assert rows[0].counts[-1] == rows[0].counts[0] == 0
    assert rows[0].counts[-2] > 0.2 * sum(rows[0].counts)
    curve = curves_of(rows)[0][0]
    assert (curve.heights * np.diff(curve.edges)).sum() == pytest.approx(1.0)


def test_distributions_that_shrink_are_drawn_over_their_own_size() -> None:
    """Else the last would be a needle; and the peak of a ReLU at 0 is cut, which is said."""
    rows = counted(12, activation="relu", gain=0.5)
    curves, relative = curves_of(rows)
    figure = draw_layers(rows).figure
    assert relative
    assert figure.axes[2].get_xlabel() == "φ(h) / its root mean square"
    assert "Peaks are cut." in said_below(figure)
    for curve in curves:
        assert (curve.heights * np.diff(curve.edges)).sum() == pytest.approx(1.0, abs=0.02)


def test_histograms_of_several_stacks_are_left_out_and_said_so() -> None:
    """Variances remain."""
    drawn = draw_layers([*counted(), *stack(gain=2.0)])
    assert len(drawn.figure.axes) == 2
    assert drawn.remarks == ["The distribution of activations is drawn for a single stack only."]


@pytest.mark.parametrize("kind", ["one", "stacks", "counted", "layer"])
def test_nothing_in_a_figure_covers_anything(kind: str) -> None:
    """Legend, panels, labels and caption keep apart, and nothing is beyond the page."""
    rows = {
        "one": stack(20, scale="none", activation="relu"), "counted": counted(12),
        "stacks": [*stack(), *stack(gain=5 / 3), *stack(scale="none")], "layer": counted(1),
    }[kind]  # fmt: skip
    figure = draw_layers(rows).figure
    canvas = FigureCanvasAgg(figure)
    with styled():
        canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    parts = [*figure.axes, *figure.legends, *figure.texts]
    boxes = [box for box in (part.get_tightbbox(renderer) for part in parts) if box is not None]
    assert len(boxes) == len(parts) >= 3
    for i, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= -1
        assert max(box.x1 - figure.bbox.x1, box.y1 - figure.bbox.y1) <= 1
        for other in boxes[i + 1 :]:
            shared = Bbox.intersection(box, other)
            assert shared is None or min(shared.width, shared.height) < 1


# --- the command


def test_a_figure_is_the_same_from_every_format(tmp_path: Path) -> None:
    """Byte for byte, in this process and in the program's."""
    rows = counted()
    drawn = [file_of(tmp_path, rows, f"layers{suffix}") for suffix in (".jsonl", ".csv", ".json")]
    for suffix, start in MAGIC.items():
        here = {
            encode(draw_any(list(LAYERS.parse(f.read_text("utf-8"), f.suffix))).figure, suffix)
            for f in drawn
        }
        assert len(here) == 1
        assert next(iter(here)).startswith(start)
    out = tmp_path / "figure.svg"
    done = run("plot", str(drawn[1]), "-o", str(out), SOURCE_DATE_EPOCH="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert out.read_bytes() == encode(draw_layers(rows).figure, ".svg")


def test_stdin_may_hold_layers(tmp_path: Path) -> None:
    """In any of the formats."""
    out = tmp_path / "figure.svg"
    done = subprocess.run(
        [*VARSIM, "plot", "-", "-o", str(out)],
        input=text_of(stack(), ".csv"), capture_output=True, encoding="utf-8",
        env=environment(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_bytes() == encode(draw_layers(stack()).figure, ".svg")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("plot layers.jsonl one.jsonl -o f.svg", "give files of one kind"),
        ("compare layers.jsonl one.jsonl", "only results of varsim itself are compared"),
        ("plot broken.jsonl -o f.svg", "line 6 cannot be used: it is no row of results of varsim"),
        ("plot mixed.jsonl -o f.svg", "line 6 cannot be used: it is no row of results of varsim"),
        ("plot header.csv -o f.svg", "its header is not that of schema 2"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: str, said: str
) -> None:
    """Exit 2, and no file is written."""
    monkeypatch.chdir(tmp_path)
    file = file_of(tmp_path, stack())
    (tmp_path / "broken.jsonl").write_text(file.read_text() + '{"layer": 3, "schema": 2}\n')
    (tmp_path / "header.csv").write_text("schema,layer\n1,2\n")
    one = simulate(Experiment(dim=4, scale="sqrt", samples=64))
    text = FORMATS["jsonl"](Sheet([], [], [result_record(one)]))
    (tmp_path / "one.jsonl").write_text(text)
    (tmp_path / "mixed.jsonl").write_text(file.read_text() + text)
    done = here(*args.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"Error: [^\n]{10,300}[.?)]\n", done.stderr), done.stderr
    assert said in done.stderr
    assert not (tmp_path / "f.svg").exists()

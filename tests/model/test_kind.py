"""Tables, explanations and figures of models; the rows need no framework."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rows import STUDIES, rows, totals_of
from varsim.kinds import drawn
from varsim.model.kind import MODEL
from varsim.model.result import ABOVE, BELOW, INSIDE, UNKNOWN, ModuleResult


def banded(low: float, high: float) -> list[ModuleResult]:
    """The rows of a model with another band; its variances are about 6 and 144."""
    study = replace(STUDIES["model"], between=(low, high))
    judged: list[ModuleResult] = study.rows(totals_of(study, 12))
    return judged


@pytest.mark.parametrize(
    ("band", "places"),
    [
        ((0.1, 1000.0), (INSIDE, INSIDE)),
        ((0.1, 6.0), (UNKNOWN, ABOVE)),
        ((1000.0, 2000.0), (BELOW, BELOW)),
        ((0.0, 0.1), (ABOVE, ABOVE)),
    ],
)
def test_a_variance_is_outside_a_band_beyond_its_error(
    band: tuple[float, float], places: tuple[str, str]
) -> None:
    """An interval that crosses an edge is not known yet; only what is outside fails."""
    some = banded(*band)
    assert tuple(row.forward_band for row in some) == places
    for row in some:
        sides = {row.forward_band, row.gradient_band}
        assert row.is_outside is not sides.isdisjoint({ABOVE, BELOW})
    sentence = next(s for s in MODEL.table(some, ()).sentences if s.startswith("Between"))
    assert ("More --inits decide" in sentence) is (UNKNOWN in sentence)


def test_without_a_band_nothing_is_outside_it() -> None:
    """Nor is there a sentence or a column."""
    some = rows("rectified model")
    assert not any(row.is_outside for row in some)
    table = MODEL.table(some, ())
    assert not any(sentence.startswith("Between") for sentence in table.sentences)
    assert "forward_band" not in {column.name for column in table.columns}


def test_the_explanation_names_where_signals_are_lost() -> None:
    """The first module in each direction, and what one initialization would claim."""
    text = MODEL.explain(banded(0.1, 10.0))
    assert "It is first above 10 in layers.1 (Linear)" in text
    assert "One initialization alone would claim" in text
    assert MODEL.explain(rows("exploding model"))


def test_the_figure_has_a_place_per_module() -> None:
    """And a marker per variance that is known, in each of two models."""
    pytest.importorskip("matplotlib")
    from matplotlib.collections import LineCollection

    figure, caption, remarks = drawn(MODEL.figure, [*rows("model"), *rows("rectified model")], 3.4)
    left, right = figure.axes
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names == ["layers.0", "layers.1"]
    segments = [
        sum(
            len(bars.get_segments())
            for bars in axes.collections
            if isinstance(bars, LineCollection)
        )
        for axes in (left, right)
    ]
    assert segments == [4, 3]
    assert "Error bars: 95% intervals" in caption
    assert remarks == []


def test_a_figure_names_the_modules_that_it_has_no_room_for() -> None:
    """It has room for sixty."""
    pytest.importorskip("matplotlib")
    (row, *_) = rows("model")
    many = [replace(row, number=i + 1, part=row.part._replace(name=f"m{i}")) for i in range(70)]
    _, _, remarks = drawn(MODEL.figure, many, 3.4)
    assert remarks == ["The figure has room for 60 of 70 modules."]

"""Layers of deep stacks in files: what is read is what was written, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.rows import record_of, resealed, text_of
from varsim import layers as simulate_layers
from varsim.errors import InputError
from varsim.stack.question import Network
from varsim.stack.result import LAYERS, LayerResult
from varsim.stack.study import StackStudy
from varsim.statistics import judge


def network(**settings: Any) -> Network:
    plain: dict[str, Any] = {"activation": "tanh", "scale": "xavier", "networks": 16, "batch": 8}
    return Network(widths=(16,) * 6, **(plain | settings))


@cache
def stack(**settings: Any) -> list[LayerResult]:
    """A small stack of equal widths."""
    return simulate_layers(network(**settings), workers=1)


@cache
def counted_stack() -> list[LayerResult]:
    """A small stack with histograms."""
    study = StackStudy(network(), histogram=True)
    return judge(study.rows(study.empty().plus(*study.sample(range(16)))))


CHANGES: list[dict[str, Any]] = [
    {"layer": 0}, {"layer": 6}, {"layer": 2.5}, {"widths": [16]}, {"widths": [16, 0]},
    {"theory": float("nan")}, {"theory": "1"}, {"theory": 10**400}, {"theory_slack": -1.0},
    {"confidence": 1.0}, {"agrees": 1}, {"counts": None}, {"counts": [1, 2]}, {"counts": 3},
    {"histogram": {"low": 0}}, {"pooled": 3}, {"next_check": -1},
    {"histogram": {"low": 0.0, "width": 0.0, "number": 100}},
    {"batch_spread_theory": -1.0}, {"correlation_slack": -1.0}, {"correlation_spread_theory": -1.0},
    {"totals": {"product_m2": -1.0}}, {"totals": {"product_square": "1"}},
    {"totals": {"networks": 1}}, {"totals": {"networks": 2.5}}, {"totals": {"square": -1.0}},
    {"totals": {"saturated": 1.5}}, {"totals": {"square_m2": -1.0}}, {"totals": {"within": "1"}},
    {"totals": {"squares": ""}}, {"totals": {"squares": "0"}}, {"totals": {"squares": "é"}},
    {"totals": {"squares": None}}, {"totals": {"gradients": None}}, {"totals": {"gradients": 1}},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_is_no_layer_is_one_sentence(change: dict[str, Any]) -> None:
    """It is refused, whatever a record holds instead, and whatever its checksum says."""
    row = counted_stack()[0]
    record = record_of(row)
    assert LAYERS.row_of(resealed(row, record)) == LAYERS.row_of(record)
    if "totals" in change:
        change = {"totals": record["totals"] | change["totals"]}
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$"):
        LAYERS.row_of(resealed(row, record | change))


def test_a_histogram_of_other_bins_is_not_added_to() -> None:
    """Of whatever layer: the row is measured anew."""
    rows = counted_stack()
    study = StackStudy(rows[0].question, histogram=True)
    assert study.resume(rows)[1] is not None
    for place, row in enumerate(rows):
        bins = row.histogram
        assert bins is not None
        for other in (bins._replace(low=-9.0), bins._replace(width=1.1 * bins.width)):
            moved = [*rows[:place], replace(row, histogram=other), *rows[place + 1 :]]
            assert study.resume(moved)[1] is None


def test_a_theory_of_leading_order_is_read_again() -> None:
    """It is stored as it was, though nothing of today has it."""
    first = stack()[0]
    row = replace(first, prediction=first.prediction._replace(gradient=-1.0))
    assert record_of(LAYERS.row_of(record_of(row))) == record_of(row)


def test_correlations_and_their_errors_are_read_again() -> None:
    """With their theory, their totals and what follows from these."""
    for row in judge(stack(correlation=0.5)):
        again = LAYERS.row_of(record_of(row))
        assert record_of(again) == record_of(row)
        assert again.pairs == row.pairs
        assert again.correlation_z is not None


def test_a_number_is_a_scale() -> None:
    """As for one layer, so the rows of 2 and of "2" are the same."""
    rows = [simulate_layers(network(scale=scale), workers=1) for scale in (2, "2")]
    assert text_of(rows[0]) == text_of(rows[1])

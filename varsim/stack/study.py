"""The study of a deep stack: a replicate is a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from varsim.layer.study import MARGIN
from varsim.stack.question import MAX_NETWORKS, MIN_NETWORKS, Network
from varsim.stack.result import LayerResult
from varsim.stack.sampling import Sampled, network_bytes, sample_network, verify_network
from varsim.stack.theory import predict
from varsim.stack.totals import LayerTotals, StackTotals
from varsim.statistics.moments import Bins
from varsim.study import Resumed

_HISTOGRAM_REACH, _HISTOGRAM_BINS = 5.0, 100


def activation_bins(network: Network) -> tuple[Bins, ...]:
    """Return the bins of φ(h) in every layer: over its bounds, within five root mean squares."""
    low, high = network.phi.bounds
    bins, scale = [], 1.0
    for theory in predict(network, infinite_width=True):
        if network.norm == "none" and theory.variance is not None:  # after a norm the scale is 1
            scale = math.sqrt(theory.variance)
        reach = _HISTOGRAM_REACH * max(scale, network.phi.bounded or 1e-30)
        start, end = max(low, -reach), min(high, reach)
        # Slightly wider, so that values that round to the upper bound are inside.
        bins.append(Bins(start, (end - start) * (1 + 1e-9) / _HISTOGRAM_BINS, _HISTOGRAM_BINS))
    return tuple(bins)


@dataclass(frozen=True)
class StackStudy:
    """The study of a deep stack: a replicate is a network.

    Attributes:
        question: The network.
        confidence: Level of the intervals.
        histogram: Whether φ(h) is counted in histograms.
        infinite_width: Whether theory omits its correction for finite width.
        max_networks: Largest number of networks with a precision.
    """

    question: Network
    confidence: float = 0.95
    histogram: bool = False
    infinite_width: bool = False
    max_networks: int = MAX_NETWORKS

    minimum = MIN_NETWORKS
    """Least number of replicates for an error bar."""

    batch = 1
    """Replicates per batch."""

    @property
    def cost(self) -> int:
        """Weights per replicate."""
        return sum(layer.fan_in * layer.fan_out for layer in self.question.layers)

    @property
    def memory(self) -> int:
        """Approximate bytes of arrays per worker."""
        return network_bytes(self.question)

    def prepare(self) -> None:
        """Load and check the activation and the weight source, or raise an InputError."""
        verify_network(self.question)

    def empty(self) -> StackTotals:
        """Return the totals of no networks."""
        phi = self.question.phi
        layer = LayerTotals(
            saturated=0.0 if phi.bounded else None,
            dead=0.0 if phi.flat else None,
            product=0.0 if self.question.batch > 1 else None,
            gradient_square=0.0 if self.question.backward else None,
            gradients=b"" if self.question.backward else None,
        )
        return StackTotals(0, (layer,) * self.question.depth, None)

    def sample(self, indices: range) -> list[Sampled]:
        """Return the moments of the networks of consecutive indices."""
        return [sample_network(self.question, index, self._bins) for index in indices]

    def next_check(self, totals: StackTotals) -> int | None:
        """Return the number of networks at the next check, or None if there are enough."""
        count, precision = totals.networks, self.question.precision
        if count < self.question.networks:
            return self.question.networks
        error = totals.worst_error
        if precision is None or error <= precision or count >= self.max_networks:
            return None
        growth = MARGIN * (error / precision) ** 2
        return min(self.max_networks, math.ceil(count * growth))

    def rows(self, totals: StackTotals) -> list[LayerResult]:
        """Return one row per layer."""
        network = self.question
        bins = None if totals.counts is None else activation_bins(network)
        return [
            LayerResult(
                network, place + 1, theory, totals.layers[place],
                next_check=totals.next_check,
                counts=None if totals.counts is None else tuple(totals.counts[place].tolist()),
                histogram=None if bins is None else bins[place],
                confidence=self.confidence,
                init_package=network.initializer.package,
            )
            for place, theory in enumerate(predict(network, infinite_width=self.infinite_width))
        ]  # fmt: skip

    def resume(self, rows: Sequence[LayerResult]) -> Resumed[Sampled, StackTotals, LayerResult]:
        """Return the study and the totals to continue from, given the rows of a file.

        The rows are stale if a layer is missing, if the initializer is of another package, or if
        they lack a requested histogram or have other bins.
        """
        network = self.question
        by_layer = {row.layer: row for row in rows}
        package = network.initializer.package
        layers = [by_layer.get(place + 1) for place in range(network.depth)]
        known = [row for row in layers if row is not None and row.init_package == package]
        if len({row.networks for row in known}) != 1 or len(known) < network.depth:
            return Resumed(self, None, is_done=False)
        counted = all(row.counts is not None for row in known)
        if self.histogram and not counted:
            return Resumed(self, None, is_done=False)
        totals = _totals_of(known)
        before, check = known[0].question, totals.next_check or 0
        same = (before.precision, before.networks) == (network.precision, network.networks)
        if network.precision is None or not same or check > self.max_networks:
            totals = totals.with_check(None)
        bins = activation_bins(network) if counted else ()
        if not all(
            row.histogram is not None and row.histogram.like(expected)
            for row, expected in zip(known, bins, strict=counted)
        ):
            return Resumed(self, None, is_done=False)  # counts of other bins cannot be added
        done = totals.next_check is None and self.next_check(totals) is None
        return Resumed(replace(self, histogram=counted), totals, is_done=done)

    @cached_property
    def _bins(self) -> tuple[Bins, ...] | None:
        return activation_bins(self.question) if self.histogram else None


def _totals_of(rows: Sequence[LayerResult]) -> StackTotals:
    """Return the totals of the rows of all layers."""
    first = rows[0]
    return StackTotals(
        first.networks,
        tuple(row.totals for row in rows),
        None if first.counts is None else np.array([row.counts for row in rows]),
        first.next_check,
    )

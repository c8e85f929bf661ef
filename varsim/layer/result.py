"""One layer's result: measured totals against theory, and the study that the runner carries out."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from varsim import fields as f
from varsim.catalog import FLOAT_TYPES
from varsim.catalog.scales import SCALES, find_scale
from varsim.errors import InputError
from varsim.fields import CAVEATS, Field, RowBase, Schema
from varsim.fields.rounding import rounded, significant
from varsim.layer.experiment import MAX_SAMPLES, MIN_BLOCKS, Experiment
from varsim.layer.sampling import (
    batch_size,
    block_bytes,
    block_numbers,
    sample_block,
    sample_blocks,
    verify_initializer,
)
from varsim.layer.theory import Prediction, block_error2, predict, predict_given_x
from varsim.statistics import Caveat, Estimate, check_probability
from varsim.statistics.moments import Bins, Block, Totals

# Relative errors above leave too few effective outputs per block for Student's t: at 64 blocks,
# 95 % intervals cover 92 to 94 % at this error and less beyond.
_ROUGH = 0.05

_ROUND_NUMBERS = [digit * int(10**power) for power in range(2, 12) for digit in (1, 2, 5)]

# With a precision: how many more blocks than expected to take, since stopping where the error
# happens to look small makes intervals cover less.
MARGIN = 1.2

# A scheme fits an initializer that is within so many standard errors of it.
_FITS = 4.0

_HISTOGRAM_REACH, _HISTOGRAM_BINS = 6.0, 120

VERDICTS = {True: "agrees", False: "DISAGREES", None: "pending"}
"""How a verdict reads; None is one that other rows can still change."""


@dataclass(frozen=True, repr=False)
class Result(RowBase):
    """What came out of one experiment: its question, its totals, and what follows from them.

    Every field of :data:`RESULTS` is an attribute, and so is every setting of the experiment.

    Attributes:
        question: The experiment.
        totals: The running totals of the blocks, which can be added to.
    """

    question: Experiment
    totals: Totals

    @property
    def blocks(self) -> int:
        """Number of independent blocks."""
        return self.totals.blocks

    @property
    def samples(self) -> int:
        """Number of outputs drawn, all blocks together."""
        return self.blocks * self.question.block.outputs

    @cached_property
    def prediction(self) -> Prediction:
        """What theory says over x and W."""
        return predict(self.question)

    @cached_property
    def claim(self) -> Prediction:
        """What the row is held to: theory, or for a fixed x theory given that x."""
        if self.totals.x_sums is None:
            return self.prediction
        return predict_given_x(self.question, *self.totals.x_sums)

    @cached_property
    def estimate(self) -> Estimate:
        """The measured variance with its error, and its claim."""
        claim, dtype = self.claim, FLOAT_TYPES[self.question.dtype]
        rounding = dtype.rounding * claim.variance
        expected = claim.relative_error(self.blocks) * claim.variance
        return Estimate(
            value=self.totals.variance,
            std_error=math.hypot(self.totals.std_error, rounding),
            dof=self.blocks - 1,
            claim=claim.variance,
            expected_error=math.hypot(expected, rounding),
        )

    @property
    def histogram(self) -> Bins | None:
        """Where the outputs were counted, or None; the counts are in the totals."""
        return None if self.totals.counts is None else histogram_bins(self.question)

    @property
    def met(self) -> bool:
        """Whether the precision that was asked for was reached, or all samples were drawn."""
        precision = self.question.precision
        if precision is None:
            return self.blocks >= self.question.blocks
        return self.relative_error <= precision

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """What a reader should know."""
        return (*self.pooling, *_caveats(self))


def conclude(experiment: Experiment, totals: Totals, confidence: float = 0.95) -> Result:
    """Return what the totals of at least three blocks say of the theory, before a verdict.

    Args:
        experiment: What was sampled.
        totals: The totals of its blocks.
        confidence: Level of the interval, between 0 and 1.

    Raises:
        InputError: There are fewer blocks, or ``confidence`` is not allowed.
    """
    if totals.blocks < 3:
        raise InputError(f"there are {totals.blocks} blocks; an error bar needs at least 3")
    confidence = check_probability("confidence", confidence)
    return Result(
        experiment, totals, confidence=confidence, init_package=experiment.initializer.package
    )


def infer(experiment: Experiment, blocks: Iterable[Block], confidence: float = 0.95) -> Result:
    """Return what at least three blocks say of the theory, before a verdict.

    Args:
        experiment: What was sampled.
        blocks: Blocks of it, in any number from 3 on, as :func:`varsim.stream` yields them.
        confidence: Level of the interval, between 0 and 1.

    Raises:
        InputError: There are fewer blocks, or ``confidence`` is not allowed.

    >>> from varsim import judge, stream
    >>> experiment = Experiment(dim=64, scale="sqrt", samples=6400)
    >>> judge([infer(experiment, stream(experiment))])
    [Result(D = 64, scale sqrt: 0.98 ± 0.05, theory 1, agrees)]
    """
    return conclude(experiment, Totals.of(blocks), confidence)


def histogram_bins(experiment: Experiment) -> Bins:
    """Return where the outputs of an experiment are counted: within six deviations of their mean.

    By theory, over x and W; so that the bins of a row are the same in every run.
    """
    prediction = predict(experiment)
    deviation = math.sqrt(prediction.variance)
    low = prediction.mean - _HISTOGRAM_REACH * deviation
    return Bins(low, 2 * _HISTOGRAM_REACH * deviation / _HISTOGRAM_BINS, _HISTOGRAM_BINS)


def planned_blocks(experiment: Experiment) -> int:
    """Return the number of blocks an experiment takes, by the theory's error with a precision."""
    if experiment.precision is None:
        return experiment.blocks
    expected = math.ceil(MARGIN * predict(experiment).block_error2 / experiment.precision**2)
    return min(max(MIN_BLOCKS, expected), experiment.blocks)


@dataclass(frozen=True)
class LayerStudy:
    """How the runner measures an experiment: a replicate is a block.

    Attributes:
        question: The experiment.
        confidence: Level of the interval.
        histogram: Whether the outputs are counted.
    """

    question: Experiment
    confidence: float = 0.95
    histogram: bool = False

    minimum = MIN_BLOCKS
    """Replicates that an error bar needs."""

    @cached_property
    def cost(self) -> int:
        """Random numbers that a replicate draws."""
        return block_numbers(self.question)

    @property
    def memory(self) -> int:
        """Bytes of arrays that a worker holds, about."""
        return block_bytes(self.question)

    @cached_property
    def batch(self) -> int:
        """Replicates that are best sampled in one go."""
        return batch_size(self.question)

    def prepare(self) -> None:
        """Load and check what makes W, or raise an InputError."""
        verify_initializer(self.question)

    def empty(self) -> Totals:
        """Return the totals of no blocks."""
        return Totals()

    def sample(self, index: int) -> Block:
        """Return block ``index``."""
        return sample_block(self.question, index, self._bins)

    def sample_batch(self, indices: range) -> list[Block]:
        """Return consecutive blocks."""
        return sample_blocks(self.question, indices, self._bins)

    def next_check(self, totals: Totals) -> int | None:
        """Return the number of blocks at which to decide next, or None where there are enough.

        With a precision the first check is where theory expects it to be met, and every later one
        where the error measured at this one does: a function of the experiment and its blocks
        alone, and never of time or workers.
        """
        experiment, first = self.question, planned_blocks(self.question)
        if totals.blocks < first:
            return first
        if experiment.precision is None or totals.blocks >= experiment.blocks:
            return None
        error = Result(experiment, totals).relative_error
        if error <= experiment.precision:
            return None
        needed = math.ceil(totals.blocks * MARGIN * (error / experiment.precision) ** 2)
        return min(needed, experiment.blocks)

    def rows(self, totals: Totals) -> list[Result]:
        """Return the row of the totals."""
        return [conclude(self.question, totals, self.confidence)]

    def resume(self, rows: Sequence[Result]) -> tuple[LayerStudy, Totals | None, bool]:
        """Return how to continue from the row of a file.

        It is stale if it is of another package, has blocks of another size, or lacks a histogram
        that is asked for.
        """
        (row,), asked = rows, self.question
        if row.init_package != asked.initializer.package:
            return self, None, False
        pending = self._pending_check(row)
        met = pending is None and row.met and row.relative_error <= (asked.precision or math.inf)
        finest = replace(self, question=row.question) if met else self
        if self.histogram and row.histogram is None:
            return finest, None, False  # not to less precision than there is already
        study = replace(finest, histogram=row.histogram is not None)
        if met:
            return study, row.totals, True
        if row.question.block != asked.block:
            return self, None, False
        return study, row.totals._replace(next_check=pending), False

    def _pending_check(self, row: Result) -> int | None:
        """Return the check that a row was stopped before, if it is still to come.

        A run that is not stopped decides there, so one that is resumed does too.
        """
        asked, check = self.question, row.totals.next_check
        same = (row.question.precision, row.question.block) == (asked.precision, asked.block)
        return check if same and check is not None and check <= asked.blocks else None

    @cached_property
    def _bins(self) -> Bins | None:
        return histogram_bins(self.question) if self.histogram else None


def _caveats(result: Result) -> Iterator[Caveat]:
    e, totals, claim = result.question, result.totals, result.claim
    if totals.x_sums is not None:
        yield Caveat(
            "fixed-x",
            f"one x serves all outputs: ||x||² = {totals.x_sums[0]:.6g} is "
            f"{claim.variance / claim.average_given_x:.4g} times the average, and the verdict is "
            "about ||x||² σw²/k², not about the average over x",
        )
    if e.precision is None and totals.blocks < e.blocks:
        yield Caveat("interrupted", f"the run ended after {totals.blocks:,} of {e.blocks:,} blocks")
    if e.precision is not None and totals.next_check is not None and result.met:
        yield ended_before_check(totals.blocks, totals.next_check, "blocks")
    expected = claim.relative_error(totals.blocks)
    if expected > _ROUGH:
        enough = f"{_samples_for(e, _ROUGH):,} samples or more"
        take = enough if e.precision is None else "a precision of 5%"
        yield Caveat(
            "few-samples",
            f"the expected error is {expected:.0%}, and above {_ROUGH:.0%} the interval covers "
            f"less often than its level says; take {take}",
        )
    if e.precision is not None and not result.met:
        error = result.relative_error
        needed = result.samples * (error / e.precision) ** 2
        yield Caveat(
            "precision-unmet",
            f"the relative standard error is {100 * error:.3g}%, not {100 * e.precision:.3g}% as "
            f"asked; that needs about {float(f'{needed:.2g}'):,.0f} samples",
        )
    if result.agrees is False and e.init is not None:
        yield Caveat("initializer", _off_claim(result))


def ended_before_check(count: int, check: int, replicates: str) -> Caveat:
    """Return the caveat of a row that was stopped before its check, where its error is met."""
    return Caveat(
        "interrupted",
        f"the run ended after {count:,} {replicates}, before the check of its precision at "
        f"{check:,}; its error may be small by chance",
    )


def _off_claim(result: Result) -> str:
    """Return how far off an initializer is that disagrees with its claim, and what it fits."""
    e, held_to = result.question, result.claim.variance
    ratio, error = result.empirical / held_to, result.std_error / held_to
    half_width = result.estimate.half_width(result.confidence) / held_to
    second = result.k**-2
    fitting = fitting_schemes(e, ratio * second, error * second)
    message = f"the variance is {ratio:.4g} ± {half_width:.2g} times the claim of scale {e.scale}"
    if result.init_theory is not None:
        by_theory = result.init_theory / result.theory
        message += f", and {by_theory:.4g} times by the initializer's own theory"
    message += f"; it fits scale {fitting}" if fitting else "; it fits no scheme"
    return message + (f" (k = {result.k / math.sqrt(ratio):.4g})" if ratio else "")


def fitting_schemes(experiment: Experiment, mean_square: float, std_error: float) -> str:
    """Return the schemes whose 1/k² is a measured E w², within errors, in words; or nothing."""
    names = [
        name
        for name, k_squared in _schemes(experiment)
        if abs(mean_square - 1 / k_squared) <= _FITS * std_error
    ]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _schemes(e: Experiment) -> Iterator[tuple[str, float]]:
    """Yield every scheme with its k²: with its own gain, and with the one that was asked for."""
    asked = None if e.g == find_scale(e.scale).gain else e.g
    for name, scale in SCALES.items():
        gains = [1.0] if scale.gain is None else sorted({scale.gain, asked or scale.gain})
        for gain in gains:
            told = f"{name} with gain {gain:.6g}" if len(gains) > 1 else name
            yield told, scale.k_squared(e.dim, e.n, gain)


def _samples_for(experiment: Experiment, error: float) -> int:
    """Return a round number of samples that is expected to reach a relative error."""
    for samples in _ROUND_NUMBERS:
        blocks, block = experiment.extent(samples)
        if math.sqrt(max(0.0, block_error2(experiment, block)) / blocks) <= error:
            return samples
    return MAX_SAMPLES


def _ratio(result: Result) -> str:
    if result.ratio is None:
        return ""
    half_width = result.estimate.half_width(result.confidence)
    return rounded(result.ratio, half_width / result.claim.variance)


def _question(values: Mapping[str, Any], is_checked: bool) -> Experiment:
    asked = {n: values["samples_asked" if n == "samples" else n] for n in _SETTINGS}
    if not is_checked:
        return Experiment(**asked)
    experiment: Experiment = f.restored(Experiment, asked, values["key"])
    return experiment


def _built(experiment: Experiment, values: Mapping[str, Any]) -> Result:
    totals = values["totals"]
    if totals["x_sums"] is not None and len(totals["x_sums"]) != 2:
        raise ValueError
    result = Result(experiment, Totals(**totals), **Result.state(values))
    if result.blocks < 3 or result.totals.variance < 0.0:
        raise InputError("invalid row: too few blocks, or a negative variance")
    counts = result.totals.counts
    if counts is not None and (
        len(counts) != _HISTOGRAM_BINS + 2 or min(counts) < 0 or sum(counts) != result.samples
    ):
        raise InputError("invalid row: its histogram is not one of its outputs")
    return result


def _effective_samples(result: Result) -> float | None:
    claim, error = result.claim, result.estimate.std_error
    if error == 0.0 or claim.pair_error2 <= 0.0:
        return None
    return claim.pair_error2 * (claim.variance / error) ** 2


_ESTIMATE = operator.attrgetter("estimate")
_SETTINGS = tuple(Experiment.__dataclass_fields__)

_FIELDS = (
    Field("varsim", f.text, "Version of varsim that measured the row."),
    Field("seed", f.whole, "Root of all random streams.", phrase="seed {}"),
    Field("design", f.text, "Which outputs share draws.", header="design", numeric=False,
          phrase="{}", always=True, usual=lambda e: e.design == "crossed"),
    Field("dim", f.whole, "D, the fan-in.", header="D", phrase="D = {}", axis="D (fan-in)"),
    Field("fan_out", f.whole, "n, the fan-out.", lambda r: r.question.n, header="fan-out",
          phrase="fan-out {}", axis="fan-out n", usual=lambda r: r.question.n == r.question.dim),
    Field("scale", f.text, "The scheme, as it was asked for.", header="scale", phrase="scale {}",
          numeric=False),
    Field("k", f.number, "The divisor of W.", derived=True, header="k",
          phrase="k = {}", show=significant, drop_priority=0, axis="k (divisor of W)"),
    Field("gain", f.number, "g; empty where the scheme has none.", lambda r: r.question.g,
          optional=True, header="gain", phrase="gain {}", show=significant, axis="gain g",
          usual=lambda r: r.question.g == find_scale(r.question.scale).gain),
    Field("x_dist", f.text, "Distribution of the entries of x.", header="x", phrase="x {}",
          numeric=False, always=True, usual=lambda e: e.x_dist == "normal"),
    Field("w_dist", f.text, "Distribution of the entries of W; empty with an initializer.",
          optional=True, header="W", phrase="W {}", numeric=False, always=True,
          usual=lambda e: e.w_dist == "normal"),
    Field("dtype", f.text, "Floating-point type of draws and products.", header="dtype",
          phrase="{}", numeric=False, always=True, usual=lambda e: e.dtype == "float32"),
    Field("blocks", f.whole, "Number of independent blocks.", derived=True),
    Field("samples", f.whole, "Number of outputs drawn, all blocks together.", derived=True),
    Field("theory", f.number, "Variance over x and W: D/k² where both are standardised.",
          lambda r: r.prediction.variance, derived=True, header="theory", measured=_ESTIMATE),
    Field("empirical", f.number, "Measured variance; unbiased.", lambda r: r.estimate.value,
          derived=True, header="empirical ± {level}", axis="Var[x @ W]", measured=_ESTIMATE,
          interval=True),
    Field("std_error", f.number, "Standard error of empirical, from the spread between blocks.",
          lambda r: r.estimate.std_error, derived=True),
    Field("ci_low", f.number, "Lower end of the interval at confidence.",
          lambda r: r.estimate.interval(r.confidence)[0], derived=True),
    Field("ci_high", f.number, "Upper end of the interval at confidence.",
          lambda r: r.estimate.interval(r.confidence)[1], derived=True),
    Field("ratio", f.number, "empirical over the theory that the row is held to.",
          lambda r: r.estimate.ratio, optional=True, derived=True, header="ratio", cell=_ratio,
          drop_priority=1, axis="ratio to theory", note="ratio is empirical / theory"),
    Field("z", f.number, "Difference from that theory, in standard errors.",
          lambda r: r.estimate.z, optional=True, derived=True, tolerance=1e-6, header="z",
          show="{:+.2f}".format, drop_priority=2,
          note="z is their difference in standard errors"),
    Field("p", f.number, "Two-sided probability of a difference at least so large, Student t; of "
          "this row alone.", lambda r: r.estimate.p, optional=True, derived=True, tolerance=1e-6),
    Field("agrees", f.truth, "The verdict, Holm-adjusted over the table at alpha.", optional=True,
          header="verdict", numeric=False, cell=lambda row: VERDICTS[row.agrees]),
    Field("conditional_theory", f.number, "||x||² σw²/k² for a fixed x, to which the row is held.",
          lambda r: None if r.totals.x_sums is None else r.claim.variance, optional=True,
          derived=True, header="given x", measured=_ESTIMATE),
    Field("effective_samples", f.number, "Number of independent pairs (x, w) that would give this "
          "error; of w for a fixed x.", _effective_samples, optional=True, derived=True),
    CAVEATS,
    Field("x_mean", f.number, "Shift of the entries of x.", header="x mean", phrase="x mean {}",
          show=significant, usual=lambda e: e.x_mean == 0.0, axis="x mean"),
    Field("x_std", f.number, "Factor on the entries of x.", header="x std", phrase="x std {}",
          show=significant, usual=lambda e: e.x_std == 1.0, axis="x std"),
    Field("w_mean", f.number, "Shift of the entries of W; empty with an initializer.",
          optional=True, header="W mean", phrase="W mean {}", show=significant,
          usual=lambda e: not e.w_mean, axis="W mean"),
    Field("w_std", f.number, "Factor on the entries of W; empty with an initializer.",
          optional=True, header="W std", phrase="W std {}", show=significant,
          usual=lambda e: e.w_std in (None, 1.0), axis="W std"),
    Field("confidence", f.number, "Level of the interval."),
    Field("expected_std_error", f.number, "Standard error that theory predicts for these blocks.",
          lambda r: r.estimate.expected_error, derived=True),
    Field("alpha", f.number, "False-alarm rate that all verdicts of the table share.",
          optional=True),
    Field("key", f.text, "What was measured, without the seed."),
    Field("samples_asked", f.whole, "Number of outputs that were asked for.",
          lambda r: r.question.outputs, optional=True),
    Field("precision", f.number, "Relative standard error that was asked for.", optional=True),
    Field("max_samples", f.whole, "Bound on the outputs with a precision.", optional=True),
    Field(
        "totals",
        f.mapping(
            blocks=f.whole,
            **dict.fromkeys(("mean", "within", "m2", "m3", "m4", "v2", "mv", "mmv"), f.number),
            x_sums=f.optional(f.sequence(f.number)),
            counts=f.optional(f.sequence(f.whole)),
            next_check=f.optional(f.whole),
        ),
        "The running totals that all of this follows from, and that can be added to.",
        plain=lambda totals: totals._asdict(),
    ),
    Field("histogram", f.bins, "Where the outputs were counted; the counts are in the totals.",
          optional=True, derived=True, plain=lambda bins: bins._asdict()),
    Field("init", f.text, "The initializer that made W, with its arguments.", optional=True,
          header="init", phrase="init {}", numeric=False, usual=lambda e: e.init is None),
    Field("init_package", f.text, "The package it belongs to, with its version.", optional=True),
    Field("init_theory", f.number, "Exact variance with a built-in initializer, whatever the "
          "scheme claims.", lambda r: r.prediction.init_variance, optional=True, derived=True),
)  # fmt: skip

_VARYING = ("init", "fan_out", "gain", "x_dist", "w_dist", "x_mean", "x_std", "w_mean", "w_std",
            "design", "dtype")  # fmt: skip

RESULTS = Schema(
    "results of varsim",
    5,
    tuple(replace(field, when_varying=field.name in _VARYING) for field in _FIELDS),
    _question,
    _built,
    marker="effective_samples",
    table=("dim", "scale", *_VARYING, "k", "theory", "conditional_theory", "empirical", "ratio",
           "z", "agrees"),
    settings=_VARYING,
    named_by=("dim", "scale"),
    brief=(("", "empirical"), ("theory", "theory"), ("given x", "conditional_theory"),
           ("", "agrees")),
)  # fmt: skip
"""Rows of one layer."""

RESULTS.describe(Result, Experiment)

"""Rows of one layer: question, totals, and the columns computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.scales import SCALES, find_scale, multiplier, one_spelling
from varsim.errors import InputError
from varsim.fields import STATE, WEAK, Columns, RowBase, Schema
from varsim.fields.rounding import exact, percent, rounded
from varsim.fields.values import BINS, NUMBER, TEXT, WHOLE, ValueType, mapping, optional, sequence
from varsim.layer.question import MAX_SAMPLES, Experiment
from varsim.layer.theory import Prediction, block_error2, predict, predict_given_x
from varsim.layer.totals import Block, Totals
from varsim.statistics import Caveat, Estimate, check_probability
from varsim.statistics.moments import Bins

# Relative errors above this leave too few effective outputs per block for Student's t: at 64
# blocks, 95 % intervals cover 92 to 94 % at this error and less beyond.
_ROUGH = 0.05

_ROUND_NUMBERS = [digit * int(10**power) for power in range(2, 12) for digit in (1, 2, 5)]

_SIMPLE_RATIOS = {
    1 / 8: "an eighth of it", 1 / 6: "a sixth of it", 1 / 4: "a quarter of it",
    1 / 3: "a third of it", 1 / 2: "half of it", 2: "twice it",
}  # fmt: skip

# Largest difference of an initializer from a scheme that it fits, in standard errors.
_FITS = 4.0

_HISTOGRAM_REACH, _HISTOGRAM_BINS = 6.0, 120

_SUMS = ("mean", "within", "m2", "m3", "m4", "v2", "mv", "mmv")

_TOTALS = mapping(
    blocks=WHOLE,
    **dict.fromkeys(_SUMS, NUMBER),
    x_sums=optional(sequence(NUMBER)),
    counts=optional(sequence(WHOLE)),
    next_check=optional(WHOLE),
)


def _read_totals(value: Any) -> Totals:
    totals = Totals(**_TOTALS.read(value))
    if totals.x_sums is not None and len(totals.x_sums) != 2:
        raise ValueError
    return totals


def _write_totals(totals: Totals) -> object:
    return _TOTALS.write({name: getattr(totals, name) for name in Totals.__dataclass_fields__})


def scale_text(name: str) -> str:
    """Return the name of a scheme, a number as what it is: see :func:`exact`.

    >>> scale_text("22.627416997969522"), scale_text("he")
    ('√512', 'he')
    """
    return name if name[:1].isalpha() else exact(float(name))


TOTALS: ValueType[Totals] = ValueType(_read_totals, _write_totals)
"""The form of the totals of blocks in files."""


def _spelling(scale: object) -> str:
    """Return the one spelling of a scheme, which other programs may write as a number."""
    if isinstance(scale, bool) or not isinstance(scale, str | int | float):
        raise TypeError
    return one_spelling(str(scale))


SCHEME: ValueType[str] = ValueType(_spelling, _spelling, is_text=True, is_scalar=True)
"""How files hold a scheme."""

_column: Columns[Result] = Columns()


def _estimate(result: Result) -> Estimate:
    return result.estimate


@dataclass(frozen=True, repr=False)
class Result(RowBase):
    """The row of one experiment: its question, its totals, and the columns computed from them.

    Attributes:
        question: The experiment.
        totals: The running totals of the blocks; more blocks can be added.
    """

    question: Experiment
    totals: Totals

    @cached_property
    def prediction(self) -> Prediction:
        """The prediction over x and W."""
        return predict(self.question)

    @cached_property
    def claim(self) -> Prediction:
        """The claim: the prediction over x and W, or for a fixed x the one given that x."""
        if self.totals.x_sums is None:
            return self.prediction
        return predict_given_x(self.question, *self.totals.x_sums)

    @cached_property
    def estimate(self) -> Estimate:
        """The measured variance with its error, and its claim."""
        claim, dtype = self.claim, FLOAT_TYPES[self.question.dtype]
        rounding = dtype.rounding * claim.variance
        expected = claim.relative_error(self.totals.blocks) * claim.variance
        return Estimate(
            value=self.totals.variance,
            std_error=math.hypot(self.totals.std_error, rounding),
            dof=self.totals.blocks - 1,
            claim=claim.variance,
            expected_error=math.hypot(expected, rounding),
        )

    @property
    def replicates(self) -> int:
        """Number of blocks."""
        return self.totals.blocks

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The one estimate, which the verdict tests."""
        return (self.estimate,)

    @property
    def met(self) -> bool:
        """Whether the precision is reached; without one, whether all samples are drawn."""
        precision = self.question.precision
        if precision is None:
            return self.totals.blocks >= self.question.blocks
        return self.relative_error <= precision

    @cached_property
    def caveats(self) -> tuple[Caveat, ...]:
        """The caveats of the row."""
        weakness = () if self.is_rough else self.weakness("samples")
        return (*self.pooling(), *_caveats(self), *weakness)

    @property
    def is_rough(self) -> bool:
        """Whether the expected error is too large for Student's t."""
        return self.claim.relative_error(self.totals.blocks) > _ROUGH

    # fmt: off
    dim = _column(
        WHOLE, "D, the fan-in.", lambda r: r.question.dim, stored=True, header="D", phrase="D = {}",
        axis="D (fan-in)")
    scale = _column(
        SCHEME, "The scheme, as it was asked for.", lambda r: r.question.scale, stored=True,
        header="scale", phrase="scale {}", show=scale_text, numeric=False)
    k = _column(
        NUMBER, "The divisor of W.", lambda r: r.question.k, header="k", phrase="k = {}",
        show=exact, drop_priority=0, axis="k (divisor of W)")
    gain = _column(
        optional(NUMBER), "g; empty where the scheme has none.", lambda r: r.question.g,
        stored=True, header="gain", phrase="gain {}", show=exact, when_varying=True,
        axis="gain g", is_default=lambda r: r.question.g == find_scale(r.question.scale).gain)
    fan_out = _column(
        WHOLE, "n, the fan-out.", lambda r: r.question.n, stored=True, header="fan-out",
        phrase="fan-out {}", when_varying=True, axis="fan-out n",
        is_default=lambda r: r.question.n == r.question.dim)
    design = _column(
        TEXT, "Which outputs share draws.", lambda r: r.question.design, stored=True,
        header="design", numeric=False, phrase="{}", when_varying=True, always_in_caption=True,
        is_default=lambda r: r.question.design == "crossed")
    init = _column(
        optional(TEXT), "The initializer that made W, with its arguments.",
        lambda r: r.question.init, stored=True, header="init", phrase="init {}", numeric=False,
        when_varying=True, is_default=lambda r: r.question.init is None)
    x_dist = _column(
        TEXT, "Distribution of the entries of x.", lambda r: r.question.x_dist, stored=True,
        header="x", phrase="x {}", numeric=False, when_varying=True, always_in_caption=True,
        is_default=lambda r: r.question.x_dist == "normal")
    x_mean = _column(
        NUMBER, "Shift of the entries of x.", lambda r: r.question.x_mean, stored=True,
        header="x mean", phrase="x mean {}", show=exact, when_varying=True, axis="x mean",
        is_default=lambda r: r.question.x_mean == 0.0)
    x_std = _column(
        NUMBER, "Factor on the entries of x.", lambda r: r.question.x_std, stored=True,
        header="x std", phrase="x std {}", show=exact, when_varying=True, axis="x std",
        is_default=lambda r: r.question.x_std == 1.0)
    w_dist = _column(
        optional(TEXT), "Distribution of the entries of W; empty with an initializer.",
        lambda r: r.question.w_dist, stored=True, header="W", phrase="W {}", numeric=False,
        when_varying=True, always_in_caption=True,
        is_default=lambda r: r.question.w_dist == "normal")
    w_mean = _column(
        optional(NUMBER), "Shift of the entries of W; empty with an initializer.",
        lambda r: r.question.w_mean, stored=True, header="W mean", phrase="W mean {}",
        show=exact, when_varying=True, axis="W mean",
        is_default=lambda r: not r.question.w_mean)
    w_std = _column(
        optional(NUMBER), "Factor on the entries of W; empty with an initializer.",
        lambda r: r.question.w_std, stored=True, header="W std", phrase="W std {}",
        show=exact, when_varying=True, axis="W std",
        is_default=lambda r: r.question.w_std in (None, 1.0))
    dtype = _column(
        TEXT, "Floating-point type of draws and products.", lambda r: r.question.dtype, stored=True,
        header="dtype", phrase="{}", numeric=False, when_varying=True, always_in_caption=True,
        is_default=lambda r: r.question.dtype == "float32")
    seed = _column(
        WHOLE, "Root of all random streams.", lambda r: r.question.seed, stored=True,
        header="seed",
        phrase="seed {}", when_varying=True)
    samples_asked = _column(
        optional(WHOLE), "Number of outputs that were asked for.", lambda r: r.question.outputs,
        stored=True)
    precision = _column(
        optional(NUMBER), "Relative standard error that was asked for.",
        lambda r: r.question.precision, stored=True)
    max_samples = _column(
        optional(WHOLE), "Bound on the outputs with a precision.", lambda r: r.question.max_samples,
        stored=True)
    blocks = _column(WHOLE, "Number of independent blocks.", lambda r: r.totals.blocks)
    samples = _column(
        WHOLE, "Number of outputs drawn, all blocks together.",
        lambda r: r.totals.blocks * r.question.block.outputs)
    theory = _column(
        NUMBER, "Variance over x and W: D/k² where both are standardised.",
        lambda r: r.prediction.variance, header="theory", measured=_estimate)
    conditional_theory = _column(
        optional(NUMBER), "||x||² σw²/k² for a fixed x: the claim of the row.",
        lambda r: None if r.totals.x_sums is None else r.claim.variance, header="given x",
        measured=_estimate)
    init_theory = _column(
        optional(NUMBER), "Exact variance with a built-in initializer, whatever the scheme claims.",
        lambda r: r.prediction.init_variance)
    empirical = _column(
        NUMBER, "Measured variance; unbiased.", lambda r: r.estimate.value,
        header="empirical ± {level}", axis="Var[x @ W]", measured=_estimate, interval=True)
    std_error = _column(
        NUMBER, "Standard error of empirical, from the spread between blocks.",
        lambda r: r.estimate.std_error)
    expected_std_error = _column(
        NUMBER, "Standard error by theory for these blocks.", lambda r: r.estimate.expected_error)
    ci_low = _column(
        NUMBER, "Lower end of the interval at confidence.",
        lambda r: r.estimate.interval(r.confidence)[0])
    ci_high = _column(
        NUMBER, "Upper end of the interval at confidence.",
        lambda r: r.estimate.interval(r.confidence)[1])
    std = _column(
        NUMBER, "Root of empirical.", lambda r: r.estimate.root.value,
        header="std ± {level}", axis="std of x @ W", measured=lambda r: r.estimate.root,
        interval=True)
    ratio = _column(
        optional(NUMBER), "empirical over the claim.", lambda r: r.estimate.ratio, header="ratio",
        cell=lambda r: _ratio(r), drop_priority=1, axis="ratio to theory")
    z = _column(
        optional(NUMBER), "Difference from the claim, in standard errors.", lambda r: r.estimate.z,
        header="z", show="{:+.2f}".format, drop_priority=2)
    p = _column(
        optional(NUMBER),
        "Two-sided probability of a difference at least as large, Student t; of this row alone.",
        lambda r: r.estimate.p)
    effective_samples = _column(
        optional(NUMBER),
        "Number of independent pairs (x, w) with the same error; of w for a fixed x.",
        lambda r: _effective_samples(r))
    _totals = _column(
        TOTALS, "The running totals, from which all results follow; more blocks can be added.",
        lambda r: r.totals, name="totals", stored=True)
    histogram = _column(
        optional(BINS), "The bins of the outputs' histogram; the counts are in the totals.",
        lambda r: None if r.totals.counts is None else histogram_bins(r.question))
    # fmt: on


def conclude(experiment: Experiment, totals: Totals, confidence: float = 0.95) -> Result:
    """Return the row of the totals of at least three blocks, without a verdict.

    Args:
        experiment: The sampled experiment.
        totals: The totals of its blocks.
        confidence: Level of the interval, between 0 and 1.

    Raises:
        InputError: There are fewer than three blocks, or ``confidence`` is not allowed.
    """
    if totals.blocks < 3:
        raise InputError(f"there are {totals.blocks} blocks; an error bar needs at least 3")
    confidence = check_probability("confidence", confidence)
    return Result(
        experiment, totals, confidence=confidence, init_package=experiment.initializer.package
    )


def infer(experiment: Experiment, blocks: Iterable[Block], confidence: float = 0.95) -> Result:
    """Return the row of at least three blocks, without a verdict.

    Args:
        experiment: The sampled experiment.
        blocks: Any number of its blocks from 3 on, as :func:`varsim.stream` yields them.
        confidence: Level of the interval, between 0 and 1.

    Raises:
        InputError: There are fewer than three blocks, or ``confidence`` is not allowed.

    >>> from varsim import judge, stream
    >>> experiment = Experiment(dim=64, scale="sqrt", samples=6400)
    >>> judge([infer(experiment, stream(experiment))])
    [Result(D = 64, scale sqrt: 0.98 ± 0.04, theory 1, agrees)]
    """
    return conclude(experiment, Totals.of(blocks), confidence)


def histogram_bins(experiment: Experiment) -> Bins:
    """Return the bins of the outputs' histogram, within six deviations of the mean.

    Mean and deviation are those of theory over x and W, so that the bins of a row are the same in
    every run.
    """
    prediction = predict(experiment)
    deviation = math.sqrt(prediction.variance)
    low = prediction.mean - _HISTOGRAM_REACH * deviation
    return Bins(low, 2 * _HISTOGRAM_REACH * deviation / _HISTOGRAM_BINS, _HISTOGRAM_BINS)


def _caveats(result: Result) -> Iterator[Caveat]:
    e, totals, claim = result.question, result.totals, result.claim
    if totals.x_sums is not None:
        yield Caveat(
            "fixed-x",
            f"one x serves all outputs: ||x||² = {totals.x_sums[0]:.6g} is "
            f"{claim.variance / claim.average_given_x:.4g} times the average, and the verdict is "
            "about ||x||² σw²/k², not about the average over x",
        )
    if e.init is None and (times := multiplier(e.scale)) is not None:
        yield Caveat(
            "small-divisor",
            f"k = {e.scale} multiplies W by {times:.4g}; for W × {e.scale} write --scale none "
            f"--w-std {e.scale}",
        )
    if e.precision is None and totals.blocks < e.blocks:
        yield Caveat("interrupted", f"the run ended after {totals.blocks:,} of {e.blocks:,} blocks")
    if e.precision is not None and totals.next_check is not None and result.met:
        yield ended_before_check(totals.blocks, totals.next_check, "blocks")
    if result.is_rough:
        enough = f"{_samples_for(e, _ROUGH):,} samples or more"
        take = enough if e.precision is None else "a precision of 5%"
        yield Caveat(
            "few-samples",
            f"the expected error is {claim.relative_error(totals.blocks):.0%}, so the interval "
            f"covers less often than its level says, and the verdict could miss a deviation of "
            f"{percent(WEAK)}; take {take}",
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
    """Return the caveat of a row that met its precision but was interrupted before its check."""
    return Caveat(
        "interrupted",
        f"the run ended after {count:,} {replicates}, before the check of its precision at "
        f"{check:,}; its error may be small by chance",
    )


def _off_claim(result: Result) -> str:
    """Return the sentence about a disagreeing initializer: its ratio to the claim, what fits."""
    e, claim = result.question, result.claim.variance
    ratio, error = result.empirical / claim, result.std_error / claim
    half_width = result.estimate.half_width(result.confidence) / claim
    second = result.k**-2
    fitting = fitting_schemes(e, ratio * second, error * second)
    message = f"the variance is {ratio:.4g} ± {half_width:.2g} times the claim of scale {e.scale}"
    message += simple_ratio(ratio, error)
    if result.init_theory is not None:
        by_theory = result.init_theory / result.theory
        message += f", and {by_theory:.4g} times by the initializer's own theory"
    message += f"; for this shape it fits scale {fitting}" if fitting else "; it fits no scheme"
    return message + (f" (k = {result.k / math.sqrt(ratio):.4g})" if ratio else "")


def simple_ratio(ratio: float, error: float) -> str:
    """Return a simple ratio that a measured one fits, as part of a sentence, or "".

    >>> simple_ratio(0.501, 0.002), simple_ratio(0.9, 0.002)
    (', half of it', '')
    """
    for simple, words in _SIMPLE_RATIOS.items():
        if abs(ratio - simple) <= _FITS * error:
            return f", {words}"
    return ""


def fitting_schemes(experiment: Experiment, mean_square: float, std_error: float) -> str:
    """Return the names of the schemes with 1/k² equal to a measured E w² within errors, or ""."""
    names = [
        name
        for name, k_squared in _schemes(experiment)
        if abs(mean_square - 1 / k_squared) <= _FITS * std_error
    ]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _schemes(e: Experiment) -> Iterator[tuple[str, float]]:
    """Yield every scheme with its k²: with its default gain, and with the requested one."""
    asked = None if e.g == find_scale(e.scale).gain else e.g
    for name, scale in SCALES.items():
        gains = [1.0] if scale.gain is None else sorted({scale.gain, asked or scale.gain})
        for gain in gains:
            label = f"{name} with gain {gain:.6g}" if len(gains) > 1 else name
            yield label, scale.k_squared(e.dim, e.n, gain)


def _samples_for(experiment: Experiment, error: float) -> int:
    """Return a round number of samples with at most this expected relative error."""
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


def _effective_samples(result: Result) -> float | None:
    claim, error = result.claim, result.estimate.std_error
    if error == 0.0 or claim.pair_error2 <= 0.0:
        return None
    return claim.pair_error2 * (claim.variance / error) ** 2


def _built(values: Mapping[str, Any]) -> Result:
    asked = {name: values[name] for name in Experiment.__dataclass_fields__ if name != "samples"}
    experiment = Experiment(**asked, samples=values["samples_asked"])
    state = {name: values[name] for name in STATE}
    result = Result(experiment, values["totals"], **state)
    if result.blocks < 3 or result.totals.variance < 0.0:
        raise InputError("invalid row: too few blocks, or a negative variance")
    counts = result.totals.counts
    if counts is not None and (
        len(counts) != _HISTOGRAM_BINS + 2 or min(counts) < 0 or sum(counts) != result.samples
    ):
        raise InputError("invalid row: its histogram is not one of its outputs")
    return result


_VARYING = ("init", "fan_out", "gain", "x_dist", "w_dist", "x_mean", "x_std", "w_mean", "w_std",
            "design", "dtype")  # fmt: skip

RESULTS = Schema(
    "layer",
    "results of varsim",
    Result,
    _built,
    table=("dim", "scale", *_VARYING, "seed", "k", "theory", "conditional_theory", "empirical",
           "ratio", "z", "agrees"),
    settings=_VARYING,
    named_by=("dim", "scale"),
    brief=(("", "empirical"), ("theory", "theory"), ("given x", "conditional_theory"),
           ("", "agrees")),
)  # fmt: skip
"""The fields of one layer's rows."""

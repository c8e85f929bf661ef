"""Inference: from measured blocks and the theory to intervals and verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from varsim._version import __version__
from varsim.catalog.dtypes import FLOAT_TYPES
from varsim.catalog.scales import SCALES, find_scale
from varsim.compute import available_cpus, threads
from varsim.initializers import find
from varsim.layer.experiment import MAX_SAMPLES, MIN_BLOCKS, Experiment, Result
from varsim.layer.records import experiment_of
from varsim.layer.sampling import stream
from varsim.layer.theory import (
    Prediction,
    average_given_x,
    output_mean,
    predict,
    predict_given_x,
    predict_initializer,
)
from varsim.parsing import InputError
from varsim.statistics import Caveat, student
from varsim.statistics.moments import Bins, Block, Totals

# Relative errors above leave too few effective outputs a block for Student's t: at 64 blocks,
# 95 % intervals cover 92 to 94 % at this error and less beyond.
_ROUGH = 0.05

_ROUND_NUMBERS = [digit * int(10**power) for power in range(2, 12) for digit in (1, 2, 5)]
_MAX_WORKERS = 1024

# With a precision: how many more blocks than expected to take, since stopping where the error
# happens to look small makes intervals cover less.
_MARGIN = 1.2

# A scheme fits an initializer that is within so many standard errors of it.
_FITS = 4.0

_HISTOGRAM_REACH, _HISTOGRAM_BINS = 6.0, 120

_NOTHING = Totals()

_FOLLOWING = (
    *("k", "blocks", "samples", "theory", "empirical", "std_error", "ci_low", "ci_high", "ratio"),
    *("z", "p", "conditional_theory", "effective_samples", "expected_std_error", "init_theory"),
)


class Start(NamedTuple):
    """Where an experiment begins, given what there is of it already.

    Attributes:
        experiment: What is to be run.
        done: The row that is all that was asked, or None.
        totals: What there is to add blocks to.
        redone: The row that cannot be gone on with, or None.
    """

    experiment: Experiment
    done: Result | None = None
    totals: Totals = _NOTHING
    redone: Result | None = None


def next_look(experiment: Experiment, totals: Totals) -> int | None:
    """Return the number of blocks at which to decide next, or None where there are enough.

    With a precision the first look is where theory expects it to be met, and every later one where
    the error measured at this one does: a function of the experiment and its blocks alone, and
    never of time or workers.
    """
    if experiment.precision is None:
        planned = planned_blocks(experiment)
        return planned if totals.blocks < planned else None
    first = planned_blocks(experiment)
    if totals.blocks < first:
        return first
    error = _relative_error(experiment, totals)
    if error <= experiment.precision or totals.blocks >= experiment.blocks:
        return None
    needed = math.ceil(totals.blocks * _MARGIN * (error / experiment.precision) ** 2)
    return min(needed, experiment.blocks)


def planned_blocks(experiment: Experiment) -> int:
    """Return the number of blocks an experiment takes, by the theory's error with a precision."""
    if experiment.precision is None:
        return experiment.blocks
    expected = math.ceil(_MARGIN * predict(experiment).block_error2 / experiment.precision**2)
    return min(max(MIN_BLOCKS, expected), experiment.blocks)


def measure(
    experiment: Experiment,
    blocks_at: Callable[[range], Iterable[Block]],
    totals: Totals = _NOTHING,
    time_is_up: Callable[[], bool] = lambda: False,
) -> Iterator[Totals]:
    """Yield the totals as they are, and then at every look; the last ones are what was measured.

    Totals that time has ended say where the next look is, so that it is there when they go on.

    Args:
        experiment: What is asked.
        blocks_at: Gives the blocks with the indices in a range, in order. No block is asked for
            before it is known to be needed.
        totals: What there is already.
        time_is_up: Whether to end now, before the precision is met; asked after every block, once
            there are enough for an error bar.
    """
    totals = totals._replace(look=totals.look or next_look(experiment, totals))
    yield totals
    while (look := totals.look) is not None:
        for block in blocks_at(range(totals.blocks, look)):
            totals = totals.plus(block)
            if MIN_BLOCKS <= totals.blocks < look and time_is_up():
                yield totals
                return
        totals = totals._replace(look=next_look(experiment, totals))
        yield totals


def infer(experiment: Experiment, blocks: Iterable[Block], confidence: float = 0.95) -> Result:
    """Return what blocks say of the theory, before a verdict.

    Args:
        experiment: What was asked.
        blocks: What was measured: at least three blocks.
        confidence: Level of the interval.
    """
    return conclude(experiment, Totals.of(blocks), confidence)


def conclude(experiment: Experiment, totals: Totals, confidence: float = 0.95) -> Result:
    """Return what the totals of blocks say of the theory, before a verdict.

    Args:
        experiment: What was asked.
        totals: What was measured: at least three blocks.
        confidence: Level of the interval.
    """
    prediction, claim = predict(experiment), _claim(experiment, totals)
    rounding = _rounding(experiment, claim)
    variance, std_error = totals.variance, math.hypot(totals.std_error, rounding)
    expected_error = math.hypot(claim.relative_error(totals.blocks) * claim.variance, rounding)
    half_width = student.quantile(confidence, totals.blocks - 1) * std_error
    by_init = experiment.init is not None
    z = (variance - claim.variance) / std_error if std_error else None
    return Result(
        varsim=__version__,
        seed=experiment.seed,
        design=experiment.design,
        dim=experiment.dim,
        fan_out=experiment.n,
        scale=experiment.scale,
        k=experiment.k,
        gain=experiment.g,
        x=experiment.x,
        w=None if by_init else experiment.w,
        dtype=experiment.dtype,
        blocks=totals.blocks,
        samples=totals.blocks * experiment.block.outputs,
        theory=prediction.variance,
        empirical=variance,
        std_error=std_error,
        ci_low=variance - half_width,
        ci_high=variance + half_width,
        ratio=variance / claim.variance if claim.variance else None,
        z=z,
        p=None if z is None else student.two_sided_p(z, totals.blocks - 1),
        conditional_theory=None if totals.x_sums is None else claim.variance,
        effective_samples=_effective_samples(claim, std_error),
        caveats=tuple(_caveats(experiment, claim, totals)),
        x_mean=experiment.x_mean,
        x_std=experiment.x_std,
        w_mean=None if by_init else experiment.w_mean,
        w_std=None if by_init else experiment.w_std,
        confidence=confidence,
        expected_std_error=expected_error,
        key=experiment.key,
        samples_asked=experiment.samples,
        precision=experiment.precision,
        max_samples=experiment.max_samples,
        totals=totals,
        histogram=None if totals.counts is None else histogram_bins(experiment),
        init=experiment.init,
        init_package=package_of(experiment.init),
        init_theory=predict_initializer(experiment),
    )


def check_consistent(result: Result) -> None:
    """Check that what a result says follows from its totals.

    Raises:
        InputError: It does not: the result has been changed.
    """
    try:
        again = conclude(experiment_of(result), result.totals, result.confidence)
    except ArithmeticError:
        raise InputError("its totals are beyond what there can be; it has been changed") from None
    for name in _FOLLOWING:
        told, follows = getattr(result, name), getattr(again, name)
        if (told is None) != (follows is None) or (
            told is not None and not math.isclose(told, follows, rel_tol=1e-6, abs_tol=1e-12)
        ):
            raise InputError(
                f"its {name} is {told}, which does not follow from its totals ({follows}); it has "
                "been changed"
            )


def judge(results: Sequence[Result], alpha: float = 0.001) -> list[Result]:
    """Return the results with their verdicts, which share one false-alarm rate, by Holm.

    If every theory is right, the chance of any "disagrees" is at most alpha.

    A row's p-value is here the larger of two: by the measured error and by the error that theory
    predicts. From few or heavy-tailed samples the measured variance and its error are small
    together, and the measured error alone would cry wolf (a fifth of the tables, at worst).
    """
    disagrees = holm([max(_p_values(result)) for result in results], alpha)
    return [
        replace(
            result,
            agrees=not verdict,
            alpha=alpha,
            caveats=(*result.caveats, *_off_claim(result)) if verdict else result.caveats,
        )
        for result, verdict in zip(results, disagrees, strict=True)
    ]


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return which p-values are significant, with a chance of at most alpha for any false one.

    Holm (1979): the i-th smallest of m p-values, from i = 0, is significant while it is at most
    alpha / (m - i).

    >>> holm([0.01, 0.5, 0.02], 0.05)
    [True, False, True]
    """
    significant = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        significant[index] = True
    return significant


def _p_values(result: Result) -> tuple[float, float]:
    if result.z is None or result.p is None:
        return 1.0, 1.0  # no error bar (all of x is 0): it measured exactly what it should
    expected_z = result.z * result.std_error / result.expected_std_error
    return result.p, student.two_sided_p(expected_z, result.blocks - 1)


def simulate(
    experiment: Experiment,
    *,
    workers: int | None = None,
    confidence: float = 0.95,
    alpha: float = 0.001,
) -> Result:
    """Sample an experiment and compare it with theory.

    Args:
        experiment: What to sample.
        workers: Number of threads; as many as there are CPUs by default. The result is the same
            for any number.
        confidence: Level of the interval, between 0 and 1.
        alpha: False-alarm rate of the verdict, between 0 and 1.

    Raises:
        InputError: ``workers``, ``confidence`` or ``alpha`` is not allowed.

    >>> from varsim import Experiment, simulate
    >>> result = simulate(Experiment(dim=512, scale="sqrt"))
    >>> result.theory, round(result.empirical, 2), result.agrees
    (1.0, 1.0, True)
    """
    check_probability("confidence", confidence)
    check_probability("alpha", alpha)
    with threads(check_workers(workers)) as mapper:
        *_, totals = measure(experiment, partial(stream, experiment, mapper))
    return judge([conclude(experiment, totals, confidence)], alpha)[0]


def check_workers(workers: int | None) -> int:
    """Return the number of threads to use; as many as there are CPUs for None."""
    if workers is None:
        return available_cpus()
    if isinstance(workers, bool) or not isinstance(workers, int) or not 0 < workers <= _MAX_WORKERS:
        raise InputError(f"workers is {workers}; give a whole number from 1 to {_MAX_WORKERS:,}")
    return workers


def check_probability(name: str, value: float) -> float:
    """Return a probability strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        example = 0.95 if name == "confidence" else 0.001
        raise InputError(f"{name} is {value}; give a number between 0 and 1, such as {example}")
    return value


def histogram_bins(experiment: Experiment) -> Bins:
    """Return where the outputs of an experiment are counted: within six deviations of their mean.

    By theory, over x and W; so that the bins of a row are the same in every run.
    """
    deviation = math.sqrt(predict(experiment).variance)
    low = output_mean(experiment) - _HISTOGRAM_REACH * deviation
    return Bins(low, 2 * _HISTOGRAM_REACH * deviation / _HISTOGRAM_BINS, _HISTOGRAM_BINS)


def _claim(experiment: Experiment, totals: Totals) -> Prediction:
    """Return the theory that a row is held to."""
    if totals.x_sums is None:
        return predict(experiment)
    return predict_given_x(experiment, *totals.x_sums)


def _rounding(experiment: Experiment, claim: Prediction) -> float:
    return FLOAT_TYPES[experiment.dtype].rounding * claim.variance


def _relative_error(experiment: Experiment, totals: Totals) -> float:
    rounding = _rounding(experiment, _claim(experiment, totals))
    std_error = math.hypot(totals.std_error, rounding)
    return std_error / totals.variance if totals.variance else 0.0


def _effective_samples(claim: Prediction, std_error: float) -> float | None:
    if std_error == 0.0 or claim.pair_error2 <= 0.0:
        return None
    return claim.pair_error2 * (claim.variance / std_error) ** 2


def _caveats(experiment: Experiment, claim: Prediction, totals: Totals) -> Iterator[Caveat]:
    if totals.x_sums is not None:
        ratio = claim.variance / average_given_x(experiment)
        yield Caveat(
            "fixed-x",
            f"one x for all outputs: ||x||² = {totals.x_sums[0]:.6g}, {ratio:.4g} times the "
            "average, and the verdict is about ||x||² σw²/k², not about the average over x",
        )
    expected = claim.relative_error(totals.blocks)
    if expected > _ROUGH:
        enough = f"{_samples_for(experiment, _ROUGH):,} samples or more"
        yield Caveat(
            "few-samples",
            f"an expected error of {expected:.0%} is too rough for its interval to cover as often "
            f"as it says; take {enough if experiment.precision is None else 'a precision of 5%'}",
        )
    error, precision = _relative_error(experiment, totals), experiment.precision
    if precision is not None and error > precision:
        needed = totals.blocks * experiment.block.outputs * (error / precision) ** 2
        yield Caveat(
            "precision-unmet",
            f"the relative standard error is {100 * error:.3g}%, not the {100 * precision:.3g}% "
            f"that was asked for, which needs about {float(f'{needed:.2g}'):,.0f} samples",
        )


def _off_claim(result: Result) -> Iterator[Caveat]:
    """Yield how far off an initializer is that disagrees with its claim, and what it fits."""
    if result.init is None:
        return
    claim = result.theory if result.conditional_theory is None else result.conditional_theory
    ratio, error = result.empirical / claim, result.std_error / claim
    half_width = student.quantile(result.confidence, result.blocks - 1) * error
    second = result.k**-2
    fitting = fitting_schemes(experiment_of(result), ratio * second, error * second)
    message = (
        f"the variance is {ratio:.4g} ± {half_width:.2g} times what scale {result.scale} claims "
        "for W"
    )
    if result.init_theory is not None:
        by_theory = result.init_theory / result.theory
        message += f", and {by_theory:.4g} times by the initializer's own theory"
    message += f"; it fits scale {fitting}" if fitting else "; it fits no scheme"
    if ratio:
        message += f" (k = {result.k / math.sqrt(ratio):.4g})"
    yield Caveat("initializer", message)


def fitting_schemes(experiment: Experiment, mean_square: float, std_error: float) -> str:
    """Return the schemes whose 1/k² is a measured E w², within errors, in words; or nothing."""
    names = [
        name
        for name, k_squared in _schemes(experiment)
        if abs(mean_square - 1 / k_squared) <= _FITS * std_error
    ]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _schemes(experiment: Experiment) -> Iterator[tuple[str, float]]:
    """Yield every scheme with its k²: with its own gain, and with the one that was asked for."""
    own = find_scale(experiment.scale).gain
    asked = None if experiment.g == own else experiment.g
    for name, scale in SCALES.items():
        gains = [1.0] if scale.gain is None else sorted({scale.gain, asked or scale.gain})
        for gain in gains:
            told = f"{name} with gain {gain:.6g}" if len(gains) > 1 else name
            yield told, scale.k_squared(experiment.dim, experiment.n, gain)


def package_of(init: str | None) -> str | None:
    """Return the package that W comes from, with its version; None where there is none."""
    return None if init is None else find(init).package


def _samples_for(experiment: Experiment, error: float) -> int:
    """Return a round number of samples that is expected to reach a relative error."""
    for samples in _ROUND_NUMBERS:
        planned = replace(
            experiment, samples=samples, precision=None, max_samples=None, dtype="float64"
        )
        if predict(planned).relative_error(planned_blocks(planned)) <= error:
            return samples
    return MAX_SAMPLES

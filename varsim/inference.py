"""Inference: from measured blocks and the theory to intervals and verdicts."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from varsim import student
from varsim._version import __version__
from varsim.execution import available_cpus, threads
from varsim.experiment import (
    FLOAT_TYPES,
    MAX_SAMPLES,
    Caveat,
    Experiment,
    InputError,
    Result,
)
from varsim.sampling import Block, stream
from varsim.theory import Prediction, average_given_x, predict, predict_given_x

# Relative errors above leave too few effective outputs a block for Student's t: at 64 blocks,
# 95 % intervals cover 92 to 94 % at this error and less beyond.
_ROUGH = 0.05

_ROUND_NUMBERS = [digit * int(10**power) for power in range(2, 12) for digit in (1, 2, 5)]
_MAX_WORKERS = 1024


class Estimate(NamedTuple):
    """A variance measured from blocks.

    Attributes:
        variance: Its unbiased value.
        std_error: Its standard error.
        blocks: Number of blocks.
        x_sums: Σx² and Σx⁴ of the x that all blocks share, or None.
    """

    variance: float
    std_error: float
    blocks: int
    x_sums: tuple[float, float] | None


def estimate(blocks: Iterable[Block]) -> Estimate:
    """Return the variance of all outputs, with the jackknife's error over blocks.

    By the law of total variance it is the mean variance within blocks plus the variance of the
    blocks' means, V = mean(v_i) + s_m², which is unbiased however outputs depend on each other
    inside a block. Its error is that of leaving out one block at a time: Efron & Tibshirani
    (1993), eq. 11.5. The jackknife is of first order, and vanishes with y² constant (D = 1 and
    two coins), so the second-order variance 2 (s_m²/B)² of the squared mean is added.

    Args:
        blocks: At least three blocks of equal count.
    """
    # Sixteen bytes a block: a long run has millions of them.
    all_means, all_variances = array("d"), array("d")
    x_sums = None
    for block in blocks:
        all_means.append(block.moments.mean)
        all_variances.append(block.moments.variance)
        x_sums = block.x_sums
    means, within, count = np.array(all_means), np.array(all_variances), len(all_means)
    squares = np.square(means - means.mean())
    between = squares.sum() / (count - 1)
    left_out_within = (within.sum() - within) / (count - 1)
    left_out_between = (squares.sum() - squares * count / (count - 1)) / (count - 2)
    left_out = left_out_within + left_out_between
    jackknife = (count - 1) / count * np.square(left_out - left_out.mean()).sum()
    second_order = 2 * (between / count) ** 2
    return Estimate(
        float(within.mean() + between), math.sqrt(jackknife + second_order), count, x_sums
    )


def infer(experiment: Experiment, blocks: Iterable[Block], confidence: float = 0.95) -> Result:
    """Return what the blocks say of the theory, before a verdict.

    Args:
        experiment: What was asked.
        blocks: What was measured.
        confidence: Level of the interval.
    """
    prediction = predict(experiment)
    measured = estimate(blocks)
    x_sums = measured.x_sums
    claim = prediction if x_sums is None else predict_given_x(experiment, *x_sums)
    rounding = FLOAT_TYPES[experiment.dtype].rounding * claim.variance
    std_error = math.hypot(measured.std_error, rounding)
    expected_error = math.hypot(claim.relative_error(measured.blocks) * claim.variance, rounding)
    half_width = student.quantile(confidence, measured.blocks - 1) * std_error
    z = (measured.variance - claim.variance) / std_error if std_error else None
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
        w=experiment.w,
        dtype=experiment.dtype,
        blocks=measured.blocks,
        samples=measured.blocks * experiment.block.outputs,
        theory=prediction.variance,
        empirical=measured.variance,
        std_error=std_error,
        ci_low=measured.variance - half_width,
        ci_high=measured.variance + half_width,
        ratio=measured.variance / claim.variance if claim.variance else None,
        z=z,
        p=None if z is None else student.two_sided_p(z, measured.blocks - 1),
        conditional_theory=None if x_sums is None else claim.variance,
        effective_samples=_effective_samples(claim, std_error),
        caveats=tuple(_caveats(experiment, claim, x_sums)),
        x_mean=experiment.x_mean,
        x_std=experiment.x_std,
        w_mean=experiment.w_mean,
        w_std=experiment.w_std,
        confidence=confidence,
        expected_std_error=expected_error,
    )


def judge(results: Sequence[Result], alpha: float = 0.001) -> list[Result]:
    """Return the results with their verdicts, which share one false-alarm rate.

    Holm (1979): the i-th smallest of m p-values, from i = 0, is significant while it is at most
    alpha / (m - i). If every theory is right, the chance of any "disagrees" is at most alpha.

    A row's p-value is here the larger of two: by the measured error and by the error that theory
    predicts. From few or heavy-tailed samples the measured variance and its error are small
    together, and the measured error alone would cry wolf (a fifth of the tables, at worst).
    """
    p_values = [max(_p_values(result)) for result in results]
    agrees = [True] * len(results)
    for rank, index in enumerate(sorted(range(len(results)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(results) - rank):
            break
        agrees[index] = False
    return [
        replace(result, agrees=verdict, alpha=alpha)
        for result, verdict in zip(results, agrees, strict=True)
    ]


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
        result = infer(experiment, stream(experiment, mapper), confidence)
    return judge([result], alpha)[0]


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


def _effective_samples(claim: Prediction, std_error: float) -> float | None:
    if std_error == 0.0 or claim.pair_error2 <= 0.0:
        return None
    return claim.pair_error2 * (claim.variance / std_error) ** 2


def _caveats(
    experiment: Experiment, claim: Prediction, x_sums: tuple[float, float] | None
) -> Iterator[Caveat]:
    if x_sums is not None:
        ratio = claim.variance / average_given_x(experiment)
        yield Caveat(
            "fixed-x",
            f"one x for all outputs: ||x||² = {x_sums[0]:.6g}, {ratio:.4g} times the average, and "
            "the verdict is about ||x||² σw²/k², not about the average over x",
        )
    error = claim.relative_error(experiment.blocks)
    if error > _ROUGH:
        needed = _samples_for(experiment, _ROUGH)
        yield Caveat(
            "few-samples",
            f"an expected error of {error:.0%} is too rough for its interval to cover as often as "
            f"it says; take {needed:,} samples or more",
        )


def _samples_for(experiment: Experiment, error: float) -> int:
    """Return a round number of samples that is expected to reach a relative error."""
    for samples in _ROUND_NUMBERS:
        planned = replace(experiment, samples=samples, dtype="float64")
        if predict(planned).relative_error(planned.blocks) <= error:
            return samples
    return MAX_SAMPLES

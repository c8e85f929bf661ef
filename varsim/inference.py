"""Inference: from measured blocks and the theory to intervals and verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from varsim import student
from varsim._version import __version__
from varsim.execution import available_cpus, threads
from varsim.experiment import FLOAT_TYPES, Caveat, Experiment, InputError, Result
from varsim.sampling import Block, stream
from varsim.theory import Prediction, conditional_variance, mean_square, predict


class Estimate(NamedTuple):
    """A variance measured from blocks: its unbiased value and its standard error."""

    variance: float
    std_error: float


def estimate(blocks: Sequence[Block]) -> Estimate:
    """Return the variance of all outputs, with the jackknife's error over blocks.

    By the law of total variance it is the mean variance within blocks plus the variance of the
    blocks' means, V = mean(v_i) + s_m², which is unbiased however outputs depend on each other
    inside a block. Its error is that of leaving out one block at a time: Efron & Tibshirani
    (1993), eq. 11.5. The jackknife is of first order, and vanishes with y² constant (D = 1 and
    two coins), so the second-order variance 2 (s_m²/B)² of the squared mean is added.

    Args:
        blocks: At least three blocks of equal count.
    """
    count = len(blocks)
    within = np.array([block.moments.variance for block in blocks])
    means = np.array([block.moments.mean for block in blocks])
    deviations = means - means.mean()
    squares = deviations**2
    between = squares.sum() / (count - 1)
    left_out_within = (within.sum() - within) / (count - 1)
    left_out_between = (squares.sum() - squares * count / (count - 1)) / (count - 2)
    left_out = left_out_within + left_out_between
    jackknife = (count - 1) / count * np.square(left_out - left_out.mean()).sum()
    second_order = 2 * (between / count) ** 2
    return Estimate(float(within.mean() + between), math.sqrt(jackknife + second_order))


def infer(experiment: Experiment, blocks: Sequence[Block], confidence: float = 0.95) -> Result:
    """Return what the blocks say of the theory, before a verdict.

    Args:
        experiment: What was asked.
        blocks: What was measured.
        confidence: Level of the interval.
    """
    prediction = predict(experiment)
    x_norm2 = blocks[0].x_norm2
    conditional = None if x_norm2 is None else conditional_variance(experiment, x_norm2)
    claim = prediction.variance if conditional is None else conditional
    measured = estimate(blocks)
    std_error = math.hypot(measured.std_error, FLOAT_TYPES[experiment.dtype].rounding * claim)
    half_width = student.quantile(confidence, len(blocks) - 1) * std_error
    z = (measured.variance - claim) / std_error if std_error else None
    return Result(
        varsim=__version__,
        seed=experiment.seed,
        design=experiment.design,
        dim=experiment.dim,
        fan_out=experiment.fan_out,
        scale=experiment.scale,
        k=experiment.k,
        gain=experiment.gain,
        x=experiment.x,
        w=experiment.w,
        dtype=experiment.dtype,
        blocks=len(blocks),
        samples=sum(block.moments.count for block in blocks),
        theory=prediction.variance,
        empirical=measured.variance,
        std_error=std_error,
        ci_low=measured.variance - half_width,
        ci_high=measured.variance + half_width,
        ratio=measured.variance / claim if claim else None,
        z=z,
        p=None if z is None else student.two_sided_p(z, len(blocks) - 1),
        conditional_theory=conditional,
        effective_samples=_effective_samples(prediction, std_error / claim if claim else 0.0),
        caveats=tuple(_caveats(experiment, prediction, x_norm2)),
        x_mean=experiment.x_mean,
        x_std=experiment.x_std,
        w_mean=experiment.w_mean,
        w_std=experiment.w_std,
        confidence=confidence,
    )


def judge(results: Sequence[Result], alpha: float = 0.001) -> list[Result]:
    """Return the results with their verdicts, which share one false-alarm rate.

    Holm (1979): the i-th smallest of m p-values, from i = 0, is significant while it is at most
    alpha / (m - i). If every theory is right, the chance of any "disagrees" is at most alpha.
    """
    # A row without an error bar (all x are 0) has no p-value; it measured exactly what it should.
    p_values = [1.0 if result.p is None else result.p for result in results]
    agrees = [True] * len(results)
    for rank, index in enumerate(sorted(range(len(results)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(results) - rank):
            break
        agrees[index] = False
    return [
        replace(result, agrees=verdict, alpha=alpha)
        for result, verdict in zip(results, agrees, strict=True)
    ]


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
        blocks = list(stream(experiment, mapper))
    return judge([infer(experiment, blocks, confidence)], alpha)[0]


def check_workers(workers: int | None) -> int:
    """Return the number of threads to use; as many as there are CPUs for None."""
    if workers is None:
        return available_cpus()
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 1024:
        raise InputError(f"workers is {workers}; give a whole number from 1 to 1,024")
    return workers


def check_probability(name: str, value: float) -> float:
    """Return a probability strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise InputError(f"{name} is {value}; give a number between 0 and 1, such as 0.95 or 0.001")
    return value


def _effective_samples(prediction: Prediction, relative_error: float) -> float | None:
    if relative_error == 0.0 or prediction.pair_error2 <= 0.0:
        return None
    return prediction.pair_error2 / relative_error**2


def _caveats(
    experiment: Experiment, prediction: Prediction, x_norm2: float | None
) -> list[Caveat]:
    caveats = []
    if x_norm2 is not None:
        typical = experiment.dim * mean_square(experiment)
        caveats.append(
            Caveat(
                "fixed-x",
                f"one x for all outputs: ||x||² = {x_norm2:.6g}, {x_norm2 / typical:.4g} times "
                "the average, and the verdict is about ||x||² σw²/k², not about the average over x",
            )
        )
    if prediction.relative_error(experiment.blocks) > 0.2:
        caveats.append(
            Caveat(
                "few-samples",
                f"{experiment.samples:,} samples are few for these distributions: the error bar "
                "itself is rough; take more",
            )
        )
    return caveats

"""Survey: what initializers claim and what they do, forward and backward, at one shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from varsim._version import __version__
from varsim.catalog.distributions import truncated_moments
from varsim.catalog.dtypes import FLOAT_TYPES
from varsim.catalog.samplers import FloatArray
from varsim.compute import Mapper, one_blas_thread
from varsim.initializers import find
from varsim.layer.experiment import Experiment
from varsim.layer.inference import fitting_schemes, holm, package_of
from varsim.layer.sampling import generator, whole
from varsim.parsing import InputError
from varsim.statistics import Caveat, student
from varsim.statistics.moments import Block, Moments, Totals

SCHEMA = 1
"""Number of the schema of :class:`Surveyed`; raised whenever its fields change."""

MIN_DRAWS = 8
_ROWS = 64

# What sets the streams of x and g apart from those of W.
_INPUTS = 2

# Entries vary by less than rounding, relative to their mean square: they are all equal.
_EQUAL = 1e-24

# Below, an E w⁴ or the spread of an E y² would be 0.
_LEAST = {name: dtype.smallest for name, dtype in FLOAT_TYPES.items()}


class Draw(NamedTuple):
    """What one W gave.

    Attributes:
        mean: Mean of its entries.
        mean_square: Mean of their squares.
        central: Means of the second, third and fourth powers of their deviations from the mean.
        forward: Outputs x @ W of a batch of standard normal x.
        backward: Outputs g @ Wᵀ of a batch of standard normal g.
    """

    mean: float
    mean_square: float
    central: tuple[float, float, float]
    forward: Moments
    backward: Moments


@dataclass(frozen=True, kw_only=True)
class Surveyed:
    """What an initializer claims and does. Its fields, in this order, are the machine formats'.

    Attributes:
        schema: Number of this schema.
        varsim: Version of varsim.
        init: The initializer, with its arguments.
        init_package: The package it is of, with its version; None where there is none.
        dim: D, the fan-in.
        fan_out: n.
        dtype: Floating-point type of W and the products.
        seed: Root of all random streams.
        draws: Number of independent W: the replicates of all errors.
        claim: E w² as documented, as a formula; None where it is not known.
        claimed: E w² as documented; None where it is not known.
        mean_square: E w², measured.
        mean_square_error: Its standard error.
        kurtosis: E (w - mean)⁴ / Var² of the entries; None where they are all equal.
        kurtosis_error: Its standard error, or None.
        forward_theory: D E w² by the claim, or None.
        forward: Variance of x @ W over W and standard normal x, measured.
        forward_error: Its standard error.
        backward_theory: n E w² by the claim, or None.
        backward: Variance of g @ Wᵀ over W and standard normal g, measured.
        backward_error: Its standard error.
        ratio: ``forward`` over its theory, or None.
        z: Difference of ``forward`` from its theory in standard errors, or None.
        p: Two-sided probability of a difference so large, Student t; of this row alone. Or None.
            By ``forward_error``, or by the error that normal W would have, if that is larger.
        agrees: The verdict on ``forward``, Holm-adjusted over the table; None without a claim.
        caveats: What a reader should know.
        confidence: Level of the intervals of a table for people.
        alpha: False-alarm rate that all verdicts share.
    """

    schema: int = SCHEMA
    varsim: str = __version__
    init: str
    init_package: str | None
    dim: int
    fan_out: int
    dtype: str
    seed: int
    draws: int
    claim: str | None
    claimed: float | None
    mean_square: float
    mean_square_error: float
    kurtosis: float | None
    kurtosis_error: float | None
    forward_theory: float | None
    forward: float
    forward_error: float
    backward_theory: float | None
    backward: float
    backward_error: float
    ratio: float | None
    z: float | None
    p: float | None
    agrees: bool | None = None
    caveats: tuple[Caveat, ...] = ()
    confidence: float
    alpha: float | None = None


def question(
    init: str, dim: int, fan_out: int, seed: int = 0, dtype: str = "float32"
) -> Experiment:
    """Return what is asked of an initializer, checked.

    Raises:
        InputError: A value is not allowed.
    """
    return Experiment(dim=dim, fan_out=fan_out, scale="none", init=init, seed=seed, dtype=dtype)


def survey(
    asked: Experiment, draws: int = 64, confidence: float = 0.95, mapper: Mapper = map
) -> Surveyed:
    """Return what an initializer does, before a verdict.

    Args:
        asked: Which, and at what shape; see :func:`question`.
        draws: Number of independent W.
        confidence: Level of the intervals.
        mapper: Who computes; the numbers are the same.

    Raises:
        InputError: The initializer fails, or makes something else.

    >>> row = survey(question("orthogonal", 64, 32))
    >>> row.claim, row.forward_theory, round(row.forward, 1), round(row.backward, 1)
    ('1/max(D,n)', 1.0, 1.0, 0.5)
    """
    with one_blas_thread:
        return _row(asked, list(mapper(partial(draw, asked), range(draws))), confidence)


def draw(asked: Experiment, index: int) -> Draw:
    """Return what W ``index`` gives.

    Raises:
        InputError: The initializer fails, or makes something else.
    """
    made = whole(asked, index)
    rng = generator(asked.key, asked.seed, index, _INPUTS)
    x = rng.standard_normal((_ROWS, asked.dim), made.weights.dtype.type)
    g = rng.standard_normal((_ROWS, asked.n), made.weights.dtype.type)
    forward = x @ made.weights
    if made.bias is not None:
        forward += made.bias
    mean, mean_square, central = _entries(asked, made.weights)
    backward = Moments.of(g @ made.weights.T)
    return Draw(mean, mean_square, central, Moments.of(forward), backward)


def _entries(
    asked: Experiment, weights: FloatArray
) -> tuple[float, float, tuple[float, float, float]]:
    """Return the moments of the entries of W, as :class:`Draw` has them."""
    w = weights.astype(np.float64).ravel()
    mean, mean_square, least = float(w.mean()), float(w @ w) / w.size, _LEAST[asked.dtype]
    if w.any() and mean_square < least**2:
        raise InputError(
            f"{asked.init} makes numbers below {least:g}, where {asked.dtype} is not safe; give "
            "milder arguments"
        )
    w -= mean
    squares = w * w
    powers = (float(w @ w), float(squares @ w), float(squares @ squares))
    second, third, fourth = (power / w.size for power in powers)
    return mean, mean_square, (second, third, fourth)


def judge(rows: Sequence[Surveyed], alpha: float = 0.001) -> list[Surveyed]:
    """Return rows with their verdicts, which share one false-alarm rate, by Holm."""
    alarms = iter(holm([row.p for row in rows if row.p is not None], alpha))
    return [row if row.p is None else _judged(row, next(alarms), alpha) for row in rows]


def _judged(row: Surveyed, alarm: bool, alpha: float) -> Surveyed:
    caveats = tuple(_off_claim(row)) if alarm else ()
    return replace(row, agrees=not alarm, alpha=alpha, caveats=caveats)


def _off_claim(row: Surveyed) -> Iterator[Caveat]:
    """Yield how far off an initializer is, and what it fits: by its entries, which tell most."""
    if not row.claimed:
        return
    error = math.hypot(row.mean_square_error, FLOAT_TYPES[row.dtype].rounding * row.mean_square)
    ratio, half_width = row.mean_square / row.claimed, error / row.claimed
    asked = question(row.init, row.dim, row.fan_out, row.seed, row.dtype)
    fitting = fitting_schemes(asked, row.mean_square, error)
    half_width *= student.quantile(row.confidence, row.draws - 1)
    message = f"E w² is {ratio:.4g} ± {half_width:.2g} times the documented {row.claim}"
    if abs(ratio - truncated_moments(2.0)[0]) <= 2 * half_width:
        message += ", as of a normal that is cut at two deviations and not scaled back"
    yield Caveat("initializer", message + (f"; it fits scale {fitting}" if fitting else ""))


def _row(asked: Experiment, drawn: Sequence[Draw], confidence: float) -> Surveyed:
    claim = find(str(asked.init)).claim
    claimed = None if claim is None else claim.mean_square(asked.dim, asked.n)
    theory = None if claimed is None else asked.dim * claimed
    forward, backward = _totals(d.forward for d in drawn), _totals(d.backward for d in drawn)
    squares = np.array([d.mean_square for d in drawn])
    kurtosis, kurtosis_error = _kurtosis(drawn)
    error = math.hypot(
        forward.std_error, FLOAT_TYPES[asked.dtype].rounding * (theory or forward.variance)
    )
    z = None if theory is None or not error else (forward.variance - theory) / error
    return Surveyed(
        init=str(asked.init),
        init_package=package_of(asked.init),
        dim=asked.dim,
        fan_out=asked.n,
        dtype=asked.dtype,
        seed=asked.seed,
        draws=len(drawn),
        claim=None if claim is None else claim.formula,
        claimed=claimed,
        mean_square=float(squares.mean()),
        mean_square_error=float(squares.std(ddof=1)) / math.sqrt(len(drawn)),
        kurtosis=kurtosis,
        kurtosis_error=kurtosis_error,
        forward_theory=theory,
        forward=forward.variance,
        forward_error=error,
        backward_theory=None if claimed is None else asked.n * claimed,
        backward=backward.variance,
        backward_error=backward.std_error,
        ratio=forward.variance / theory if theory else None,
        z=z,
        p=_p(asked, theory, forward.variance, error, len(drawn)),
        confidence=confidence,
    )


def _p(
    asked: Experiment, theory: float | None, forward: float, error: float, draws: int
) -> float | None:
    """Return the larger p-value of two: by the measured error, and by what normal W would have.

    From few or heavy-tailed draws the variance and its error are small together, and the measured
    error alone would cry wolf.
    """
    if theory is None:
        return None
    largest = max(error, theory * math.sqrt(_block_error2(asked) / draws))
    if not largest:  # nothing varies, and there is no rounding: both are 0
        return 1.0 if forward == theory else 0.0
    return student.two_sided_p((forward - theory) / largest, draws - 1)


def _block_error2(asked: Experiment) -> float:
    """Relative variance of the mean square of x @ W over a batch, for independent normal W.

    [2 + (κx κw - 3)/D + (n-1)(κx-1)/D + (r-1)(κw-1)/D] / (r n) with kurtoses of 3.
    """
    shared = 3.0 + (asked.n - 1) + (_ROWS - 1)
    return 2.0 * (1.0 + shared / asked.dim) / (_ROWS * asked.n)


def _totals(outputs: Iterable[Moments]) -> Totals:
    return Totals.of(Block(moments, None, None) for moments in outputs)


def _kurtosis(drawn: Sequence[Draw]) -> tuple[float | None, float | None]:
    """Return the kurtosis of all entries and its jackknife error, leaving out one W at a time."""
    means = np.array([d.mean for d in drawn])
    second, third, fourth = np.array([d.central for d in drawn]).T
    d = means - means.mean()  # powers about the common mean do not cancel, as raw ones would
    about = np.stack([
        d, second + d**2, third + 3 * d * second + d**3,
        fourth + 4 * d * third + 6 * d**2 * second + d**4,
    ])  # fmt: skip
    every = about.mean(axis=1, keepdims=True)
    left_out = (every * len(drawn) - about) / (len(drawn) - 1)
    a, b, c, e = np.hstack([every, left_out])
    variance = b - a**2
    if np.any(variance <= _EQUAL * np.mean([d.mean_square for d in drawn])):
        return None, None
    kurtosis = (e - 4 * a * c + 6 * a**2 * b - 3 * a**4) / variance**2
    spread = np.var(kurtosis[1:]) * (len(drawn) - 1)
    return float(kurtosis[0]), math.sqrt(spread)

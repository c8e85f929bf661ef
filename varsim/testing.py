"""Assertions on variances for a project's tests: tolerances follow from the number of entries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim import tolerance
from varsim.errors import InputError, quoted
from varsim.fields.rounding import significant
from varsim.layer.question import Experiment
from varsim.layer.result import fitting_schemes
from varsim.layer.sampling import whole
from varsim.statistics import check_probability
from varsim.tolerance import Squares
from varsim.usercode import plain_array

_FEWEST = 2

_MOST = 10**10


class _Sums(NamedTuple):
    """Sums over entries w of one array or several, in float64.

    Attributes:
        entries: Number of entries; one less where their mean is an estimate.
        square: Σ w².
        fourth: Σ w⁴.
        rounding: Largest relative rounding error of a square.
    """

    entries: int
    square: float
    fourth: float
    rounding: float

    @classmethod
    def of(cls, values: NDArray[Any], mean: float | None) -> _Sums:
        if values.size < _FEWEST:
            raise InputError(f"the array has {values.size} entries; give at least {_FEWEST}")
        deviations = values.astype(np.float64).ravel()
        deviations -= deviations.mean() if mean is None else mean
        squares = deviations * deviations
        epsilon = 0.0
        if np.issubdtype(values.dtype, np.floating):
            epsilon = float(np.finfo(values.dtype).eps)
        return cls(values.size - (mean is None), float(squares.sum()), float(squares @ squares),
                   2.0 * epsilon)  # fmt: skip

    def plus(self, other: _Sums) -> _Sums:
        return _Sums(self.entries + other.entries, self.square + other.square,
                     self.fourth + other.fourth, self.rounding)  # fmt: skip

    @property
    def variance(self) -> float:
        return self.square / self.entries

    @property
    def kurtosis(self) -> float:
        return max(1.0, self.fourth * self.entries / self.square**2) if self.square else 1.0


class _Test(NamedTuple):
    """A test of a mean of squares.

    Attributes:
        squares: The law of a square.
        false_failure: The rate of false failures.
        rest: What is left of it to the limits, where the kurtosis is an estimate.
        about: The law in words.
    """

    squares: Squares
    false_failure: float
    rest: float
    about: str

    @classmethod
    def of(cls, sums: _Sums, kurtosis: float | str | None, false_failure: float) -> _Test:
        if isinstance(kurtosis, str):
            name, squares = tolerance.of_entries(kurtosis)
            return cls(squares, false_failure, false_failure, f"{name} entries")
        if kurtosis is not None:
            squares = tolerance.of_kurtosis(tolerance.check_kurtosis(float(kurtosis)))
            return cls(squares, false_failure, false_failure, f"kurtosis {kurtosis:g}")
        most, rest = tolerance.kurtosis_and_rest(sums.kurtosis, sums.entries, false_failure)
        squares = tolerance.of_kurtosis(tolerance.check_kurtosis(most))
        about = f"kurtosis {sums.kurtosis:.3g}, at most {most:.3g}"
        return cls(squares, false_failure, rest, about)

    def check(self, what: str, sums: _Sums, claim: float, shape: tuple[int, ...] | None) -> None:
        """Raise an AssertionError if a variance is outside the tolerance."""
        __tracebackhide__ = True
        low, high = self.squares.limits(sums.entries, self.rest)
        ratio = sums.variance / claim
        if low - sums.rounding <= ratio <= high + sums.rounding:
            return
        chance = self.squares.probability(sums.entries, ratio)
        least = tolerance.LEAST_PROBABILITY
        below = f"is {chance:.1g}" if chance > 1.01 * least else f"is below {least:g}"
        message = (
            f"{what} of {sums.entries:,} entries is {significant(sums.variance)}, "
            f"{100 * ratio:.4g}% of {significant(claim)}; allowed are {100 * low:.2f}% to "
            f"{100 * high:.2f}% ({self.about}, false failures {self.false_failure:g}); under the "
            f"claim, the probability of this {below}"
        )
        raise AssertionError(message + _fits(sums, self.squares, shape))


def assert_variance(
    array: Any,
    expected: float,
    *,
    mean: float | None = 0.0,
    kurtosis: float | str | None = None,
    false_failure: float = 1e-6,
) -> None:
    """Fail unless the variance of independent entries is the expected one, within sampling error.

    The tolerance follows from the number of entries and their kurtosis. It is exact for normal
    entries: limits of χ² with equal tails. See :mod:`varsim.tolerance` for others.

    Args:
        array: The entries, of any shape: an array, a tensor, or anything NumPy reads.
        expected: The variance, in the squared unit of the entries.
        mean: The known mean of the entries, about which squares are taken; None estimates it.
        kurtosis: E w⁴ / (E w²)² of the entries, 3 for normal ones; or the name of their
            distribution, such as ``"uniform"``. None estimates it, which widens the tolerance.
        false_failure: The probability of a failure if the claim is right, between 0 and 1.

    Raises:
        AssertionError: The variance is outside the tolerance, or an entry is not finite.
        InputError: An argument is not allowed.

    >>> import numpy as np
    >>> weights = np.random.default_rng(0).normal(0, 0.125, (64, 512))
    >>> assert_variance(weights, 1 / 64)
    >>> assert_variance(weights, 2 / 64, kurtosis="normal")
    Traceback (most recent call last):
        ...
    AssertionError: the variance of 32,768 entries is 0.0155555, 49.78% of 0.03125; allowed are \
96.22% to 103.87% (normal entries, false failures 1e-06); under the claim, the probability of this \
is below 1e-100; it fits scale sqrt and lecun for D = 64
    """
    __tracebackhide__ = True
    false_failure = check_probability("false_failure", false_failure)
    values = _array(array)
    claim = _claim(expected)
    _check_finite(values)
    sums = _Sums.of(values, mean)
    test = _Test.of(sums, kurtosis, false_failure)
    test.check("the variance", sums, claim, values.shape if values.ndim == 2 else None)


def assert_initializer(
    init: str | Callable[[np.random.Generator, tuple[int, int]], Any],
    scale: str | float,
    *,
    dim: int,
    fan_out: int | None = None,
    gain: float | None = None,
    kurtosis: float | str | None = None,
    sees: float = 0.05,
    false_failure: float = 1e-6,
    seed: int = 0,
) -> None:
    """Fail unless an initializer has entries with E w² = 1/k², within sampling error.

    W is drawn until an error of ``sees`` would fail with a probability of 0.999. The entries of W
    are independent; for others, such as orthogonal ones, the tolerance does not hold.

    Args:
        init: A function ``f(rng, shape)`` that returns W of shape (D, n), where ``rng`` is a NumPy
            ``Generator``; or the name of an initializer, as for ``varsim init``.
        scale: The scheme that gives k, such as ``"he"``, or k itself.
        dim: D, the number of rows of W (fan-in).
        fan_out: n, the number of columns; D by default.
        gain: g, for schemes with a gain; the scheme's default by default.
        kurtosis: As for :func:`assert_variance`.
        sees: The relative error of E w² to see, above 0 and below 1.
        false_failure: The probability of a failure if the claim is right, between 0 and 1.
        seed: Root of the random streams.

    Raises:
        AssertionError: The mean square is outside the tolerance, or an entry is not finite.
        InputError: An argument is not allowed, or the initializer cannot be used.

    >>> assert_initializer("truncated_normal(std='lecun')", "lecun", dim=64)
    >>> assert_initializer(lambda rng, shape: rng.normal(0, 1 / 8, shape), "sqrt", dim=64)
    """
    __tracebackhide__ = True
    false_failure = check_probability("false_failure", false_failure)
    sees = check_probability("sees", sees)
    name = init if isinstance(init, str) else None
    question = Experiment(dim=dim, scale=str(scale), fan_out=fan_out, gain=gain, init=name,
                          seed=seed)  # fmt: skip
    sums, needed = _sums(init, question, 0), 2
    for index in itertools.count(1):
        if sums.entries >= needed:
            test = _Test.of(sums, kurtosis, false_failure)
            needed = test.squares.needed(sees, test.rest)
        if needed > _MOST:
            raise InputError(
                f"sees is {sees:g}, which needs {needed:,} entries, and {_MOST:,} are allowed; "
                "give a larger one"
            )
        if sums.entries >= needed:
            break
        sums = sums.plus(_sums(init, question, index))
    called = name or getattr(init, "__name__", "the initializer")
    test.check(f"E w² of {called}", sums, 1.0 / question.k_squared, (question.dim, question.n))


def _sums(init: str | Callable[..., Any], question: Experiment, index: int) -> _Sums:
    """Return the sums of one W."""
    __tracebackhide__ = True
    values = _draw(init, question, index)
    _check_finite(values)
    return _Sums.of(values, 0.0)


def _draw(init: str | Callable[..., Any], question: Experiment, index: int) -> NDArray[Any]:
    if isinstance(init, str):
        return whole(question, index).weights
    shape = question.dim, question.n
    values = _array(init(np.random.default_rng([question.seed, index]), shape))
    if values.shape != shape:
        raise InputError(
            f"the initializer returned the shape {values.shape} for {shape}; return one row per "
            "input, and one column per output"
        )
    return values


def _array(array: Any) -> NDArray[Any]:
    """Return an array of real numbers, of whatever NumPy reads, and of a tensor with gradients."""
    detach = getattr(array, "detach", None)
    try:
        values = plain_array(array if detach is None else detach().cpu())
        values.astype(np.float64, casting="same_kind", copy=False)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"the array cannot be used ({quoted(error)}); give one of real numbers"
        ) from None
    return values


def _claim(expected: float) -> float:
    value = float(expected)
    if not (math.isfinite(value) and value > 0.0):
        raise InputError(f"expected is {value:g}; give a finite variance above 0")
    return value


def _check_finite(values: NDArray[Any]) -> None:
    __tracebackhide__ = True
    wrong = int(np.count_nonzero(~np.isfinite(values)))
    if wrong:
        raise AssertionError(f"{wrong:,} of {values.size:,} entries are not finite")


def _fits(sums: _Sums, squares: Squares, shape: tuple[int, ...] | None) -> str:
    """Return which schemes fit a shape, whichever axis is D, as the end of a sentence."""
    if shape is None or not sums.square:
        return ""
    error = squares.sigma * sums.variance / math.sqrt(sums.entries)
    fitting = {}
    for dim, fan_out in dict.fromkeys([shape, shape[::-1]]):
        question = Experiment(dim=dim, fan_out=fan_out, scale="none")
        names = fitting_schemes(question, sums.variance, error + sums.rounding * sums.variance)
        if names:
            fitting[f"D = {dim}"] = names
    parts = [f"scale {names} for {dim}" for dim, names in fitting.items()]
    return f"; it fits {', and '.join(parts)}" if parts else "; it fits no scheme for this shape"

"""Theory: the variance of x @ W in closed form. Shares no facts with the sampling."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from varsim.catalog.designs import DESIGNS, BlockShape
from varsim.catalog.distributions import find_distribution
from varsim.layer.question import Experiment

if TYPE_CHECKING:
    from varsim.initializers.theory import Gram


class Prediction(NamedTuple):
    """The prediction for an experiment.

    Attributes:
        variance: Var[x @ W] over x and W; for one given x, over W alone.
        pair_error2: Relative variance of the square of one output about its mean. An estimate from
            one independent pair (x, w), or from one w for one given x, has this error.
        block_error2: Relative variance of the mean of these squares over one block.
        mean: E[x @ W].
        product_variance: Variance of one product x_d w_d before W is divided by k.
        x_mean_square: E x_d².
        average_given_x: Average over x of Var[x @ W] over W alone: D E x² σw² / k².
        init_variance: Exact Var[x @ W] with a built-in initializer, independent of the scheme's
            claim; None with any other W.
    """

    variance: float
    pair_error2: float
    block_error2: float
    mean: float
    product_variance: float
    x_mean_square: float
    average_given_x: float
    init_variance: float | None

    def relative_error(self, blocks: int) -> float:
        """Return the expected relative standard error from that many blocks."""
        return math.sqrt(max(0.0, self.block_error2) / blocks)


class Entries(NamedTuple):
    """Exact moments of the entries of x, or of W before its division by k.

    Attributes:
        mean: E v.
        variance: E (v - mean)².
        third: E (v - mean)³.
        fourth: E (v - mean)⁴.
    """

    mean: float
    variance: float
    third: float
    fourth: float

    @classmethod
    @lru_cache(maxsize=4096)
    def of(cls, name: str, shift: float, factor: float) -> Entries:
        """Return the moments of ``shift + factor * base``."""
        base = find_distribution(name)
        variance = factor**2 * base.variance
        return cls(
            shift + factor * base.mean,
            variance,
            base.skewness * variance**1.5,
            base.kurtosis * variance**2,
        )

    @property
    def mean_square(self) -> float:
        """E v²."""
        return self.variance + self.mean**2

    @property
    def square_variance(self) -> float:
        """Var v² = Var(a² + 2 mean a) with a = v - mean: the raw moments would cancel."""
        spread = self.fourth - self.variance**2
        return spread + 4 * self.mean * self.third + 4 * self.mean**2 * self.variance


@lru_cache(maxsize=4096)
def predict(experiment: Experiment) -> Prediction:
    """Return Var[x @ W] and the expected error of its estimate from one block.

    With independent entries Var[y] = (D/k²) [E x² E w² - (E x)² (E w)²]. This is D/k² for
    standardised entries: Glorot & Bengio (2010), eq. 5; He et al. (2015), eq. 6-7.

    >>> round(predict(Experiment(dim=512, scale="linear")).variance, 6)
    0.001953
    >>> predict(Experiment(dim=64, fan_out=16, scale="he", init="orthogonal")).init_variance
    1.0
    """
    e = experiment
    if e.looks_up:
        return _predict_lookup(e)
    x, w = Entries.of(*e.x_entries), Entries.of(*e.w_entries)
    product, pair = _product_variance(x, w), _pair_error2(e.dim, x, w)
    exact = e.initializer.moments(e.dim, e.n)
    return Prediction(
        variance=(e.dim * product + e.bias) / e.k_squared,
        pair_error2=pair,
        block_error2=block_error2(e, e.block),
        mean=e.dim * x.mean * w.mean / e.k,
        product_variance=product,
        x_mean_square=x.mean_square,
        average_given_x=(e.dim * x.mean_square * w.variance + e.bias) / e.k_squared,
        init_variance=None if exact is None else exact.trace / e.n * x.mean_square,
    )


def _predict_lookup(e: Experiment) -> Prediction:
    """Return the prediction for one-hot x: every output is one entry of W times x_std."""
    w, factor2 = Entries.of(*e.w_entries), e.x_std**2
    variance = (factor2 * w.variance + e.bias) / e.k_squared
    exact = e.initializer.moments(e.dim, e.n)
    return Prediction(
        variance=variance,
        pair_error2=_given_x_error2(w, 1.0),
        block_error2=block_error2(e, e.block),
        mean=e.x_std * w.mean / e.k,
        product_variance=factor2 * w.variance / e.dim,
        x_mean_square=factor2 / e.dim,
        average_given_x=variance,
        init_variance=None if exact is None else exact.trace / e.n * factor2 / e.dim,
    )


def predict_given_x(experiment: Experiment, x_squares: float, x_fourths: float) -> Prediction:
    """Return Var[x @ W] over W alone, for one x: ||x||² σw²/k².

    Args:
        experiment: The experiment.
        x_squares: Σx² of that x.
        x_fourths: Σx⁴ of that x.

    >>> predict_given_x(Experiment(dim=4, scale="2"), 8.0, 16.0).variance
    2.0
    """
    e, w = experiment, Entries.of(*experiment.w_entries)
    concentration = x_fourths / x_squares**2 if x_squares else 1.0
    return predict(e)._replace(
        variance=(x_squares * w.variance + e.bias) / e.k_squared,
        pair_error2=_given_x_error2(w, concentration),
        block_error2=_block_error2_given_x(e, e.block, concentration),
    )


def block_error2(experiment: Experiment, block: BlockShape) -> float:
    """Return the relative variance of an estimate from one block of this shape."""
    e = experiment
    if e.looks_up:
        return _lookup_error2(e, block)
    x, w = Entries.of(*e.x_entries), Entries.of(*e.w_entries)
    if DESIGNS[e.design].fixed_x:
        return _block_error2_given_x(e, block, _typical_concentration(e.dim, x))
    if e.init is not None:
        return _whole_error2(_gram(e), x, block)
    # Outputs of one row share x, those of one column share w; all others are independent.
    shared_x, shared_w = _shared_error2(e.dim, x, w), _shared_error2(e.dim, w, x)
    pair = _pair_error2(e.dim, x, w)
    return (pair + (block.columns - 1) * shared_x + (block.rows - 1) * shared_w) / block.outputs


def _lookup_error2(e: Experiment, block: BlockShape) -> float:
    """Relative variance of an estimate from one block of one-hot rows.

    An output is an entry of W: its square has the relative variance κw - 1. Two rows look up the
    same entries with probability 1/D, and independent ones otherwise; so with r rows the columns'
    mean has (κw - 1) [1 + (r - 1)/D]. Of a whole W, a row's mean square is M_ii / n for a random
    i, with M = W Wᵀ, and the rows are independent given M.
    """
    if DESIGNS[e.design].fixed_x:
        return _block_error2_given_x(e, block, 1.0)
    if e.init is None:
        pair = _given_x_error2(Entries.of(*e.w_entries), 1.0)
        return pair * (1 + (block.rows - 1) / e.dim) / block.outputs
    m = _gram(e)
    within = e.dim * m.diagonal_square - m.trace**2 - m.trace_variance
    return (m.trace_variance + within / block.rows) / m.trace**2


def _product_variance(x: Entries, w: Entries) -> float:
    # The same as E x² E w² - (E x)² (E w)², without its cancellation.
    return x.variance * w.variance + x.mean**2 * w.variance + x.variance * w.mean**2


@lru_cache(maxsize=4096)
def _pair_error2(dim: int, x: Entries, w: Entries) -> float:
    """Relative variance of t² with t = sum over d of u_d, u = xw - E x E w.

    Var t² = D (E u⁴ - 3 v²) + 2 D² v² with v = E u²; for standardised entries E u⁴ is the product
    of the kurtoses, which gives 2 + (κx κw - 3) / D. With a and b for the centred entries,
    u = ab + a E w + b E x; the code expands E u⁴.
    """
    of_x = (1.0, 0.0, x.variance, x.third, x.fourth)
    of_w = (1.0, 0.0, w.variance, w.third, w.fourth)
    fourth = sum(
        math.comb(4, both) * math.comb(4 - both, only_x)
        * w.mean**only_x * x.mean ** (4 - both - only_x)
        * of_x[both + only_x] * of_w[4 - only_x]
        for both in range(5)
        for only_x in range(5 - both)
    )  # fmt: skip
    return 2.0 + (fourth / _product_variance(x, w) ** 2 - 3.0) / dim


def _shared_error2(dim: int, x: Entries, w: Entries) -> float:
    """Relative covariance of t² between two outputs with one x and two independent w.

    It is the variance over x of E[t² | x] = σw² Σ x² + (E w)² (Σ (x - E x))²; for standardised
    entries that gives (κx - 1) / D.
    """
    sum_square_var = x.fourth - 3 * x.variance**2 + 2 * dim * x.variance**2
    covariance = x.fourth - x.variance**2 + 2 * x.mean * x.third
    total = (
        w.variance**2 * x.square_variance
        + w.mean**4 * sum_square_var
        + 2 * w.variance * w.mean**2 * covariance
    )
    return total / dim / _product_variance(x, w) ** 2


def _gram(experiment: Experiment) -> Gram:
    """Return the moments of the initializer's W; if unknown, of independent normal entries."""
    from varsim.initializers.theory import independent  # a plain run starts without

    e = experiment
    return e.initializer.moments(e.dim, e.n) or independent(e.dim, e.n)


def _whole_error2(m: Gram, x: Entries, block: BlockShape) -> float:
    """Relative variance of the mean square of X @ W over a block with one W.

    The mean square is Σ x M xᵀ / (r n) over the r rows x of X, with M = W Wᵀ. Given M, with
    x = E x + a and the entries' moments σ², μ₃, μ₄ of a,

        Var[x M xᵀ | M] = 4 (E x)² σ² 1M²1ᵀ + 4 E x μ₃ Σ_d M_dd (M1)_d + 2 σ⁴ tr M²
                          + (μ₄ - 3σ⁴) Σ M_dd².

    The rows of W have random signs, so only terms that are even in every row remain:
    E 1M²1ᵀ = E tr M², E Σ M_dd (M1)_d = E Σ M_dd², and
    Var 1M1ᵀ = Var tr M + 2 (E tr M² - E Σ M_dd²).
    """
    between = x.mean_square**2 * m.trace_variance + 2 * x.mean**4 * (m.square - m.diagonal_square)
    within = (
        4 * x.mean**2 * x.variance * m.square
        + 4 * x.mean * x.third * m.diagonal_square
        + 2 * x.variance**2 * m.square
        + (x.fourth - 3 * x.variance**2) * m.diagonal_square
    )
    return (between + within / block.rows) / (x.mean_square * m.trace) ** 2


def _whole_given_x_error2(m: Gram, concentration: float, dim: int) -> float:
    """Relative variance, over W alone, of the mean square of x @ W for one x: of x M xᵀ.

    The rows of W have random signs, so only Σ x_d⁴ M_dd² and the pairs
    x_d² x_e² (M_dd M_ee + 2 M_de²) remain of its square.
    """
    diagonal = concentration * m.diagonal_square / dim
    if dim == 1:
        return diagonal * dim**2 / m.trace**2 - 1.0
    pairs = m.trace_variance + m.trace**2 - m.diagonal_square
    pairs += 2 * (m.square - m.diagonal_square)
    others = (1.0 - concentration) * pairs / (dim * (dim - 1))
    return (diagonal + others) * dim**2 / m.trace**2 - 1.0


def _block_error2_given_x(e: Experiment, block: BlockShape, concentration: float) -> float:
    """Relative variance, over W alone, of the mean square of a block of x @ W for one x."""
    if e.init is not None:
        return _whole_given_x_error2(_gram(e), concentration, e.dim)
    return _given_x_error2(Entries.of(*e.w_entries), concentration) / block.outputs


def _typical_concentration(dim: int, x: Entries) -> float:
    """E Σx⁴ over E (Σx²)², of a typical x."""
    mean_fourth = x.square_variance + x.mean_square**2
    return mean_fourth / (mean_fourth + (dim - 1) * x.mean_square**2)


def _given_x_error2(w: Entries, concentration: float) -> float:
    """Relative variance, over w alone, of one output's square about its mean.

    2 + (κw - 3) Σx⁴ / (Σx²)², where the last factor is the concentration of x.
    """
    return 2.0 + (w.fourth / w.variance**2 - 3.0) * concentration

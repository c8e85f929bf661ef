"""The check of an initializer: what it claims and what it does, forward and backward."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim import fields as f
from varsim.catalog import FLOAT_TYPES
from varsim.catalog.distributions import truncated_moments
from varsim.catalog.samplers import FloatArray
from varsim.compute.streams import generator
from varsim.errors import InputError
from varsim.fields import CAVEATS, Field, RowBase, Schema
from varsim.fields.rounding import short
from varsim.initializers import Initializer, find
from varsim.initializers.documented import REMARKS
from varsim.layer.experiment import Experiment, checked_whole
from varsim.layer.result import VERDICTS, fitting_schemes
from varsim.layer.sampling import verify_initializer, whole
from varsim.statistics import Caveat, Estimate
from varsim.statistics.moments import Block, Moments, Totals

MIN_DRAWS, MAX_DRAWS = 8, 10**6
_ROWS = 64

# What sets the streams of x and g apart from those of W.
_STREAM_OF_INPUTS = 2

# Entries that vary by less than rounding, relative to their mean square, are all equal.
_EQUAL = 1e-24


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


class CheckTotals(NamedTuple):
    """What all W so far gave, in a size that does not grow.

    Attributes:
        draws: Number of W.
        forward: Totals of the outputs x @ W.
        backward: Totals of the outputs g @ Wᵀ.
        mean_square: Mean over W of E w².
        mean_square_m2: Σ (E w² - mean)².
        reference: The mean of the first W, about which powers are taken, so that they do not
            cancel; None in files of older versions, whose powers cannot be added to.
        powers: Means over W of E (w - reference)^j for j = 1 to 4.
        comoments: Σ of the products of their deviations from these means, of shape (4, 4).
    """

    draws: int = 0
    forward: Totals = Totals()
    backward: Totals = Totals()
    mean_square: float = 0.0
    mean_square_m2: float = 0.0
    reference: float | None = None
    powers: tuple[float, ...] = (0.0,) * 4
    comoments: tuple[tuple[float, ...], ...] = ((0.0,) * 4,) * 4

    def plus(self, *draws: Draw) -> CheckTotals:
        """Return the totals with more W."""
        return reduce(CheckTotals._with, draws, self)

    def _with(self, draw: Draw) -> CheckTotals:
        count = self.draws + 1
        reference = draw.mean if self.reference is None else self.reference
        step = draw.mean_square - self.mean_square
        deviations = _powers(draw, draw.mean - reference) - np.array(self.powers)
        comoments = (
            np.array(self.comoments) + np.outer(deviations, deviations) * (count - 1) / count
        )
        return CheckTotals(
            count,
            self.forward.plus(Block(draw.forward)),
            self.backward.plus(Block(draw.backward)),
            self.mean_square + step / count,
            self.mean_square_m2 + step**2 * (count - 1) / count,
            reference,
            tuple((np.array(self.powers) + deviations / count).tolist()),
            tuple(map(tuple, comoments.tolist())),
        )

    @classmethod
    def pooled(cls, parts: Sequence[CheckTotals]) -> CheckTotals:
        """Return the totals of all W of several totals; each needs a reference.

        Raises:
            ValueError: One has none.
        """
        reference = parts[0].reference
        counts = np.array([part.draws for part in parts])
        count = int(counts.sum())
        squares = np.array([part.mean_square for part in parts])
        mean_square = float(counts @ squares) / count
        m2 = math.fsum(part.mean_square_m2 for part in parts)
        moved = [part._about(reference) for part in parts]
        powers = counts @ np.array([each for each, _ in moved]) / count
        deviations = np.array([each for each, _ in moved]) - powers
        comoments = sum(each for _, each in moved) + (deviations.T * counts) @ deviations
        return cls(
            count,
            Totals.pooled([part.forward for part in parts]),
            Totals.pooled([part.backward for part in parts]),
            mean_square,
            m2 + float(counts @ (squares - mean_square) ** 2),
            reference,
            tuple(powers.tolist()),
            tuple(map(tuple, comoments.tolist())),
        )

    def _about(self, reference: float | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return powers and comoments about another reference: (w - r)^j is a sum of powers."""
        if self.reference is None or reference is None:
            raise ValueError("these totals cannot be added to")
        shift = self.reference - reference
        binomial = np.array([[math.comb(j, i) for i in range(1, 5)] for j in range(1, 5)])
        exponents = np.array([[max(0, j - i) for i in range(1, 5)] for j in range(1, 5)])
        change = binomial * shift**exponents
        constant = shift ** np.arange(1, 5)
        comoments = change @ np.array(self.comoments) @ change.T
        return change @ np.array(self.powers) + constant, comoments

    @property
    def kurtosis(self) -> tuple[float, float] | None:
        """E (w - mean)⁴ / Var² of all entries, and its standard error; None where all are equal.

        The error is the infinitesimal jackknife's over W: Efron & Tibshirani (1993), eq. 21.13.
        """
        a, b, c, e = self.powers
        variance = b - a**2
        if variance <= _EQUAL * self.mean_square or self.draws < 2:
            return None
        fourth = e - 4 * a * c + 6 * a**2 * b - 3 * a**4
        by_fourth = np.array([-4 * c + 12 * a * b - 12 * a**3, 6 * a**2, -4 * a, 1.0])
        by_variance = np.array([-2 * a, 1.0, 0.0, 0.0])
        with np.errstate(all="ignore"):  # a file can hold any totals; what follows is checked
            slope = by_fourth / variance**2 - 2 * fourth / variance**3 * by_variance
            spread = float(slope @ np.array(self.comoments) @ slope)
        error = math.sqrt(max(0.0, spread) / (self.draws * (self.draws - 1)))
        return fourth / variance**2, error


@dataclass(frozen=True, repr=False)
class InitializerCheck(RowBase):
    """What an initializer claims and does: its question, its totals, and what follows from them.

    Every field of :data:`CHECKS` is an attribute.

    Attributes:
        question: Which initializer, at what shape: see :func:`question`.
        totals: What its W gave, which can be added to.
        draws_asked: Number of W that were asked for.
        claim: E w² as documented, as a formula; None where it is not known.
        claimed: E w² as documented; None where it is not known.
    """

    question: Experiment
    totals: CheckTotals
    draws_asked: int
    _: KW_ONLY
    claim: str | None = None
    claimed: float | None = None

    @property
    def initializer(self) -> Initializer:
        """The initializer."""
        return find(str(self.question.init))

    @property
    def draws(self) -> int:
        """Number of independent W: the replicates of all errors."""
        return self.totals.draws

    @cached_property
    def estimate(self) -> Estimate:
        """Variance of x @ W, held to the claim, and the error that normal W would have."""
        measured = self.totals.forward
        theory = None if self.claimed is None else self.question.dim * self.claimed
        rounding = FLOAT_TYPES[self.question.dtype].rounding * (theory or measured.variance)
        expected = math.sqrt(_block_error2(self.question) / self.draws)
        return Estimate(
            value=measured.variance,
            std_error=math.hypot(measured.std_error, rounding),
            dof=self.draws - 1,
            claim=theory,
            expected_error=0.0 if theory is None else theory * expected,
        )

    @cached_property
    def back(self) -> Estimate:
        """Variance of g @ Wᵀ, held to the claim; no verdict is about it."""
        return Estimate(
            value=self.totals.backward.variance,
            std_error=self.totals.backward.std_error,
            dof=self.draws - 1,
            claim=None if self.claimed is None else self.question.n * self.claimed,
        )

    @cached_property
    def square(self) -> Estimate:
        """E w² with its error, held to the claim."""
        return Estimate(
            value=self.totals.mean_square,
            std_error=math.sqrt(self.totals.mean_square_m2 / (self.draws * (self.draws - 1))),
            dof=self.draws - 1,
            claim=self.claimed,
        )

    @cached_property
    def shape(self) -> Estimate | None:
        """Kurtosis of the entries with its error; None where they are all equal."""
        known = self.totals.kurtosis
        return known and Estimate(value=known[0], std_error=known[1], dof=self.draws - 1)

    @property
    def met(self) -> bool:
        """Whether all draws were made."""
        return self.draws >= self.draws_asked

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """What a reader should know."""
        return (*self.pooling, *_caveats(self))


def question(
    init: str, dim: int, fan_out: int, seed: int = 0, dtype: str = "float32"
) -> Experiment:
    """Return what is asked of an initializer, checked.

    Raises:
        InputError: A value is not allowed.
    """
    return Experiment(dim=dim, fan_out=fan_out, scale="none", init=init, seed=seed, dtype=dtype)


@dataclass(frozen=True)
class CheckStudy:
    """How the runner checks an initializer: a replicate is a whole W.

    Attributes:
        question: Which initializer, at what shape.
        draws: Number of W.
        confidence: Level of the intervals.
    """

    question: Experiment
    draws: int = 64
    confidence: float = 0.95

    minimum = MIN_DRAWS
    """Replicates that an error bar needs."""

    batch = 1
    """Replicates that are best sampled in one go."""

    def __post_init__(self) -> None:
        """Check the number of draws."""
        object.__setattr__(self, "draws", checked_whole("draws", self.draws, MIN_DRAWS, MAX_DRAWS))

    @property
    def cost(self) -> int:
        """Entries of W that a replicate draws."""
        return self.question.dim * self.question.n

    @property
    def memory(self) -> int:
        """Bytes of arrays that a worker holds, about: W, its entries as float64, and squares."""
        return self.cost * (2 * np.dtype(self.question.dtype).itemsize + 16)

    def prepare(self) -> None:
        """Load and check the initializer, or raise an InputError."""
        verify_initializer(self.question)

    def empty(self) -> CheckTotals:
        """Return the totals of no draws."""
        return CheckTotals()

    def sample(self, index: int) -> Draw:
        """Return what W ``index`` gives."""
        return draw(self.question, index)

    def next_check(self, totals: CheckTotals) -> int | None:
        """Return the number of draws at which to decide next, or None."""
        return self.draws if totals.draws < self.draws else None

    def rows(self, totals: CheckTotals) -> list[InitializerCheck]:
        """Return the row of the totals."""
        e = self.question
        initializer = find(str(e.init))
        claim = initializer.claim
        return [
            InitializerCheck(
                e,
                totals,
                self.draws,
                claim=None if claim is None else claim.formula,
                claimed=None if claim is None else claim.mean_square(e.dim, e.n),
                init_package=initializer.package,
                confidence=self.confidence,
            )
        ]

    def resume(
        self, rows: Sequence[InitializerCheck]
    ) -> tuple[CheckStudy, CheckTotals | None, bool]:
        """Return how to continue from the row of a file.

        It is stale if it is of another package, or of a version whose totals cannot be added to. A
        row that is held to what an earlier version took for the claim is concluded again.
        """
        (row,) = rows
        package = self.question.initializer.package
        done = row.draws >= self.draws
        if row.init_package != package or not (done or row.totals.reference is not None):
            return self, None, False
        (now,) = self.rows(row.totals)
        return self, row.totals, done and (row.claim, row.claimed) == (now.claim, now.claimed)


def draw(asked: Experiment, index: int) -> Draw:
    """Return what W ``index`` gives.

    Raises:
        InputError: The initializer fails, or makes something else.
    """
    made = whole(asked, index)
    rng = generator(asked.key, asked.seed, index, _STREAM_OF_INPUTS)
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
    # Below, an E w⁴ or the spread of an E y² would be 0.
    least = FLOAT_TYPES[asked.dtype].smallest
    w = weights.astype(np.float64).ravel()
    mean, mean_square = float(w.mean()), float(w @ w) / w.size
    if w.any() and mean_square < least**2:
        raise InputError(
            f"{asked.init} makes numbers below {least:g}, where {asked.dtype} is not safe; give "
            "larger arguments"
        )
    w -= mean
    squares = w * w
    powers = (float(w @ w), float(squares @ w), float(squares @ squares))
    second, third, fourth = (power / w.size for power in powers)
    return mean, mean_square, (second, third, fourth)


def _powers(one: Draw, d: float) -> NDArray[np.float64]:
    """Return the means of the first four powers of the entries about a point d below their mean."""
    second, third, fourth = one.central
    return np.array([
        d, second + d**2, third + 3 * d * second + d**3,
        fourth + 4 * d * third + 6 * d**2 * second + d**4,
    ])  # fmt: skip


def _block_error2(asked: Experiment) -> float:
    """Relative variance of the mean square of x @ W over a batch, for independent normal W.

    [2 + (κx κw - 3)/D + (n-1)(κx-1)/D + (r-1)(κw-1)/D] / (r n) with kurtoses of 3.
    """
    shared = 3.0 + (asked.n - 1) + (_ROWS - 1)
    return 2.0 * (1.0 + shared / asked.dim) / (_ROWS * asked.n)


def _caveats(row: InitializerCheck) -> Iterator[Caveat]:
    if not row.met:
        yield Caveat(
            "interrupted", f"the run ended after {row.draws:,} of {row.draws_asked:,} draws"
        )
    if row.agrees is False and row.claimed:
        yield Caveat("initializer", _off_claim(row, row.claimed))
    if row.claim in REMARKS:
        yield Caveat("documented", REMARKS[row.claim])


def _off_claim(row: InitializerCheck, claimed: float) -> str:
    """Return how far off an initializer is, and what it fits: by its entries, which tell most."""
    rounding = FLOAT_TYPES[row.question.dtype].rounding * row.square.value
    square = replace(row.square, std_error=math.hypot(row.square.std_error, rounding))
    ratio, half_width = square.value / claimed, square.half_width(row.confidence) / claimed
    fitting = fitting_schemes(row.question, square.value, square.std_error)
    message = f"E w² is {ratio:.4g} ± {half_width:.2g} times the documented {row.claim}"
    if abs(ratio - truncated_moments(2.0)[0]) <= 2 * half_width:
        message += ", as for a normal cut at two deviations without rescaling"
    return message + (f"; it fits scale {fitting}" if fitting else "")


def _question(values: Mapping[str, Any], is_checked: bool) -> Experiment:  # noqa: ARG001
    return question(*(values[name] for name in ("init", "dim", "fan_out", "seed", "dtype")))


def _built(experiment: Experiment, values: Mapping[str, Any]) -> InitializerCheck:
    totals = values["totals"]
    if len(totals["powers"]) != 4 or list(map(len, totals["comoments"])) != [4] * 4:
        raise ValueError
    if totals["draws"] < 2 or totals["mean_square"] < 0:
        raise InputError("invalid row: too few draws, or a negative variance")
    sides = {side: Totals(**totals[side]) for side in ("forward", "backward")}
    state = {name: values[name] for name in ("claim", "claimed")} | InitializerCheck.state(values)
    return InitializerCheck(
        experiment, CheckTotals(**totals | sides), values["draws_asked"], **state
    )


_OUTPUTS = ("mean", "within", "m2", "m3", "m4", "v2", "mv", "mmv")
_SIDE = f.mapping(blocks=f.whole, **dict.fromkeys(_OUTPUTS, f.number))


def _plain(totals: CheckTotals) -> dict[str, Any]:
    sides = {
        side: {name: getattr(getattr(totals, side), name) for name in ("blocks", *_OUTPUTS)}
        for side in ("forward", "backward")
    }
    lists = {"powers": list(totals.powers), "comoments": list(map(list, totals.comoments))}
    return totals._asdict() | sides | lists


_FORWARD, _BACK = operator.attrgetter("estimate"), operator.attrgetter("back")

_FIELDS = (
    Field("varsim", f.text, "Version of varsim that measured the row."),
    Field("init", f.text, "The initializer, with its arguments.", header="initializer",
          cell=lambda row: row.initializer.short_name, numeric=False, phrase="{}"),
    Field("init_package", f.text, "The package it belongs to, with its version.", optional=True,
          header="package", cell=lambda row: row.initializer.framework, numeric=False),
    Field("dim", f.whole, "D, the fan-in.", header="D", phrase="D = {}", when_varying=True),
    Field("fan_out", f.whole, "n, the fan-out.", lambda r: r.question.n, header="fan-out",
          phrase="fan-out {}", when_varying=True),
    Field("dtype", f.text, "Floating-point type of W and the products.", phrase="{}",
          usual=lambda row: row.dtype == "float32"),
    Field("seed", f.whole, "Root of all random streams.", phrase="seed {}"),
    Field("draws", f.whole, "Number of independent W: the replicates of all errors.",
          derived=True),
    Field("claim", f.text, "E w² as documented, as a formula.", optional=True,
          header="claims E w²", numeric=False, note="E w² is claimed as documented"),
    Field("claimed", f.number, "E w² as documented.", optional=True),
    Field("mean_square", f.number, "E w², measured.", lambda r: r.square.value, derived=True,
          header="std", cell=lambda row: short(math.sqrt(row.square.value)), drop_priority=2,
          note="std is the root mean square of the entries"),
    Field("mean_square_error", f.number, "Its standard error.", lambda r: r.square.std_error,
          derived=True),
    Field("kurtosis", f.number, "E (w - mean)⁴ / Var² of the entries; empty where all are equal.",
          lambda r: r.shape and r.shape.value, optional=True, derived=True, header="kurtosis",
          measured=operator.attrgetter("shape"), interval=True, drop_priority=1),
    Field("kurtosis_error", f.number, "Its standard error.",
          lambda r: r.shape and r.shape.std_error, optional=True, derived=True, tolerance=1e-12),
    Field("forward_theory", f.number, "D E w² by the claim.", lambda r: r.estimate.claim,
          optional=True, derived=True, header="x@W theory", measured=_FORWARD, drop_priority=4),
    Field("forward", f.number, "Variance of x @ W over W and standard normal x, measured.",
          lambda r: r.estimate.value, derived=True, header="x@W ± {level}", measured=_FORWARD,
          interval=True, note="x@W and g@Wᵀ are variances, forward and backward, for standard "
          "normal x and g; the verdict is about x@W"),
    Field("forward_error", f.number, "Its standard error.", lambda r: r.estimate.std_error,
          derived=True),
    Field("backward_theory", f.number, "n E w² by the claim.", lambda r: r.back.claim,
          optional=True, derived=True, header="g@Wᵀ theory", measured=_BACK, drop_priority=0),
    Field("backward", f.number, "Variance of g @ Wᵀ over W and standard normal g, measured.",
          lambda r: r.back.value, derived=True, header="g@Wᵀ ± {level}", drop_priority=3,
          measured=_BACK, interval=True),
    Field("backward_error", f.number, "Its standard error.", lambda r: r.back.std_error,
          derived=True),
    Field("ratio", f.number, "forward over its theory.", lambda r: r.estimate.ratio, optional=True,
          derived=True),
    Field("z", f.number, "Difference of forward from its theory in standard errors.",
          lambda r: r.estimate.z, optional=True, derived=True, tolerance=1e-6),
    Field("p", f.number, "Two-sided probability of so large a difference, of this row alone: by "
          "forward_error, or by the error that normal W would have, if that is larger.",
          lambda r: r.estimate.joint_p, optional=True, derived=True, tolerance=1e-6),
    Field("agrees", f.truth, "The verdict on forward, Holm-adjusted over the table at alpha.",
          optional=True, header="verdict", numeric=False,
          cell=lambda row: "" if row.claimed is None else VERDICTS[row.agrees]),
    CAVEATS,
    Field("confidence", f.number, "Level of the intervals in tables for people."),
    Field("alpha", f.number, "False-alarm rate that all verdicts share.", optional=True),
    Field("key", f.text, "What was measured, without the seed."),
    Field("draws_asked", f.whole, "Number of W that were asked for."),
    Field(
        "totals",
        f.mapping(
            draws=f.whole, forward=_SIDE, backward=_SIDE, mean_square=f.number,
            mean_square_m2=f.number, reference=f.optional(f.number), powers=f.sequence(f.number),
            comoments=f.sequence(f.sequence(f.number)),
        ),
        "The running totals that the measured values follow from, and that can be added to.",
        plain=_plain,
    ),
)  # fmt: skip

CHECKS = Schema(
    "checks of initializers",
    3,
    _FIELDS,
    _question,
    _built,
    marker="mean_square",
    table=("dim", "fan_out", "init_package", "init", "claim", "mean_square", "kurtosis",
           "forward_theory", "forward", "backward_theory", "backward", "agrees"),
    settings=("dtype",),
    named_by=("init", "dim", "fan_out"),
    brief=(("x@W", "forward"), ("theory", "forward_theory"), ("g@Wᵀ", "backward"),
           ("theory", "backward_theory"), ("", "agrees")),
)  # fmt: skip
"""Rows of initializers."""

CHECKS.describe(InitializerCheck, Experiment)

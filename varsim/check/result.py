"""Rows of checks: an initializer's claim and its measured variances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.distributions import truncated_moments
from varsim.check.question import question, sampled_groups
from varsim.check.theory import block_error2
from varsim.check.totals import CheckTotals
from varsim.errors import InputError
from varsim.fields import STATE, Columns, RowBase, Schema
from varsim.fields.rounding import short
from varsim.fields.values import NUMBER, TEXT, WHOLE, ValueType, mapping, optional, sequence
from varsim.initializers import Initializer, Piece, find, share
from varsim.initializers.documented import REMARKS
from varsim.layer.question import Experiment
from varsim.layer.result import fitting_schemes, simple_ratio
from varsim.layer.totals import Totals
from varsim.statistics import Caveat, Estimate

_OUTPUTS = ("mean", "within", "m2", "m3", "m4", "v2", "mv", "mmv")
_SIDE = mapping(blocks=WHOLE, **dict.fromkeys(_OUTPUTS, NUMBER))
_BESIDE = mapping(
    draws=WHOLE, mean_square=NUMBER, mean_square_m2=NUMBER, reference=optional(NUMBER),
    powers=sequence(NUMBER), comoments=sequence(sequence(NUMBER)),
)  # fmt: skip


def _read_totals(value: Any) -> CheckTotals:
    beside = _BESIDE.read(value)
    if len(beside["powers"]) != 4 or list(map(len, beside["comoments"])) != [4] * 4:
        raise ValueError
    forward, backward = (Totals(**_SIDE.read(value[side])) for side in ("forward", "backward"))
    return CheckTotals(forward=forward, backward=backward, **beside)


def _write_totals(totals: CheckTotals) -> object:
    def side(of: Totals) -> dict[str, float]:
        return {name: getattr(of, name) for name in ("blocks", *_OUTPUTS)}

    return {
        "draws": totals.draws,
        "forward": side(totals.forward),
        "backward": side(totals.backward),
        "mean_square": totals.mean_square,
        "mean_square_m2": totals.mean_square_m2,
        "reference": totals.reference,
        "powers": list(totals.powers),
        "comoments": list(map(list, totals.comoments)),
    }


TOTALS: ValueType[CheckTotals] = ValueType(_read_totals, _write_totals)
"""The form of the totals of a check in files."""


class Acts(NamedTuple):
    """How a module's weight acts: see :mod:`varsim.initializers.layouts`.

    Attributes:
        groups: Number of groups.
        backward: n, number of entries that the gradient of an input sums over, with all taps.
        taps: Share of the taps in D that meet an input.
        backward_taps: Share of the taps in n that meet an output.
        bias: The documented E b² that is added to an output.
        sums: What D and n are products of.
    """

    groups: int
    backward: int
    taps: float
    backward_taps: float
    bias: float
    sums: str


def acts(piece: Piece, *, bias: bool) -> Acts:
    """Return how a weight acts, with its bias or without it."""
    forward, backward = map(share, piece.masks)
    return Acts(
        piece.sizes["g"], piece.fan_out, forward, backward, piece.bias if bias else 0.0, piece.sums
    )


_ACTS = mapping(
    groups=WHOLE, backward=WHOLE, taps=NUMBER, backward_taps=NUMBER, bias=NUMBER, sums=TEXT
)

ACTS: ValueType[Acts] = ValueType(
    lambda value: Acts(**_ACTS.read(value)), lambda acts: _ACTS.write(acts._asdict())
)
"""The form of how a weight acts in files."""

_column: Columns[InitializerCheck] = Columns()


def _forward(row: InitializerCheck) -> Estimate:
    return row.estimate


def _back(row: InitializerCheck) -> Estimate:
    return row.back


def _shape(row: InitializerCheck) -> Estimate | None:
    return row.shape


@dataclass(frozen=True, repr=False)
class InitializerCheck(RowBase):
    """The row of an initializer: its question, its totals, and the columns computed from them.

    Attributes:
        question: The initializer and the shape: see :func:`question`.
        totals: The running totals of its W; more W can be added.
        draws_asked: Requested number of W.
        claim: E w² as documented, as a formula; None if unknown.
        claimed: E w² as documented; None if unknown.
        acts: How the weight of a module acts; None for other initializers.
    """

    question: Experiment
    totals: CheckTotals
    draws_asked: int
    _: KW_ONLY
    claim: str | None = None
    claimed: float | None = None
    acts: Acts | None = None

    @property
    def summed(self) -> float:
        """Mean number of inputs that an output sums over."""
        return self.question.dim * (1.0 if self.acts is None else self.acts.taps)

    @property
    def summed_back(self) -> float:
        """Mean number of outputs that the gradient of an input sums over."""
        if self.acts is None:
            return float(self.question.n)
        return self.acts.backward * self.acts.backward_taps

    @property
    def initializer(self) -> Initializer:
        """The initializer."""
        return find(str(self.question.init))

    @cached_property
    def estimate(self) -> Estimate:
        """Variance of x @ W with its claim; the expected error is that of normal W."""
        measured = self.totals.forward
        bias = 0.0 if self.acts is None else self.acts.bias
        theory = None if self.claimed is None else self.summed * self.claimed + bias
        rounding = FLOAT_TYPES[self.question.dtype].rounding * (theory or measured.variance)
        expected = math.sqrt(self._block_error2 / self.totals.draws)
        return Estimate(
            value=measured.variance,
            std_error=math.hypot(measured.std_error, rounding),
            dof=self.totals.draws - 1,
            claim=theory,
            expected_error=0.0 if theory is None else theory * expected,
        )

    @property
    def _block_error2(self) -> float:
        if self.acts is None:
            return block_error2(self.question)
        groups, outputs = self.acts.groups, self.question.n // self.acts.groups
        used = sampled_groups(groups, self.question.dim + outputs)
        return block_error2(self.question, groups=used, outputs=outputs, share=self.acts.taps)

    @cached_property
    def average(self) -> Estimate:
        """Mean of the entries with its error."""
        totals = self.totals
        error = math.sqrt(max(0.0, totals.comoments[0][0]) / (totals.draws * (totals.draws - 1)))
        value = (totals.reference or 0.0) + totals.powers[0]
        return Estimate(value=value, std_error=error, dof=totals.draws - 1)

    @cached_property
    def back(self) -> Estimate:
        """Variance of g @ Wᵀ with its claim; no verdict tests it."""
        return Estimate(
            value=self.totals.backward.variance,
            std_error=self.totals.backward.std_error,
            dof=self.totals.draws - 1,
            claim=None if self.claimed is None else self.summed_back * self.claimed,
        )

    @cached_property
    def square(self) -> Estimate:
        """E w² with its error and its claim."""
        return Estimate(
            value=self.totals.mean_square,
            std_error=math.sqrt(
                self.totals.mean_square_m2 / (self.totals.draws * (self.totals.draws - 1))
            ),
            dof=self.totals.draws - 1,
            claim=self.claimed,
        )

    @cached_property
    def shape(self) -> Estimate | None:
        """Kurtosis of the entries with its error; None if all are equal."""
        known = self.totals.kurtosis
        return known and Estimate(value=known[0], std_error=known[1], dof=self.totals.draws - 1)

    @property
    def replicates(self) -> int:
        """Number of W."""
        return self.totals.draws

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The one estimate that the verdict tests."""
        return (self.estimate,)

    @property
    def met(self) -> bool:
        """Whether all W are drawn."""
        return self.totals.draws >= self.draws_asked

    @cached_property
    def caveats(self) -> tuple[Caveat, ...]:
        """The caveats of the row."""
        return (*self.pooling(), *_caveats(self), *self.weakness("draws"))

    # fmt: off
    init = _column(
        TEXT, "The initializer, with its arguments.", lambda r: str(r.question.init), stored=True,
        header="initializer", cell=lambda r: r.initializer.short_name, numeric=False, phrase="{}")
    _package = _column(
        optional(TEXT), "The package it belongs to, with its version.", lambda r: r.init_package,
        name="init_package", stored=True, header="package", cell=lambda r: r.initializer.framework,
        numeric=False)
    dim = _column(
        WHOLE, "D, the fan-in.", lambda r: r.question.dim, stored=True, header="D", phrase="D = {}",
        when_varying=True, is_default=lambda r: r.acts is not None)
    fan_out = _column(
        WHOLE, "n, the fan-out; for the weight of a module, its number of outputs.",
        lambda r: r.question.n, stored=True, header="fan-out", phrase="fan-out {}",
        when_varying=True, is_default=lambda r: r.acts is not None)
    _acts = _column(
        optional(ACTS), "How the weight of a module acts: groups, n, and taps.", lambda r: r.acts,
        name="acts", stored=True)
    inputs = _column(
        optional(NUMBER), "For the weight of a module: mean number of inputs in an output's sum.",
        lambda r: None if r.acts is None else r.summed, header="D", show=short)
    outputs = _column(
        optional(NUMBER), "The same of outputs in the sum of an input's gradient.",
        lambda r: None if r.acts is None else r.summed_back, header="n", show=short)
    dtype = _column(
        TEXT, "Floating-point type of W and the products.", lambda r: r.question.dtype, stored=True,
        phrase="{}", is_default=lambda r: r.question.dtype == "float32")
    seed = _column(
        WHOLE, "Root of all random streams.", lambda r: r.question.seed, stored=True,
        header="seed",
        phrase="seed {}", when_varying=True)
    _draws_asked = _column(
        WHOLE, "Number of W that were asked for.", lambda r: r.draws_asked, name="draws_asked",
        stored=True)
    draws = _column(
        WHOLE, "Number of independent W: the replicates of all errors.", lambda r: r.totals.draws)
    _claim = _column(
        optional(TEXT), "E w² as documented, as a formula.", lambda r: r.claim, name="claim",
        stored=True, header="claims E w²", numeric=False)
    _claimed = _column(
        optional(NUMBER), "E w² as documented.", lambda r: r.claimed, name="claimed", stored=True)
    mean = _column(
        NUMBER, "Mean of the entries, measured.", lambda r: r.average.value,
        header="mean of W ± {level}", measured=lambda r: r.average, interval=True)
    mean_square = _column(
        NUMBER, "E w², measured.", lambda r: r.square.value, header="std",
        cell=lambda r: short(math.sqrt(r.square.value)), drop_priority=2)
    mean_square_error = _column(NUMBER, "Its standard error.", lambda r: r.square.std_error)
    kurtosis = _column(
        optional(NUMBER), "E (w - mean)⁴ / Var² of the entries; empty where all are equal.",
        lambda r: None if r.shape is None else r.shape.value, header="kurtosis", measured=_shape,
        interval=True, drop_priority=1)
    kurtosis_error = _column(
        optional(NUMBER), "Its standard error.",
        lambda r: None if r.shape is None else r.shape.std_error)
    forward_theory = _column(
        optional(NUMBER), "D E w² by the claim.", lambda r: r.estimate.claim, header="x@W theory",
        measured=_forward, drop_priority=4)
    forward = _column(
        NUMBER, "Variance of x @ W over W and standard normal x, measured.",
        lambda r: r.estimate.value, header="x@W ± {level}", measured=_forward, interval=True)
    forward_error = _column(NUMBER, "Its standard error.", lambda r: r.estimate.std_error)
    backward_theory = _column(
        optional(NUMBER), "n E w² by the claim.", lambda r: r.back.claim, header="g@Wᵀ theory",
        measured=_back, drop_priority=0)
    backward = _column(
        NUMBER, "Variance of g @ Wᵀ over W and standard normal g, measured.",
        lambda r: r.back.value, header="g@Wᵀ ± {level}", drop_priority=3, measured=_back,
        interval=True)
    backward_error = _column(NUMBER, "Its standard error.", lambda r: r.back.std_error)
    ratio = _column(optional(NUMBER), "forward over its theory.", lambda r: r.estimate.ratio)
    z = _column(
        optional(NUMBER), "Difference of forward from its theory in standard errors.",
        lambda r: r.estimate.z)
    p = _column(
        optional(NUMBER),
        "Two-sided probability of a difference at least as large, of this row alone: "
        "by forward_error, or by the error of normal W, if that is larger.",
        lambda r: r.estimate.joint_p)
    _totals = _column(
        TOTALS,
        "The running totals, from which the measured values follow; more W can be added.",
        lambda r: r.totals, name="totals", stored=True)
    # fmt: on


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
    """Return the sentence about a disagreeing initializer: its ratio to the claim, what fits."""
    rounding = FLOAT_TYPES[row.question.dtype].rounding * row.square.value
    square = replace(row.square, std_error=math.hypot(row.square.std_error, rounding))
    ratio, half_width = square.value / claimed, square.half_width(row.confidence) / claimed
    fitting = fitting_schemes(row.question, square.value, square.std_error)
    message = f"E w² is {ratio:.4g} ± {half_width:.2g} times the documented {row.claim}"
    if abs(ratio - truncated_moments(2.0)[0]) <= 2 * half_width:
        message += ", as for a normal cut at two deviations without rescaling"
    message += simple_ratio(ratio, square.std_error / claimed)
    return message + (f"; for this shape it fits scale {fitting}" if fitting else "")


def _built(values: Mapping[str, Any]) -> InitializerCheck:
    asked = question(*(values[name] for name in ("init", "dim", "fan_out", "seed", "dtype")))
    totals: CheckTotals = values["totals"]
    if totals.draws < 2 or totals.mean_square < 0 or totals.reference is None:
        raise InputError("invalid row: too few draws, or a negative variance")
    state = {name: values[name] for name in ("claim", "claimed", "acts", *STATE)}
    return InitializerCheck(asked, totals, values["draws_asked"], **state)


CHECKS = Schema(
    "check",
    "checks of initializers",
    InitializerCheck,
    _built,
    table=("dim", "fan_out", "init_package", "init", "seed", "inputs", "outputs", "claim",
           "mean_square", "kurtosis",
           "forward_theory", "forward", "backward_theory", "backward", "agrees"),
    settings=("dtype",),
    named_by=("init", "dim", "fan_out"),
    brief=(("x@W", "forward"), ("theory", "forward_theory"), ("g@Wᵀ", "backward"),
           ("theory", "backward_theory"), ("", "agrees")),
)  # fmt: skip
"""The fields of the rows of checks."""

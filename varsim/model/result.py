"""Rows of a model, one per module: totals, theory, and the columns computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any

from varsim.catalog import FLOAT_TYPES
from varsim.errors import InputError
from varsim.fields import STATE, Columns, RowBase, Schema
from varsim.fields.rounding import short
from varsim.fields.values import (
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    ValueType,
    mapping,
    optional,
    sequence,
)
from varsim.layer.result import ended_before_check
from varsim.model.question import Model, check_band
from varsim.model.theory import ratio_variance
from varsim.model.totals import Module, ModuleTotals
from varsim.statistics import Caveat, Estimate

_OVERFLOW = "overflow"

BELOW, INSIDE, ABOVE, UNKNOWN = "below", "inside", "above", "not known yet"
"""The places of a variance beside a band."""

HEAVY = 1.0
"""Relative variance between initializations above which a few of them carry the mean."""


def _read_mean(value: Any) -> float:
    return math.nan if value == _OVERFLOW else NUMBER.read(value)


def _write_mean(value: float) -> object:
    return value if math.isfinite(value) else _OVERFLOW


_MEAN = optional(ValueType(_read_mean, _write_mean))

_TOTALS = mapping(inits=WHOLE, **dict.fromkeys(ModuleTotals._fields[1:], _MEAN))

TOTALS: ValueType[ModuleTotals] = ValueType(
    lambda value: ModuleTotals(**_TOTALS.read(value)),
    lambda totals: _TOTALS.write(totals._asdict()),
)
"""The form of the totals of a module in files: null is unknown, and "overflow" not finite."""

_BAND = sequence(NUMBER)

BAND: ValueType[tuple[float, float] | None] = optional(
    ValueType(lambda value: _pair(_BAND.read(value)), list)
)
"""The form of a band of variances in files."""


def _pair(values: tuple[float, ...]) -> tuple[float, float]:
    low, high = values
    return low, high


_column: Columns[ModuleResult] = Columns()


def _forward(row: ModuleResult) -> Estimate | None:
    return row.forward


def _back(row: ModuleResult) -> Estimate | None:
    return row.back


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@dataclass(frozen=True, repr=False)
class ModuleResult(RowBase):
    """The row of one module of a model: its question, totals, and the columns computed from them.

    Attributes:
        question: The model and its inputs.
        number: Place among the modules, in the order of their calls, from 1 on.
        part: The module.
        totals: Running totals of the module.
        modules: Number of modules.
        next_check: Number of initializations at the next decision of the stopping rule; None after
            its last decision.
        between: The band of variances that the module has to be in, or None.
    """

    question: Model
    number: int
    part: Module
    totals: ModuleTotals
    _: KW_ONLY
    modules: int
    next_check: int | None = None
    between: tuple[float, float] | None = None

    @property
    def place(self) -> int:
        """The number of the module."""
        return self.number

    @cached_property
    def forward(self) -> Estimate | None:
        """Variance of y over initializations, inputs and units, with its error.

        E y² - (E y)², which the variance of the mean makes unbiased, and the delta method: a mean m
        and a mean square q move it by q - 2 m E y. The error is that of the first order; where it
        vanishes, since y² is constant, the squared mean's own variance remains, as for a layer.
        """
        t, count = self.totals, self.totals.inits
        of_mean = t.mean_m2 / (count * (count - 1))
        value = t.square - t.mean * t.mean + of_mean
        m2 = t.square_m2 - 4 * t.mean * t.mean_square + 4 * t.mean * t.mean * t.mean_m2
        error = math.sqrt(max(0.0, m2) / (count * (count - 1)) + 2 * of_mean * of_mean)
        return self._estimate(max(0.0, value), error)

    @cached_property
    def back(self) -> Estimate | None:
        """E g² of the gradients at the outputs, with its error; None without gradients.

        Their mean is 0: the cotangent on top has a symmetric law.
        """
        gradient = self.totals.gradient
        if gradient is None:
            return None
        return self._estimate(gradient, self.totals.error(self.totals.gradient_m2))

    @cached_property
    def in_theory(self) -> Estimate | None:
        """The mean of y² over its theory given the inputs, with the claim 1; None without one."""
        ratio = self.totals.ratio
        if ratio is None:
            return None
        error = self.totals.error(self.totals.ratio_m2)
        rounding = FLOAT_TYPES[self.question.dtype].rounding
        expected = math.sqrt(ratio_variance(self.part.type, self.part.shape) / self.totals.inits)
        measured = self._estimate(ratio, math.hypot(error, rounding))
        return measured and replace(measured, claim=1.0, expected_error=expected)

    def _estimate(self, value: float, error: float) -> Estimate | None:
        if not (math.isfinite(value) and math.isfinite(error)):
            return None
        return Estimate(value=value, std_error=error, dof=self.totals.inits - 1)

    @property
    def replicates(self) -> int:
        """Number of initializations."""
        return self.totals.inits

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The estimate that the verdict tests, if there is a theory."""
        return () if self.in_theory is None else (self.in_theory,)

    @property
    def relative_error(self) -> float:
        """The larger relative standard error of forward and backward; 0 if neither is measured."""
        known = (self.forward, self.back)
        return max((each.relative_error for each in known if each is not None), default=0.0)

    @property
    def met(self) -> bool:
        """Whether the precision is reached; without one, whether all initializations are drawn."""
        precision = self.question.precision
        if precision is None:
            return self.totals.inits >= self.question.inits
        return self.relative_error <= precision

    @property
    def is_outside(self) -> bool:
        """Whether a variance is outside the band, beyond its error."""
        return not {BELOW, ABOVE}.isdisjoint((self.forward_band, self.gradient_band))

    @property
    def naive_error(self) -> float | None:
        """The standard error of E y² that one initialization alone shows, as if independent."""
        naive = _finite(self.totals.naive)
        return None if naive is None else math.sqrt(naive)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the mean of y² between initializations."""
        return _finite(math.sqrt(max(0.0, self.totals.square_m2) / (self.totals.inits - 1)))

    @property
    def caveats(self) -> tuple[Caveat, ...]:
        """The caveats of the row."""
        return (*self.pooling(), *_caveats(self), *self.weakness("initializations"))

    # fmt: off
    model = _column(
        TEXT, "The function that builds the model.", lambda r: r.question.model, stored=True,
        phrase="{}")
    _number = _column(
        WHOLE, "Place of the module in the order of calls, from 1 on.", lambda r: r.number,
        name="number", stored=True)
    module = _column(
        TEXT, "Path of the module.", lambda r: r.part.name, stored=True, header="module",
        numeric=False, phrase="{}")
    module_type = _column(
        TEXT, "Its class.", lambda r: r.part.type, stored=True, header="type", numeric=False,
        drop_priority=3)
    output_shape = _column(
        sequence(WHOLE), "Shape of its output y.", lambda r: r.part.shape, stored=True,
        header="output", cell=lambda r: "x".join(map(str, r.part.shape)), numeric=False,
        drop_priority=1)
    _modules = _column(
        WHOLE, "Number of modules of the model.", lambda r: r.modules, name="modules", stored=True)
    input = _column(
        sequence(WHOLE), "Shape of the model's inputs, the batch first.",
        lambda r: r.question.input, stored=True, phrase="input {}",
        show=lambda sizes: "x".join(map(str, sizes)))
    tokens = _column(
        optional(WHOLE), "Number of token ids of the inputs; empty for normal inputs.",
        lambda r: r.question.tokens, stored=True, phrase="{} tokens", show="{:,}".format)
    depth = _column(
        optional(WHOLE), "Depth of the modules; empty for those that call no others.",
        lambda r: r.question.depth, stored=True, phrase="depth {}")
    eval_mode = _column(
        TRUTH, "Whether the model is in evaluation mode.", lambda r: r.question.eval_mode,
        stored=True, phrase="evaluation mode", is_default=lambda r: not r.question.eval_mode)
    dtype = _column(
        TEXT, "Floating-point type of the model.", lambda r: r.question.dtype, stored=True,
        phrase="{}", is_default=lambda r: r.question.dtype == "float32")
    seed = _column(
        WHOLE, "Root of all random streams.", lambda r: r.question.seed, stored=True,
        phrase="seed {}")
    inits_asked = _column(
        WHOLE, "Number of initializations asked for; with a precision, at first.",
        lambda r: r.question.inits, stored=True)
    precision = _column(
        optional(NUMBER), "Relative standard error that was asked for.",
        lambda r: r.question.precision, stored=True)
    inits = _column(
        WHOLE, "Number of independent initializations: the replicates of all errors.",
        lambda r: r.totals.inits)
    mean = _column(
        optional(NUMBER), "Mean of y.", lambda r: _finite(r.totals.mean), header="mean",
        show="{:.2g}".format, drop_priority=2)
    theory = _column(
        optional(NUMBER), "E y² by theory, given the inputs of each initialization; empty where it "
        "is not exact.", lambda r: _finite(r.totals.theory), header="E y² theory",
        measured=_forward, show=short, drop_priority=5)
    square = _column(optional(NUMBER), "Mean of y².", lambda r: _finite(r.totals.square))
    variance = _column(
        optional(NUMBER), "Variance of y over initializations, inputs and units.",
        lambda r: None if r.forward is None else r.forward.value, header="Var[y] ± {level}",
        measured=_forward, interval=True, axis="Var[y]")
    std_error = _column(
        optional(NUMBER), "Standard error of variance, from the spread between initializations.",
        lambda r: None if r.forward is None else r.forward.std_error)
    forward_band = _column(
        optional(TEXT), "Place of variance beside the band: below, inside, above or not known yet; "
        "empty without a band.",
        lambda r: _place(r, r.forward), header="Var[y] is", numeric=False)
    naive = _column(
        optional(NUMBER), "Standard error of the mean of y² that one initialization would claim, "
        "as if its outputs were independent.", lambda r: r.naive_error)
    spread = _column(
        optional(NUMBER), "Standard deviation of the mean of y² between initializations.",
        lambda r: r.deviation)
    input_square = _column(
        optional(NUMBER), "Mean of x² over the inputs of the module.",
        lambda r: _finite(r.totals.input))
    gain = _column(
        optional(NUMBER), "Mean of y² over mean of x².", lambda r: _gain(r.totals),
        header="gain", show="{:.3g}".format, drop_priority=4)
    zeros = _column(
        optional(NUMBER), "Share of outputs that are 0.", lambda r: _finite(r.totals.zeros),
        header="zeros", cell=lambda r: f"{r.totals.zeros:.1%}" if r.totals.zeros > 0.0 else "",
        drop_priority=0)
    gradient = _column(
        optional(NUMBER), "Variance of the gradient at y, from a cotangent of variance 1 on top.",
        lambda r: None if r.back is None else r.back.value, header="Var[∂y] ± {level}",
        measured=_back, interval=True, axis="Var[∂y]")
    gradient_error = _column(
        optional(NUMBER), "Its standard error.",
        lambda r: None if r.back is None else r.back.std_error)
    gradient_band = _column(
        optional(TEXT), "As forward_band.", lambda r: _place(r, r.back),
        header="Var[∂y] is", numeric=False)
    ratio = _column(
        optional(NUMBER), "Mean over initializations of y² over its theory.",
        lambda r: None if r.in_theory is None else r.in_theory.value)
    z = _column(
        optional(NUMBER), "Difference of ratio from 1 in standard errors.",
        lambda r: None if r.in_theory is None else r.in_theory.z)
    p = _column(
        optional(NUMBER), "Two-sided probability of a difference at least as large, of this row "
        "alone: by the measured error, or by that of normal weights, if that is larger.",
        lambda r: None if r.in_theory is None else r.in_theory.joint_p)
    _between = _column(
        BAND, "The band of variances that was asked for.", lambda r: r.between, name="between",
        stored=True)
    _next_check = _column(
        optional(WHOLE), "Number of initializations at which the stopping rule decides next.",
        lambda r: r.next_check, name="next_check", stored=True)
    _totals = _column(
        TOTALS,
        "The running totals, from which the measured values follow; more initializations can be "
        "added.", lambda r: r.totals, name="totals", stored=True)
    # fmt: on


def _gain(totals: ModuleTotals) -> float | None:
    return _finite(totals.square / totals.input) if totals.input else None


def _place(row: ModuleResult, measured: Estimate | None) -> str | None:
    """Return the place of a variance beside the band; None without either."""
    if row.between is None or measured is None:
        return None
    (low, high), (least, most) = row.between, measured.interval(row.confidence)
    if most < low:
        return BELOW
    if least > high:
        return ABOVE
    return INSIDE if low <= least and most <= high else UNKNOWN


def _caveats(row: ModuleResult) -> Iterator[Caveat]:
    question, totals = row.question, row.totals
    lost = [
        name
        for name, estimate, mean in (
            ("outputs", row.forward, totals.square), ("gradients", row.back, totals.gradient),
        )
        if estimate is None and mean is not None
    ]  # fmt: skip
    if lost:
        yield Caveat("overflow", f"{' and '.join(lost)} are not finite in some initializations")
    for what, estimate in (("signals", row.forward), ("gradients", row.back)):
        if estimate is None:
            continue
        spread = totals.inits * estimate.relative_error**2
        if spread > HEAVY:
            yield Caveat(
                f"heavy-{what}",
                f"a few initializations carry the mean of squared {what} (relative variance "
                f"between them {spread:.2g}), so its error is rough",
            )
    if row.agrees is False and row.in_theory is not None:
        half_width = row.in_theory.half_width(row.confidence)
        yield Caveat(
            "weights",
            f"E y² is {row.in_theory.value:.4g} ± {half_width:.2g} times that of weights without a "
            "mean that are uncorrelated, and independent of the inputs",
        )
    if question.precision is None and not row.met:
        yield Caveat(
            "interrupted",
            f"the run ended after {totals.inits:,} of {question.inits:,} initializations",
        )
    if question.precision is not None and row.next_check is not None and row.met:
        yield ended_before_check(totals.inits, row.next_check, "initializations")
    if question.precision is not None and not row.met:
        error = row.relative_error
        needed = totals.inits * (error / question.precision) ** 2
        yield Caveat(
            "precision-unmet",
            f"the relative standard error is {100 * error:.3g}% after {totals.inits:,} "
            f"initializations, not {100 * question.precision:.3g}% as asked; that needs about "
            f"{float(f'{needed:.2g}'):,.0f} initializations",
        )


def _built(values: Mapping[str, Any]) -> ModuleResult:
    names = {"inits": "inits_asked"}
    settings = {n: values[names.get(n, n)] for n in Model.__dataclass_fields__}
    part = Module(values["module"], values["module_type"], values["output_shape"])
    totals: ModuleTotals = values["totals"]
    check_band(values["between"])
    squares = (totals.square, totals.naive, totals.input, totals.theory, totals.ratio,
               totals.gradient, totals.mean_m2, totals.square_m2, totals.ratio_m2,
               totals.gradient_m2)  # fmt: skip
    needed = (totals.mean, totals.square, totals.naive, totals.zeros, *totals.sums)
    if (
        totals.inits < 2
        or any(value is None for value in needed)
        or any(value < 0.0 for value in squares if value is not None)
        or not 1 <= values["number"] <= values["modules"]
        or (values["next_check"] or 0) < 0
    ):
        raise InputError("invalid row: too few initializations, or a value out of range")
    state = {name: values[name] for name in ("modules", "next_check", "between", *STATE)}
    return ModuleResult(Model(**settings), values["number"], part, totals, **state)


MODULES = Schema(
    "model",
    "modules of models",
    ModuleResult,
    _built,
    table=("module", "module_type", "output_shape", "mean", "theory", "variance", "forward_band",
           "gain", "zeros", "gradient", "gradient_band", "agrees"),
    settings=("input", "tokens", "depth", "eval_mode", "dtype"),
    named_by=("model", "module"),
    brief=(("Var[y]", "variance"), ("Var[∂y]", "gradient"), ("", "agrees")),
)  # fmt: skip
"""The fields of a model's rows."""

"""Estimates: measured values with their errors, claims and p-values."""

from __future__ import annotations

import math
from dataclasses import dataclass

from varsim.statistics import student

# The 90 % quantile of the normal distribution.
_POWER_QUANTILE = 1.2815515655446004


@dataclass(frozen=True, slots=True)
class Caveat:
    """A warning about a row; ``id`` is stable, ``message`` is a sentence."""

    id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured value with its error and its claim.

    Attributes:
        value: The measurement.
        std_error: Its standard error, from the spread between replicates.
        dof: Degrees of freedom of that error.
        claim: The prediction to test; None if unknown.
        slack: Relative allowance for the effects that the claim omits.
        expected_error: The standard error by theory; 0 if unknown.
        expected_dof: Degrees of freedom of that error; ``dof`` by default.
    """

    value: float
    std_error: float
    dof: float
    claim: float | None = None
    slack: float = 0.0
    expected_error: float = 0.0
    expected_dof: float | None = None

    def half_width(self, confidence: float) -> float:
        """Return half the width of the confidence interval: Student's t times the error."""
        return student.quantile(confidence, self.dof) * self.std_error

    def rough_half_width(self, confidence: float) -> float:
        """Return :meth:`half_width` without its last digits, which tables do not show."""
        return student.rough_quantile(confidence, self.dof) * self.std_error

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the ends of the confidence interval."""
        half_width = self.half_width(confidence)
        return self.value - half_width, self.value + half_width

    def ratio_interval(self, confidence: float) -> tuple[float, float] | None:
        """Return the ends of the confidence interval of :attr:`ratio`, or None without a claim."""
        if not self.claim:
            return None
        low, high = self.interval(confidence)
        return low / self.claim, high / self.claim

    @property
    def relative_error(self) -> float:
        """The relative standard error; 0 for a value of 0."""
        return self.std_error / self.value if self.value else 0.0

    @property
    def root(self) -> Estimate:
        """The square root of a variance, with its error to first order; it has no claim."""
        value = math.sqrt(max(0.0, self.value))
        error = self.std_error / (2.0 * value) if value else 0.0
        return Estimate(value=value, std_error=error, dof=self.dof)

    @property
    def ratio(self) -> float | None:
        """The value over the claim."""
        return self.value / self.claim if self.claim else None

    @property
    def z(self) -> float | None:
        """The difference from the claim, beyond the allowance, in standard errors."""
        if self.claim is None or not self.std_error:
            return None
        side = 1.0 if self.value >= self.claim else -1.0
        return side * self._beyond(self.claim) / self.std_error + 0.0  # no -0

    @property
    def joint_z(self) -> float | None:
        """:attr:`z` in units of the larger of the measured and the expected error."""
        error = max(self.std_error, self.expected_error)
        return self.z * self.std_error / error + 0.0 if self.z is not None else None

    @property
    def p(self) -> float | None:
        """Two-sided probability of a difference as far beyond the allowance, by Student's t."""
        if self.claim is None or not self.std_error:
            return None
        return self._p(self.claim, self.std_error, self.dof)

    @property
    def joint_p(self) -> float | None:
        """The larger of two p-values, by the measured and by the expected error.

        In few or heavy-tailed samples a value and its measured error are small together, so the
        measured error alone would raise false alarms.
        """
        if self.claim is None:
            return None
        errors = {self.dof: self.std_error}
        dof = self.dof if self.expected_dof is None else self.expected_dof
        errors[dof] = max(errors.get(dof, 0.0), self.expected_error)
        if not any(errors.values()):  # nothing varies
            return 0.0 if self._beyond(self.claim) else 1.0
        return max(self._p(self.claim, error, dof) for dof, error in errors.items() if error)

    def joint_p_up_to(self, limit: float) -> float | None:
        """Return :attr:`joint_p`, or 1 if it is clearly above a limit, at little cost.

        The tail of a normal distribution at the larger error is a lower bound of it.
        """
        error = max(self.std_error, self.expected_error)
        if self.claim is not None and error:
            normal = math.erfc(self._beyond(self.claim) / error / math.sqrt(2.0))
            if normal > 2.0 * limit:
                return 1.0
        return self.joint_p

    def detectable(self, significance: float) -> float | None:
        """Return the least relative excess over the claim that a test shows nine times in ten.

        A true value v = (1 + d) claim is shown if (d - slack) claim exceeds c r v: r is the
        relative error, and c r v the threshold t of the test plus the 90 % quantile of the noise.
        The test takes the larger of the measured error S and the expected one. S / E S has about
        the standard deviation s = 1 / √(2 dof), so that max(S, E S) / E S has about the mean
        1 + s / √(2π) and the variance s² (1/2 - 1/(2π)).

        Args:
            significance: The p-value at which the test rejects the claim.

        Returns:
            d; a deficit of this size is shown at least as often. None without a claim, or if no
            excess of any size would be shown.
        """
        if not self.claim or not self.value:
            return None
        relative = max(self.relative_error, self.expected_error / self.claim)
        if not relative:
            return self.slack
        threshold = student.rough_quantile(1.0 - significance, self.dof)
        spread2 = 1.0 / (2.0 * self.dof)
        mean = threshold * (1.0 + math.sqrt(spread2 / (2.0 * math.pi)))
        noise = math.sqrt(1.0 + threshold**2 * spread2 * (0.5 - 0.5 / math.pi))
        reach = (mean + _POWER_QUANTILE * noise) * relative
        return (self.slack + reach) / (1.0 - reach) if reach < 1.0 else None

    def _p(self, claim: float, error: float, dof: float) -> float:
        return student.two_sided_p(self._beyond(claim) / error, dof)

    def _beyond(self, claim: float) -> float:
        return max(0.0, abs(self.value - claim) - self.slack * claim)

"""Documented values of E w², the mean square of the entries of W.

A name without arguments is the claim for the default arguments; :data:`_RULES` has the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from varsim.catalog.distributions import truncated_moments
from varsim.parsing import Argument, Call, parse_call


@dataclass(frozen=True, slots=True)
class Claim:
    """E w² as documented.

    Attributes:
        formula: E w² as a formula of D (fan-in) and n (fan-out).
        mean_square: Called as ``mean_square(D, n)``; returns E w².
        meaning: The fan and the gain in the formula.
        remark: A note on the formula from the documentation, or empty; claims with the same
            formula have the same remark.
    """

    formula: str
    mean_square: Callable[[int, int], float]
    meaning: str
    remark: str = ""


def constant_claim(value: float, formula: str) -> Claim:
    """Return the claim of a mean square that no shape changes."""
    return Claim(formula, lambda dim, n: value, "whatever the shape: it has no fan")


def _cut(std: float, formula: str) -> Claim:
    """Return the claim for a normal cut at 2 std, with a std documented as that before the cut."""
    left = truncated_moments(2.0)[0]
    remark = (
        f"the variance is {1 - left:.1%} below std² as documented, since std is that of the normal "
        "before it is cut at two deviations"
    )
    meaning = f"{left:.1%} of std² whatever the shape: it is cut at two deviations and has no fan"
    return Claim(formula, lambda dim, n: left * std**2, meaning, remark)


_XAVIER = Claim(
    "2/(D+n)",
    lambda dim, n: 2 / (dim + n),
    "Xavier's: the fan is the mean of fan-in and fan-out, and the gain is 1",
)
_HE = Claim(
    "2/D", lambda dim, n: 2 / dim, "He's for ReLU: the fan is the fan-in, and the gain is √2"
)
_LECUN = Claim("1/D", lambda dim, n: 1 / dim, "LeCun's: the fan is the fan-in, and the gain is 1")
_LINEAR = Claim("1/(3D)", lambda dim, n: 1 / (3 * dim), "the fan is the fan-in, the gain is 1/√3")
_ORTHOGONAL = Claim(
    "1/max(D,n)",
    lambda dim, n: 1 / max(dim, n),
    "the fan is the larger side, since the rows or the columns have length 1",
)
_SPARSE = Claim(
    "(1-ceil(0.1n)/n)·0.01²",
    lambda dim, n: (n - math.ceil(0.1 * n)) / n * 0.01**2,
    "std² times the share of entries that are not 0: it has no fan",
)
_TRUNCATED = _cut(1.0, "0.774")
_ZERO, _ONE = constant_claim(0.0, "0"), constant_claim(1.0, "1")

CLAIMS: dict[str, Claim] = {
    "orthogonal": _ORTHOGONAL,
    "sparse": _SPARSE,
    "truncated_normal": _ONE,
    "trunc_normal": _TRUNCATED,
    "torch.nn.Linear": _LINEAR,
    "torch.nn.init.eye_": _ORTHOGONAL,
    "torch.nn.init.kaiming_normal_": _HE,
    "torch.nn.init.kaiming_uniform_": _HE,
    "torch.nn.init.normal_": _ONE,
    "torch.nn.init.ones_": _ONE,
    "torch.nn.init.orthogonal_": _ORTHOGONAL,
    "torch.nn.init.sparse_(sparsity=0.1)": _SPARSE,
    # "std: the standard deviation of the normal distribution", whose values are redrawn outside
    "torch.nn.init.trunc_normal_": _TRUNCATED,
    "torch.nn.init.uniform_": constant_claim(1 / 3, "1/3"),
    "torch.nn.init.xavier_normal_": _XAVIER,
    "torch.nn.init.xavier_uniform_": _XAVIER,
    "torch.nn.init.zeros_": _ZERO,
    "jax.nn.initializers.glorot_normal": _XAVIER,
    "jax.nn.initializers.glorot_uniform": _XAVIER,
    "jax.nn.initializers.he_normal": _HE,
    "jax.nn.initializers.he_uniform": _HE,
    "jax.nn.initializers.lecun_normal": _LECUN,
    "jax.nn.initializers.lecun_uniform": _LECUN,
    "jax.nn.initializers.normal": constant_claim(0.01**2, "0.01²"),
    "jax.nn.initializers.ones": _ONE,
    "jax.nn.initializers.orthogonal": _ORTHOGONAL,
    # "stddev: optional; the standard deviation of the untruncated distribution"
    "jax.nn.initializers.truncated_normal": _cut(0.01, "0.774·0.01²"),
    "jax.nn.initializers.uniform": constant_claim(0.01**2 / 3, "0.01²/3"),
    'jax.nn.initializers.variance_scaling(distribution="normal", mode="fan_in", scale=1)': _LECUN,
    "jax.nn.initializers.zeros": _ZERO,
    "keras.initializers.Constant": _ZERO,
    "keras.initializers.GlorotNormal": _XAVIER,
    "keras.initializers.GlorotUniform": _XAVIER,
    "keras.initializers.HeNormal": _HE,
    "keras.initializers.HeUniform": _HE,
    "keras.initializers.Identity": _ORTHOGONAL,
    "keras.initializers.LecunNormal": _LECUN,
    "keras.initializers.LecunUniform": _LECUN,
    "keras.initializers.Ones": _ONE,
    "keras.initializers.Orthogonal": _ORTHOGONAL,
    "keras.initializers.RandomNormal": constant_claim(0.05**2, "0.05²"),
    "keras.initializers.RandomUniform": constant_claim(0.05**2 / 3, "0.05²/3"),
    # "stddev: [...] Standard deviation of the random values to generate"
    "keras.initializers.TruncatedNormal": constant_claim(0.05**2, "0.05²"),
    "keras.initializers.VarianceScaling": _LECUN,
    "keras.initializers.Zeros": _ZERO,
}
"""Every claim by name; other initializers are measured without one."""

MEANINGS = {claim.formula: claim.meaning for claim in CLAIMS.values()}
"""The meanings of claims by formula, which is stored in rows; no framework is needed."""

REMARKS = {claim.formula: claim.remark for claim in CLAIMS.values() if claim.remark}
"""The remarks on claims by formula."""


Arguments: TypeAlias = Mapping[str, Argument]

_FANS: dict[str, tuple[str, Callable[[int, int], float]]] = {
    "fan_in": ("D", lambda dim, n: dim),
    "fan_out": ("n", lambda dim, n: n),
    "fan_avg": ("((D+n)/2)", lambda dim, n: (dim + n) / 2),
    "fan_geo_avg": ("√(Dn)", lambda dim, n: math.sqrt(dim * n)),
}


def _number(arguments: Arguments, name: str) -> float:
    """Return an argument; a TypeError if it is no number."""
    value = arguments[name]
    if not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _over_fan(factor: float, mode: str) -> Claim:
    name, fan = _FANS[mode]
    return Claim(
        f"{factor:.6g}/{name}",
        lambda dim, n: factor / fan(dim, n),
        f"the fan is {mode}, and the gain is √{factor:.6g}",
    )


def _square(name: str) -> Callable[[Arguments], Claim]:
    """Return the claim of a standard deviation, beside a mean if there is one."""

    def claim(arguments: Arguments) -> Claim:
        mean = _number(arguments, "mean") if "mean" in arguments else 0.0
        value = _number(arguments, name) ** 2 + mean**2
        return constant_claim(value, f"{value:.6g}")

    return claim


def _between(low: float, high: float) -> Claim:
    value = (low * low + low * high + high * high) / 3
    return constant_claim(value, f"{value:.6g}")


def _kaiming(arguments: Arguments) -> Claim:
    nonlinearity = str(arguments["nonlinearity"])
    if nonlinearity == "leaky_relu":
        gain2 = 2.0 / (1.0 + _number(arguments, "a") ** 2)
    else:
        gain2 = _GAINS2.get(nonlinearity, 1.0)
    return _over_fan(gain2, str(arguments["mode"]))


def _scaled(claim: Claim, name: str) -> Callable[[Arguments], Claim]:
    """Return a claim times the square of an argument."""

    def scaled(arguments: Arguments) -> Claim:
        factor = _number(arguments, name) ** 2
        return Claim(
            f"{factor:.6g}·{claim.formula}",
            lambda dim, n: factor * claim.mean_square(dim, n),
            claim.meaning,
        )

    return scaled


# torch.nn.init.calculate_gain, squared; of linear maps and of sigmoid it is 1.
_GAINS2 = {"relu": 2.0, "tanh": 25 / 9, "selu": 9 / 16}

_RULES: dict[str, Callable[[Arguments], Claim]] = {
    "orthogonal": _scaled(_ORTHOGONAL, "gain"),
    "torch.nn.init.constant_": _square("val"),
    "torch.nn.init.kaiming_normal_": _kaiming,
    "torch.nn.init.kaiming_uniform_": _kaiming,
    "torch.nn.init.normal_": _square("std"),
    "torch.nn.init.orthogonal_": _scaled(_ORTHOGONAL, "gain"),
    "torch.nn.init.uniform_": lambda a: _between(_number(a, "a"), _number(a, "b")),
    "torch.nn.init.xavier_normal_": _scaled(_XAVIER, "gain"),
    "torch.nn.init.xavier_uniform_": _scaled(_XAVIER, "gain"),
    "jax.nn.initializers.constant": _square("value"),
    "jax.nn.initializers.normal": _square("stddev"),
    "jax.nn.initializers.orthogonal": _scaled(_ORTHOGONAL, "scale"),
    "jax.nn.initializers.uniform": lambda a: _between(0.0, _number(a, "scale")),
    "jax.nn.initializers.variance_scaling": lambda a: _over_fan(
        _number(a, "scale"), str(a["mode"])
    ),
    "keras.initializers.Constant": _square("value"),
    "keras.initializers.Identity": _scaled(_ORTHOGONAL, "gain"),
    "keras.initializers.Orthogonal": _scaled(_ORTHOGONAL, "gain"),
    "keras.initializers.RandomNormal": _square("stddev"),
    "keras.initializers.RandomUniform": lambda a: _between(
        _number(a, "minval"), _number(a, "maxval")
    ),
    "keras.initializers.TruncatedNormal": _square("stddev"),
    "keras.initializers.VarianceScaling": lambda a: _over_fan(_number(a, "scale"), str(a["mode"])),
}
"""The claims of initializers for arguments that are not the default ones."""

# Arguments that change what a fan is.
_AXES = {"in_axis", "out_axis", "batch_axis", "input_axes", "output_axes"}


@cache
def _by_call() -> dict[Call, Claim]:
    return {parse_call(text): claim for text, claim in CLAIMS.items()}


def claim(given: Call, arguments: Arguments) -> Claim | None:
    """Return the documented claim of an initializer, or None if it is unknown.

    Args:
        given: The canonical name with the arguments that are not the default ones.
        arguments: All arguments by name, with default ones.
    """
    known = _by_call().get(given)
    rule = _RULES.get(given.name)
    if known is not None or rule is None or not _AXES.isdisjoint(given.options):
        return known
    try:
        return rule(arguments)
    except (KeyError, TypeError):  # an argument that the framework itself refuses
        return None


def names() -> list[str]:
    """Return the full names of all initializers with a claim; loads no framework.

    >>> [name for name in names() if name.endswith("kaiming_normal_")]
    ['torch.nn.init.kaiming_normal_']
    """
    return list(dict.fromkeys(text.partition("(")[0] for text in CLAIMS))

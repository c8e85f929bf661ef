"""Older schemas: how records of earlier versions are brought up to the present ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from varsim.catalog import FLOAT_TYPES
from varsim.errors import InputError
from varsim.fields import UNUSABLE, Schema
from varsim.layer.check import CHECKS, question
from varsim.layer.result import RESULTS
from varsim.stack.network import Network
from varsim.stack.result import LAYERS

Record = Mapping[str, Any]
Numbered = tuple[int, Record]

OLDER: dict[str, tuple[int, ...]] = {
    RESULTS.kind: (3, 4),
    LAYERS.kind: (2, 3, 4),
    CHECKS.kind: (1, 2),
}
"""The numbers of older schemas that can be read, by kind of row."""

_OUTPUTS = ("blocks", "mean", "within", "m2", "m3", "m4", "v2", "mv", "mmv")


def upgraded(schema: Schema[Any], numbered: Sequence[Numbered]) -> list[Numbered]:
    """Return records in the present schema; what older ones lack follows from the rest of them.

    They have no checksum.

    Raises:
        InputError: A record is not one of its schema.
    """
    old = [(n, record) for n, record in numbered if record["schema"] != schema.number]
    if not old:
        return list(numbered)
    try:
        new = dict(_UPGRADES[schema.kind](old))
    except UNUSABLE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"this is not a file of {schema.kind}") from None
    return [(n, new.get(n, record)) for n, record in numbered]


def _renamed(record: Record, number: int) -> dict[str, Any]:
    names = {"x": "x_dist", "w": "w_dist"}
    return {names.get(name, name): value for name, value in record.items()} | {"schema": number}


def _result(record: Record) -> dict[str, Any]:
    if record["schema"] == 4:  # the last without a checksum
        return _renamed(record, RESULTS.number)
    totals = dict(record["totals"])
    totals["next_check"] = totals.pop("look")
    return _renamed(record, RESULTS.number) | {"totals": totals}


def _layers(old: Sequence[Numbered]) -> list[Numbered]:
    """Return layers with the widths of their stack, which are those of its other layers."""
    stacks: dict[Any, list[Numbered]] = {}
    new = [(number, record) for number, record in old if record["schema"] == 4]
    new += [(number, _uncorrelated(record)) for number, record in old if record["schema"] == 3]
    for number, record in old:
        if record["schema"] > 2:
            continue
        name = record["key"], record["seed"], record["networks"]
        stacks.setdefault(name, []).append((number, record))
    new += [row for stack in stacks.values() for row in _stack(stack)]
    return [(number, dict(record) | {"schema": LAYERS.number}) for number, record in new]


_UNKNOWN = ("batch_spread_theory", "correlation_theory", "output_correlation", "chi", "theory_gap")
"""Of layers: what schema 3 does not have."""


def _uncorrelated(record: Record) -> dict[str, Any]:
    """Return a layer of schema 3, which knew nothing of correlations."""
    unknown = dict.fromkeys(_UNKNOWN)
    totals = dict(record["totals"]) | {"product": None}
    new = {"correlation": 0.0, "totals": totals}
    if record["spread_theory"] is not None:  # it was that of one layer's order, and compounds
        new["spread_theory"] = math.expm1(min(record["spread_theory"], 100.0))
    return dict(record) | unknown | new


def _stack(layers: Sequence[Numbered]) -> list[Numbered]:
    by_layer = {record["layer"]: record for _, record in layers}
    number, first = layers[0]
    missing = [place for place in range(1, first["depth"] + 1) if place not in by_layer]
    if missing:
        raise InputError(
            f"line {number} cannot be used: layer {missing[0]} of {first['depth']} of its stack is "
            "missing, and schema 2 needs them all"
        )
    widths = [by_layer[1]["fan_in"], *(by_layer[i]["width"] for i in sorted(by_layer))]
    network = {"widths": widths, "backward": _is_backward(first, tuple(widths))}
    return [(n, _layer(record) | network) for n, record in layers]


def _is_backward(record: Record, widths: tuple[int, ...]) -> bool:
    """Tell whether gradients were followed: the key says so."""
    new = _renamed(record, LAYERS.number)
    names = Network.__dataclass_fields__.keys() & new.keys()
    asked = {name: new[name] for name in names} | {"widths": widths}
    return bool(Network(**asked, backward=True).key == record["key"])


def _layer(record: Record) -> dict[str, Any]:
    count = record["networks"]
    rms = record["rms_activation"]
    totals = {
        "networks": count,
        "square": record["empirical"],
        "activation_square": None if rms is None else rms**2,
        "gradient_square": record["gradient"],
        **{name: record[name] for name in ("mean", "saturated", "dead", "within")},
        "square_m2": _m2(record["empirical"], record["std_error"], count),
        "gradient_m2": _m2(record["gradient"], record["gradient_std_error"], count),
    }
    new = {"networks_asked": count, "precision": None, "median_networks": count}
    new |= {"next_check": None, "totals": totals}
    return _uncorrelated(_renamed(record, LAYERS.number) | new)


def _m2(mean: float | None, std_error: float | None, count: int) -> float | None:
    """Return Σ (q / mean - 1)², from the mean and its standard error."""
    if mean is None or std_error is None:
        return None
    return (std_error / mean) ** 2 * count * (count - 1) if mean else 0.0


def _check(record: Record) -> dict[str, Any]:
    """Return a check with totals that give its values again; they cannot be added to."""
    if record["schema"] == 2:  # the last without a checksum
        return dict(record) | {"schema": CHECKS.number}
    count, square = record["draws"], record["mean_square"]
    theory = record["forward_theory"] or record["forward"]
    rounding = FLOAT_TYPES[record["dtype"]].rounding * theory
    forward_error2 = max(0.0, record["forward_error"] ** 2 - rounding**2)
    kurtosis, error = record["kurtosis"], record["kurtosis_error"]
    powers = [0.0, square, 0.0, (kurtosis or 0.0) * square**2]
    if kurtosis is None:  # all entries are equal
        powers = [square ** (power / 2) for power in range(1, 5)]
    comoments = [[0.0] * 4 for _ in range(4)]
    comoments[3][3] = ((error or 0.0) * square**2) ** 2 * count * (count - 1)
    asked = question(*(record[name] for name in ("init", "dim", "fan_out", "seed", "dtype")))
    totals = {
        "draws": count,
        "forward": _side(record["forward"], forward_error2, count),
        "backward": _side(record["backward"], record["backward_error"] ** 2, count),
        "mean_square": square,
        "mean_square_m2": record["mean_square_error"] ** 2 * count * (count - 1),
        "reference": None,
        "powers": powers,
        "comoments": comoments,
    }
    new = {"key": asked.key, "draws_asked": count, "totals": totals}
    return dict(record) | {"schema": CHECKS.number} | new


def _side(variance: float, error2: float, count: int) -> dict[str, Any]:
    """Return totals of outputs that have a variance and its squared error."""
    known = {"blocks": count, "within": variance, "v2": error2 * count * (count - 1)}
    return dict.fromkeys(_OUTPUTS, 0.0) | known


_UPGRADES: dict[str, Callable[[Sequence[Numbered]], list[Numbered]]] = {
    RESULTS.kind: lambda old: [(number, _result(record)) for number, record in old],
    LAYERS.kind: _layers,
    CHECKS.kind: lambda old: [(number, _check(record)) for number, record in old],
}

"""Results as a sheet: which columns a table of results has, and what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from varsim.catalog.designs import DESIGNS
from varsim.catalog.scales import find_scale
from varsim.layer.experiment import Experiment, Result
from varsim.layer.records import record_of
from varsim.report.rounding import rounded, significant, with_error
from varsim.report.table import Column, Sheet

VERDICTS = {True: "agrees", False: "DISAGREES", None: "pending"}
"""How a verdict reads; None is one that other rows can still change."""

_SETTINGS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "init": ("init", "init {}", lambda init: init or ""),
    "fan_out": ("fan-out", "fan-out {}", str),
    "gain": ("gain", "gain {}", lambda gain: "" if gain is None else significant(gain)),
    "x": ("x", "x {}", str),
    "w": ("W", "W {}", str),
    "x_mean": ("x mean", "x mean {}", significant),
    "x_std": ("x std", "x std {}", significant),
    "w_mean": ("W mean", "W mean {}", significant),
    "w_std": ("W std", "W std {}", significant),
    "design": ("design", "{}", str),
    "dtype": ("dtype", "{}", str),
}
"""Settings with a column where they vary and a place in the caption where they do not."""

_ALWAYS_NAMED = ("init", "x", "w", "design", "dtype")
_DEFAULTS = {"x_mean": 0.0, "x_std": 1.0, "w_mean": 0.0, "w_std": 1.0}


def results_sheet(results: Sequence[Result], remarks: Sequence[str] = ()) -> Sheet:
    """Return results as a table: theory against measurement, row by row.

    Args:
        results: The rows.
        remarks: Further sentences of the caption.
    """
    return Sheet(
        [*setting_columns(results), *_measured_columns(results)],
        [*_caption(results), *remarks],
        list(map(record_of, results)),
        list(caveat_sentences(results)),
    )


def caveat_sentences(results: Sequence[Result], most: int = 3) -> Iterator[str]:
    """Yield what a reader of the table should know: the first caveats of each kind, by row."""
    kinds: dict[str, list[str]] = {}
    for result in results:
        for caveat in result.caveats:
            row = f"D = {result.dim}, scale {result.scale}"
            row += f", init {result.init}: " if result.init else ": "
            kinds.setdefault(caveat.id, []).append(row + caveat.message + ".")
    for kind, sentences in kinds.items():
        yield from sentences[:most]
        if len(sentences) > most:
            yield f"{len(sentences) - most} more rows have a caveat {kind}; --format csv has all."


def setting_columns(rows: Sequence[Result] | Sequence[Experiment]) -> list[Column]:
    """Return the columns that tell rows apart: D, scale, and whatever else varies."""
    columns = [
        Column("D", [str(row.dim) for row in rows]),
        Column("scale", [row.scale for row in rows], numeric=False),
    ]
    for name in _varying(rows):
        header, _, text = _SETTINGS[name]
        numeric = name not in _ALWAYS_NAMED
        cells = ["" if value is None else text(value) for value in _of_each(name, rows)]
        columns.append(Column(header, cells, numeric))
    return columns


def settings_sentence(rows: Sequence[Result] | Sequence[Experiment]) -> str:
    """Return the settings that all rows share and that are worth a word, and the seeds."""
    return ", ".join([*shared_settings(rows), seeds(rows)])


def shared_settings(rows: Sequence[Result] | Sequence[Experiment]) -> list[str]:
    """Return the settings, but for the seed, that all rows share and that are worth a word."""
    shared = []
    for name, (_, phrase, text) in _SETTINGS.items():
        values = _values(name, rows)
        if len(values) == 1 and (name in _ALWAYS_NAMED or values != {_DEFAULTS.get(name)}):
            shared.append(phrase.format(text(values.pop())))
    return shared


def seeds(rows: Sequence[Result] | Sequence[Experiment]) -> str:
    """Return the seeds of rows, in words."""
    return "seed " + ", ".join(map(str, sorted({row.seed for row in rows})))


def row_name(row: Result) -> str:
    """Return what a row is called in a sentence: D, scale, and each setting that is not usual."""
    phrases = [
        phrase.format(text(value))
        for name, (_, phrase, text) in _SETTINGS.items()
        for value in _values(name, [row]) - {getattr(Experiment, name)}
    ]
    return ", ".join([f"D = {row.dim}", f"scale {row.scale}", *phrases])


def span(values: Sequence[int]) -> str:
    """Return a count, or the range of counts, with thousands separated.

    >>> span([1000, 1000]), span([64, 1000])
    ('1,000', '64 to 1,000')
    """
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _values(name: str, rows: Sequence[Result] | Sequence[Experiment]) -> set[Any]:
    """Return the distinct values of a setting, without those that only follow another column."""
    if name == "fan_out":
        usual = all(row.fan_out in (None, row.dim) for row in rows)
        return set() if usual else {row.fan_out or row.dim for row in rows}
    if name == "gain":
        usual = all(row.gain in (None, find_scale(row.scale).gain) for row in rows)
        return set() if usual else {row.gain for row in rows if row.gain is not None}
    return set(_of_each(name, rows)) - {None}


def _of_each(name: str, rows: Sequence[Result] | Sequence[Experiment]) -> list[Any]:
    """Return a setting of every row; None where it has none, as W has with an initializer."""
    unused = name in ("w", "w_mean", "w_std")
    return [None if unused and row.init is not None else getattr(row, name) for row in rows]


def _varying(rows: Sequence[Result] | Sequence[Experiment]) -> list[str]:
    return [
        name
        for name in _SETTINGS
        if len(_values(name, rows)) > 1 or (name == "init" and len({r.init for r in rows}) > 1)
    ]


def _measured_columns(results: Sequence[Result]) -> Iterator[Column]:
    level = f"{100 * results[0].confidence:.12g}%"
    yield Column("k", [significant(r.k) for r in results], dispensable=0)
    yield Column("theory", [significant(r.theory) for r in results])
    if any(r.conditional_theory is not None for r in results):
        yield Column("given x", [_optional(significant, r.conditional_theory) for r in results])
    half_widths = [(r.ci_high - r.ci_low) / 2 for r in results]
    yield Column(
        f"empirical ± {level}",
        [with_error(r.empirical, h) for r, h in zip(results, half_widths, strict=True)],
    )
    yield Column("ratio", [_ratio(r) for r in results], dispensable=1)
    yield Column("z", [_optional("{:+.2f}".format, r.z) for r in results], dispensable=2)
    yield Column("verdict", [VERDICTS[r.agrees] for r in results], numeric=False)


def _ratio(result: Result) -> str:
    if result.ratio is None:
        return ""
    half_width = (result.ci_high - result.ci_low) / 2
    held_to = result.theory if result.conditional_theory is None else result.conditional_theory
    return rounded(result.ratio, half_width / held_to)


def _optional(text: Callable[[float], str], value: float | None) -> str:
    return "" if value is None else text(value)


def _caption(results: Sequence[Result]) -> list[str]:
    samples = span([r.samples for r in results])
    blocks = span([r.blocks for r in results])
    targets = sorted({r.precision for r in results if r.precision is not None})
    aim = ", to " + " and ".join(f"{100 * t:g}%" for t in targets) if targets else ""
    first = f"{samples} outputs in {blocks} blocks a row{aim}; {settings_sentence(results)}."
    if any(DESIGNS[r.design].fixed_x for r in results):
        first += ' The verdict on a fixed x is about the column "given x".'
    alpha = results[0].alpha
    if alpha is None:
        return [first]
    return [first, f"Verdicts share a false-alarm rate of {alpha:g} (Holm)."]

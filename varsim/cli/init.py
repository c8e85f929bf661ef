"""The command ``varsim init``: initializers beside their documentation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import options as common
from varsim.cli.options import HOW, MeasuringOptions, Values, option, single, swept
from varsim.cli.usage import GroupedCommand
from varsim.compute import lazy
from varsim.errors import InputError
from varsim.parsing import split_calls
from varsim.settings import CHECK, SPATIAL
from varsim.usercode import stdout_to_stderr

if TYPE_CHECKING:
    from varsim import initializers
    from varsim.check import kind, question, result, study
    from varsim.check.study import CheckStudy
    from varsim.cli import session
    from varsim.compute import provenance
    from varsim.layer.question import Experiment
else:
    session, kind = lazy("varsim.cli.session"), lazy("varsim.check.kind")
    question, result = lazy("varsim.check.question"), lazy("varsim.check.result")
    study = lazy("varsim.check.study")
    initializers = lazy("varsim.initializers")
    provenance = lazy("varsim.compute.provenance")

_EXAMPLES = [
    ("varsim init --dim 512 --fan-out 256", "Every initializer of every installed framework."),
    ("varsim init torch.nn.init.xavier_normal_ keras.initializers.HeNormal", "Some of them."),
    ("varsim init mypackage.layers:init --format json", "One of your own."),
]

_WHAT = "What is asked"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CheckOptions(MeasuringOptions):
    """Values of the options of ``varsim init``."""

    names: Sequence[str]
    dim: Sequence[int]
    fan_out: Sequence[int]
    seed: Sequence[int]
    input: tuple[int, ...] | None
    draws: int


@click.command(
    "init",
    cls=GroupedCommand,
    examples=_EXAMPLES,
    essential=("dim", "fan_out", "draws", "seed", "output", "check"),
)
@click.argument("names", nargs=-1, metavar="[NAME ...]",
                shell_complete=common.complete_initializer)  # fmt: skip
@swept(CHECK["dim"], "-d", group=_WHAT, metavar="D",
       help="Fan-in: rows of W; takes lists and ranges.  [default: 512]")  # fmt: skip
@swept(CHECK["fan_out"], group=_WHAT, metavar="N",
       help="Fan-out: columns of W.  [default: D]")  # fmt: skip
@option("--input", type=Values(SPATIAL), group=_WHAT, metavar="SIZES",
        help="Sizes of a convolution's input, such as 12x12: zeros around it are then counted.  "
        "[default: far from its borders]")  # fmt: skip
@single(CHECK["draws"], default=64, show_default=True, group=HOW, metavar="N",
        help="Independent W per initializer: the replicates of every error bar.")  # fmt: skip
@common.measuring
@common.view(lambda: result.CHECKS.names)
@common.explain
@common.check(help="Exit with 3 if a verdict disagrees.")
@common.quiet
def command(**given: Any) -> int:
    """Compare initializers with their documentation.

    Measures every initializer of the installed frameworks, or those with a NAME, written as for
    --init. Prints the documented E w², the kurtosis of the entries, and the variances of x @ W and
    of g @ Wᵀ.
    """
    return check_initializers(CheckOptions(**given))


def check_initializers(options: CheckOptions) -> int:
    """Check initializers; return the exit code.

    Those that are named have to work; of all that are installed, unusable ones are skipped.
    """
    measuring = session.Session.of(kind.CHECK, options)
    names = list(chain.from_iterable(map(split_calls, options.names)))
    shapes = _shapes(options)
    seeds = options.seed or [0]
    for shape, seed in itertools.product([] if names else shapes, seeds):
        # It allows every shape, so this refuses a wrong one once, and a wrong number of draws.
        study.CheckStudy(_question("trunc_normal", shape, seed, options), options.draws)
    studies: dict[tuple[str, int], CheckStudy] = {}
    skipped: dict[str, str] = {}
    with stdout_to_stderr():
        if not names:
            skipped = {
                n: f"{n} cannot be loaded ({why})" for n, why in initializers.unloadable().items()
            }
        every = names or initializers.installed()
        for shape, name, seed in itertools.product(shapes, every, seeds):
            try:
                asked = _questions(name, shape, seed, options)
            except InputError as error:
                if names:
                    raise
                skipped.setdefault(name, error.reason)
                continue
            for each in asked:
                checked = study.CheckStudy(each, options.draws, options.confidence)
                studies.setdefault((each.key, seed), checked)
    notes = [] if names else [_installed_frameworks_note()]
    return measuring.run(list(studies.values()), notes, None if names else skipped)


def _shapes(options: CheckOptions) -> list[tuple[int, int]]:
    dims = options.dim or [512]
    if not options.fan_out:
        return [(dim, dim) for dim in dims]
    return list(itertools.product(dims, options.fan_out))


def _questions(
    name: str, shape: tuple[int, int], seed: int, options: CheckOptions
) -> list[Experiment]:
    """Return the question of an initializer, or those of all weights of a module."""
    dim, fan_out = shape
    text = name.replace("{dim}", str(dim)).replace("{fan_out}", str(fan_out))
    weights = initializers.weights(text, initializers.OpenSizes(options.input, dim))
    if weights is None:
        return [_question(text, shape, seed, options)]
    return [_question(w.text, (w.piece.dim, w.piece.columns), seed, options) for w in weights]


def _question(name: str, shape: tuple[int, int], seed: int, options: CheckOptions) -> Experiment:
    return question.question(name, *shape, seed=seed, dtype=options.dtype)


def _installed_frameworks_note() -> str:
    """Return a sentence on the installed frameworks; none of them is loaded for it."""
    installed = provenance.frameworks()
    versions = ", ".join(f"{name} {version}" for name, version in installed.items())
    missing = ", ".join(name for name in provenance.FRAMEWORKS if name not in installed)
    return f"Found: {versions or 'no framework'}{missing and f'; not installed: {missing}'}."

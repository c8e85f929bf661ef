"""The command ``varsim model``: a network of a user, module by module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import options as common
from varsim.cli.options import HOW, MeasuringOptions, option, single
from varsim.cli.usage import GroupedCommand
from varsim.compute import lazy
from varsim.errors import InputError
from varsim.settings import MODEL

if TYPE_CHECKING:
    from varsim.cli import session
    from varsim.model import kind, question, result, study
else:
    session = lazy("varsim.cli.session")
    kind, question = lazy("varsim.model.kind"), lazy("varsim.model.question")
    result, study = lazy("varsim.model.result"), lazy("varsim.model.study")

_EXAMPLES = [
    ("varsim model mypackage.net:make_model --input 16x3x32x32", "Every module of a network."),
    ("varsim model mypackage.net:make_model --input 8x128 --tokens 50257", "A language model."),
    (
        "varsim model mypackage.net:make_model --input 16x3x32x32 --between 0.1:10 --check",
        "A test: no module loses or blows up signals or gradients.",
    ),
]

_WHAT = "What is asked"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModelOptions(MeasuringOptions):
    """Values of the options of ``varsim model``."""

    model: str
    input: tuple[int, ...] | None
    tokens: int | None
    depth: int | None
    eval: bool
    inits: int
    between: tuple[float, float] | None
    seed: Sequence[int]


@click.command(
    "model",
    cls=GroupedCommand,
    examples=_EXAMPLES,
    essential=("input", "tokens", "between", "inits", "output", "check"),
)
@click.argument("model", metavar="MODULE:FUNCTION")
@single(MODEL["input"], group=_WHAT, metavar="SHAPE",
        help="Shape of the inputs, the batch first, such as 16x3x32x32; they are standard "
        "normal.")  # fmt: skip
@single(MODEL["tokens"], group=_WHAT, metavar="N",
        help="Inputs are token ids below N, all equally likely.")  # fmt: skip
@single(MODEL["depth"], group=_WHAT, metavar="N",
        help="Rows are the modules at this depth, such as 1 for blocks.  [default: modules that "
        "call no others]")  # fmt: skip
@option("--eval", is_flag=True, group=_WHAT,
        help="Measure in evaluation mode; else the model stays as it is built.")  # fmt: skip
@single(MODEL["inits"], default=64, show_default=True, group=HOW, metavar="N",
        help="Independent initializations: the replicates of every error bar.")  # fmt: skip
@common.precision(
        help="Add initializations until every module has this relative error.")  # fmt: skip
@common.max_time(help="With --precision: cap the run at this time, such as 90s or 5m.")
@single(MODEL["between"], group="How it is judged", metavar="LOW:HIGH",
        help="The band that every variance has to be in, forward and backward, such as "
        "0.1:10.")  # fmt: skip
@common.measuring
@common.view(lambda: result.MODULES.names)
@common.explain
@common.check(help="Exit with 3 if a verdict disagrees, or if a variance is outside the band.")
@common.quiet
def command(**given: Any) -> int:
    """Follow signals and gradients through a network of yours, at initialization.

    FUNCTION takes nothing and returns a torch.nn.Module. Builds it anew for every replicate, sends
    random inputs forward and random cotangents backward. Prints the variance of every module's
    outputs and of their gradients, and theory where it is exact.
    """
    return measure_model(ModelOptions(**given))


def measure_model(options: ModelOptions) -> int:
    """Measure a model; return the exit code."""
    common.check_cap("--max-time", options.max_time, options.precision)
    measuring = session.Session.of(kind.MODEL, options)
    if options.input is None:
        raise InputError(
            "the shape of the inputs is missing; give it, the batch first, as in --input 16x3x32x32"
        )
    models = [
        question.Model(
            model=options.model, input=options.input, tokens=options.tokens, depth=options.depth,
            eval_mode=options.eval, inits=options.inits, precision=options.precision, seed=seed,
            dtype=options.dtype,
        )
        for seed in dict.fromkeys(options.seed or [0])
    ]  # fmt: skip
    studies = [study.ModelStudy(each, options.confidence, options.between) for each in models]
    return measuring.run(studies, ())

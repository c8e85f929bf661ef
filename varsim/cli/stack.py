"""The command ``varsim layers``: a deep stack, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import options as common
from varsim.cli.options import HOW, MeasuringOptions, Values, option, single, swept
from varsim.cli.usage import GroupedCommand
from varsim.compute import lazy
from varsim.errors import InputError
from varsim.settings import COUNT, STACK, WHOLE_NUMBERS, one_stack, questions
from varsim.usercode import stdout_to_stderr

if TYPE_CHECKING:
    from varsim.cli import session
    from varsim.stack import kind, question, result, study, theory
else:
    session = lazy("varsim.cli.session")
    kind, question = lazy("varsim.stack.kind"), lazy("varsim.stack.question")
    result, study = lazy("varsim.stack.result"), lazy("varsim.stack.study")
    theory = lazy("varsim.stack.theory")

_EXAMPLES = [
    ("varsim layers --activation tanh --scale xavier --gain 1,5/3", "Does tanh need a gain?"),
    ("varsim layers -a relu -s xavier,he --depth 50", "Why does ReLU need He's scheme?"),
    ("varsim layers --widths 784,512,512,10 -a gelu -s lecun -g gelu", "A network of your own."),
    ("varsim layers -a gelu --norm layer --residual gpt2", "A transformer's stream."),
]

_WHAT = "What is stacked (these sweep)"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StackOptions(MeasuringOptions):
    """Values of the options of ``varsim layers``."""

    widths: Sequence[int] | None
    batch: int
    networks: int
    max_networks: int | None
    no_backward: bool
    infinite_width: bool


@click.command(
    "layers",
    cls=GroupedCommand,
    examples=_EXAMPLES,
    essential=("width", "depth", "activation", "scale", "gain", "output"),
)
@swept(STACK["width"], group=_WHAT, metavar="N",
       help="Width of the input and of all layers.  [default: 512]")  # fmt: skip
@swept(STACK["depth"], group=_WHAT, metavar="L",
       help="Number of layers.  [default: 20]")  # fmt: skip
@single(STACK["widths"], type=Values(WHOLE_NUMBERS, several=True), group=_WHAT, metavar="LIST",
        help="Instead of --width and --depth: the input's width, then every layer's.")  # fmt: skip
@swept(STACK["activation"], "-a", group=_WHAT, metavar="PHI",
       help="Activation: a name listed by varsim gains, with a parameter as in leaky_relu(0.2), or "
       "module:function.  [default: tanh]")  # fmt: skip
@common.scale(group=_WHAT,
       help="Divisor of every W, as for varsim itself.  [default: xavier]")  # fmt: skip
@common.gain(group=_WHAT,
       help="Gain of the schemes that have one: a number, 5/3, an activation's name, or "
       "torch:tanh.  [default: √2 for he and he-fan-out, else 1]")  # fmt: skip
@swept(STACK["bias_std"], group=_WHAT, metavar="S",
       help="Standard deviation of normal biases.  [default: 0]")  # fmt: skip
@swept(STACK["norm"], group=_WHAT, metavar="NORM",
       help="Normalisation before the activation: none, batch, layer or rms.  "
       "[default: none]")  # fmt: skip
@swept(STACK["residual"], group=_WHAT, metavar="[S]", is_flag=False, flag_value="1",
       help="Add every layer, times S, to a residual stream: a number, or gpt2 for 1/√(2L).  "
       "[default without a number: 1]")  # fmt: skip
@common.x_dist(group=_WHAT, help="Distribution of the inputs.  [default: normal]")
@swept(STACK["correlation"], group=_WHAT, metavar="C",
       help="Correlation of any two inputs of a batch, from 0 to 1; also shows it in every layer.  "
       "[default: 0]")  # fmt: skip
@common.w_dist(group=_WHAT, help="Distribution of the weights.  [default: normal]")
@common.init(group=_WHAT,
       help="Take every W from an initializer, undivided, and compare it with the scheme, as "
       "varsim itself does.")  # fmt: skip
@single(STACK["batch"], default=64, show_default=True, group=HOW, metavar="N",
        help="Inputs per network.")  # fmt: skip
@single(STACK["networks"], default=64, show_default=True, group=HOW, metavar="N",
        help="Independent networks: the replicates of every error bar.")  # fmt: skip
@common.precision(
        help="Add networks until every layer has this relative standard error.")  # fmt: skip
@option("--max-networks", type=Values(COUNT), group=HOW, metavar="N",
        help="With --precision: cap each stack at N networks.  [default: 100,000]")  # fmt: skip
@common.max_time(
        help="With --precision: cap each stack at this time, such as 90s, 5m or 1h30m, but not "
        "before its first 8 networks.")  # fmt: skip
@option("--no-backward", is_flag=True, group=HOW, help="Do not follow gradients.")
@option("--infinite-width", is_flag=True, group=HOW,
        help="Leave out the correction of theory for finite width.")  # fmt: skip
@common.measuring
@common.view(lambda: result.LAYERS.names)
@common.histogram(
        help="Count φ(h) of every layer, for machine formats and varsim plot.")  # fmt: skip
@common.explain
@common.check(help="Exit with 3 if a verdict disagrees.")
@common.quiet
def command(**given: Any) -> int:
    """Follow signals and gradients through a deep stack.

    Samples independent networks h₁ = x W₁, h_{l+1} = φ(h_l) W_{l+1}. Pushes a batch of inputs
    forward and random cotangents backward. Prints their variances layer by layer, beside theory.
    """
    return measure_stack(StackOptions.of(given, STACK))


def measure_stack(options: StackOptions) -> int:
    """Measure deep stacks; return the exit code."""
    common.check_cap("--max-time", options.max_time, options.precision)
    common.check_cap("--max-networks", options.max_networks, options.precision)
    measuring = session.Session.of(kind.STACK, options)
    swept = options.swept
    if options.widths:
        if swept["width"] or swept["depth"]:
            raise InputError("--widths names every layer; leave --width and --depth out")
        swept = {**swept, **one_stack(options.widths)}
    fixed = {
        "batch": options.batch, "networks": options.networks, "precision": options.precision,
        "backward": not options.no_backward, "dtype": options.dtype,
    }  # fmt: skip
    networks, notes = questions(STACK, swept, fixed, question.network)
    most = _max_networks(options)
    studies = [
        study.StackStudy(n, options.confidence, options.histogram, options.infinite_width, most)
        for n in networks
    ]
    with stdout_to_stderr():
        for n in networks:
            if ":" in n.activation:  # theory may refuse a user's function: before any sampling
                theory.predict(n)
    return measuring.run(studies, notes)


def _max_networks(options: StackOptions) -> int:
    most = options.max_networks
    if most is None:
        return question.MAX_NETWORKS
    if not options.networks <= most <= question.MAX_NETWORKS:
        raise InputError(
            f"--max-networks is {most:,}; give a number from --networks, {options.networks:,}, "
            f"to {question.MAX_NETWORKS:,}"
        )
    return most

"""The command ``varsim layers``: deep stacks, layer by layer."""

from __future__ import annotations

from typing import Any

import click

from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import ALIASES, SCALES
from varsim.cli import options as common
from varsim.cli.help import GroupedCommand
from varsim.cli.options import HOW, OUT, option, swept
from varsim.cli.types import (
    Count,
    GainValues,
    Initializers,
    Names,
    Numbers,
    Residuals,
    Scales,
    Share,
    WholeNumbers,
)
from varsim.compute.lazy import lazy

run = lazy("varsim.cli.run")

_EXAMPLES = [
    ("varsim layers --activation tanh --scale xavier --gain 1,5/3", "Does tanh need a gain?"),
    ("varsim layers -a relu -s xavier,he --depth 50", "Why ReLU has He's scheme."),
    ("varsim layers --widths 784,512,512,10 -a gelu -s lecun -g gelu", "A network of your own."),
    ("varsim layers -a gelu --norm layer --residual gpt2", "A transformer's stream."),
]

_WHAT = "What is stacked (these sweep)"
_NORMS = ("none", "batch", "layer", "rms")


@click.command("layers", cls=GroupedCommand, examples=_EXAMPLES)
@swept("--width", type=WholeNumbers(), group=_WHAT, metavar="N",
       help="Width of the input and of all layers.  [default: 512]")  # fmt: skip
@swept("--depth", type=WholeNumbers(), group=_WHAT, metavar="L",
       help="Number of layers.  [default: 20]")  # fmt: skip
@option("--widths", type=WholeNumbers(), group=_WHAT, metavar="LIST",
        help="Instead of width and depth: the input's width, then every layer's.")  # fmt: skip
@swept("-a", "--activation", type=Names([]), group=_WHAT, metavar="PHI",
       help="A name that varsim gains lists, one with its parameter like leaky_relu(0.2), or "
       "module:function.  [default: tanh]")  # fmt: skip
@swept("-s", "--scale", type=Scales([*SCALES, *ALIASES]), group=_WHAT, metavar="SCHEME",
       help="What every W is divided by, as for varsim itself.  [default: xavier]")  # fmt: skip
@swept("-g", "--gain", type=GainValues(), group=_WHAT, metavar="G",
       help="Gain of the schemes that have one: a number, 5/3, an activation's name, or "
       "torch:tanh.  [default: √2 for he and he-fan-out, else 1]")  # fmt: skip
@swept("--bias-std", type=Numbers(), group=_WHAT, metavar="S",
       help="Standard deviation of normal biases.  [default: 0]")  # fmt: skip
@swept("--norm", type=Names(_NORMS), group=_WHAT, metavar="NORM",
       help="What is normalised before the activation: none, batch, layer or rms.  "
       "[default: none]")  # fmt: skip
@swept("--residual", type=Residuals(), group=_WHAT, metavar="[S]", is_flag=False, flag_value="1",
       help="Add layers to a stream, each times S: a number, or gpt2 for 1/√(2L).  "
       "[default without a number: 1]")  # fmt: skip
@swept("-x", "--x-dist", type=Names(DISTRIBUTIONS), group=_WHAT, metavar="DIST",
       help="Distribution of the inputs.  [default: normal]")  # fmt: skip
@swept("-w", "--w-dist", type=Names(n for n, d in DISTRIBUTIONS.items() if d.for_weights),
       group=_WHAT, metavar="DIST",
       help="Distribution of the weights.  [default: normal]")  # fmt: skip
@swept("-i", "--init", type=Initializers(), group=_WHAT, metavar="NAME",
       help="Take every W from an initializer, as it is, and hold it to the scheme: as for varsim "
       "itself.")  # fmt: skip
@option("--batch", type=Count(), default=64, show_default=True, group=HOW, metavar="N",
        help="Inputs per network.")  # fmt: skip
@option("--networks", type=Count(), default=64, show_default=True, group=HOW, metavar="N",
        help="Independent networks: the replicates of every error bar.")  # fmt: skip
@option("-p", "--precision", type=Share(), group=HOW, metavar="P",
        help="Take more networks until every layer has this relative standard error.")  # fmt: skip
@option("--no-backward", is_flag=True, group=HOW, help="Do not follow gradients.")
@option("--infinite-width", is_flag=True, group=HOW,
        help="Theory without its correction for finite width.")  # fmt: skip
@common.seed
@common.dtype
@common.workers
@common.scheduler
@common.confidence
@common.alpha
@common.formats
@common.outputs
@common.resume
@option("--histogram", is_flag=True, group=OUT,
        help="Count φ(h) of every layer, for machine formats and varsim plot.")  # fmt: skip
@common.check
@common.quiet
def layers(**options: Any) -> int:
    """Follow signals and gradients through a deep stack.

    Samples independent networks h₁ = x W₁, h_{l+1} = φ(h_l) W_{l+1}, pushes a batch of inputs
    forward and random cotangents backward, and prints their variances layer by layer beside
    theory.
    """
    code: int = run.layers(options)
    return code

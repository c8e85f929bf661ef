"""The commands beside ``varsim`` itself: their options. What they do is loaded when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from varsim.cli import options as common
from varsim.cli.help import GroupedCommand
from varsim.cli.options import HOW, OUT, option, swept
from varsim.compute import lazy

run, tables = lazy("varsim.cli.run"), lazy("varsim.cli.tables")
check, stack = lazy("varsim.check.result"), lazy("varsim.stack.result")

_LAYERS_EXAMPLES = [
    ("varsim layers --activation tanh --scale xavier --gain 1,5/3", "Does tanh need a gain?"),
    ("varsim layers -a relu -s xavier,he --depth 50", "Why ReLU has He's scheme."),
    ("varsim layers --widths 784,512,512,10 -a gelu -s lecun -g gelu", "A network of your own."),
    ("varsim layers -a gelu --norm layer --residual gpt2", "A transformer's stream."),
]

_LAYERS_WHAT = "What is stacked (these sweep)"
_LAYERS_NORMS = ("none", "batch", "layer", "rms")


@click.command(
    "layers",
    cls=GroupedCommand,
    examples=_LAYERS_EXAMPLES,
    essential=("width", "depth", "activation", "scale", "gain", "output"),
)
@swept("--width", type=common.WHOLE_NUMBERS, group=_LAYERS_WHAT, metavar="N",
       help="Width of the input and of all layers.  [default: 512]")  # fmt: skip
@swept("--depth", type=common.WHOLE_NUMBERS, group=_LAYERS_WHAT, metavar="L",
       help="Number of layers.  [default: 20]")  # fmt: skip
@option("--widths", type=common.WHOLE_NUMBERS, group=_LAYERS_WHAT, metavar="LIST",
        help="Instead of width and depth: the input's width, then every layer's.")  # fmt: skip
@swept("-a", "--activation", type=common.ACTIVATIONS, group=_LAYERS_WHAT, metavar="PHI",
       help="A name that varsim gains lists, one with its parameter like leaky_relu(0.2), or "
       "module:function.  [default: tanh]")  # fmt: skip
@common.scale(group=_LAYERS_WHAT,
       help="What every W is divided by, as for varsim itself.  [default: xavier]")  # fmt: skip
@common.gain(group=_LAYERS_WHAT,
       help="Gain of the schemes that have one: a number, 5/3, an activation's name, or "
       "torch:tanh.  [default: √2 for he and he-fan-out, else 1]")  # fmt: skip
@swept("--bias-std", type=common.NUMBERS, group=_LAYERS_WHAT, metavar="S",
       help="Standard deviation of normal biases.  [default: 0]")  # fmt: skip
@swept("--norm", type=common.names(_LAYERS_NORMS), group=_LAYERS_WHAT, metavar="NORM",
       help="What is normalised before the activation: none, batch, layer or rms.  "
       "[default: none]")  # fmt: skip
@swept("--residual", type=common.RESIDUALS, group=_LAYERS_WHAT, metavar="[S]", is_flag=False,
       flag_value="1",
       help="Add every layer, times S, to a residual stream: a number, or gpt2 for 1/√(2L).  "
       "[default without a number: 1]")  # fmt: skip
@common.x_dist(group=_LAYERS_WHAT, help="Distribution of the inputs.  [default: normal]")
@swept("--correlation", type=common.SHARES, group=_LAYERS_WHAT, metavar="C",
       help="Correlation between each two inputs of a batch, from 0 to 1; shows what becomes of it."
       "  [default: 0]")  # fmt: skip
@common.w_dist(group=_LAYERS_WHAT, help="Distribution of the weights.  [default: normal]")
@common.init(group=_LAYERS_WHAT,
       help="Take every W from an initializer, undivided, and compare it with the scheme, as "
       "varsim itself does.")  # fmt: skip
@option("--batch", type=common.COUNT, default=64, show_default=True, group=HOW, metavar="N",
        help="Inputs per network.")  # fmt: skip
@option("--networks", type=common.COUNT, default=64, show_default=True, group=HOW, metavar="N",
        help="Independent networks: the replicates of every error bar.")  # fmt: skip
@common.precision(
        help="Take more networks until every layer has this relative standard error.")  # fmt: skip
@option("--max-networks", type=common.COUNT, group=HOW, metavar="N",
        help="With --precision: cap each stack at N networks.  [default: 100,000]")  # fmt: skip
@option("--max-time", type=common.DURATION, group=HOW, metavar="TIME",
        help="With --precision: cap each stack at 90s, 5m or 1h30m, never below its first 8 "
        "networks.")  # fmt: skip
@option("--no-backward", is_flag=True, group=HOW, help="Do not follow gradients.")
@option("--infinite-width", is_flag=True, group=HOW,
        help="Leave out the correction of theory for finite width.")  # fmt: skip
@common.measuring
@common.view(lambda: stack.LAYERS.names)
@common.histogram(
        help="Count φ(h) of every layer, for machine formats and varsim plot.")  # fmt: skip
@common.explain
@common.check(help="Exit with 3 if a verdict disagrees.")
@common.quiet
def layers(**options: Any) -> int:
    """Follow signals and gradients through a deep stack.

    Samples independent networks h₁ = x W₁, h_{l+1} = φ(h_l) W_{l+1}, pushes a batch of inputs
    forward and random cotangents backward, and prints their variances layer by layer beside
    theory.
    """
    return int(run.layers(options))


_GAINS_EXAMPLES = [
    ("varsim gains", "Every activation in the table, and torch's gain beside it."),
    ("varsim gains gelu silu tanh --variance 1,2,4", "Some, for other variances of the input."),
    ("varsim gains --critical", "Where deep networks neither explode nor vanish."),
    (
        "varsim gains sigmoid --critical --variance 100",
        "The point with χ⊥ = 1 that keeps this variance.",
    ),
    ("varsim gains mypackage.layers:phi", "A function of your own."),
]


@click.command("gains", cls=GroupedCommand, examples=_GAINS_EXAMPLES)
@click.argument("activations", nargs=-1, metavar="[ACTIVATION ...]",
                shell_complete=common.complete_activation)  # fmt: skip
@swept("-v", "--variance", type=common.NUMBERS, group="What is asked", metavar="Q",
       help="Variance of the inputs; takes lists and ranges.  [default: 1; with --critical, "
       "none]")  # fmt: skip
@option("--critical", is_flag=True, group="What is asked",
        help="Solve for the variances of W and bias at which deep networks keep signals and "
        "gradients; with --variance, those that keep this variance, and gradients.")  # fmt: skip
@common.formats
@common.outputs
@common.view()
@common.quiet
def gains(**options: Any) -> int:
    """Print the gains of activations.

    An activation is a name, a name with its parameter like leaky_relu(0.2), or a function of your
    own as module:function or module:function:derivative.
    """
    return int(tables.gains(options))


_INIT_EXAMPLES = [
    ("varsim init --dim 512 --fan-out 256", "Every initializer of every installed framework."),
    ("varsim init torch.nn.init.xavier_normal_ keras.initializers.HeNormal", "Some of them."),
    ("varsim init mypackage.layers:init --format json", "One of your own."),
]

_INIT_WHAT = "What is asked"


@click.command(
    "init",
    cls=GroupedCommand,
    examples=_INIT_EXAMPLES,
    essential=("dim", "fan_out", "draws", "seed", "output", "check"),
)
@click.argument("names", nargs=-1, metavar="[NAME ...]",
                shell_complete=common.complete_init)  # fmt: skip
@swept("-d", "--dim", type=common.WHOLE_NUMBERS, group=_INIT_WHAT, metavar="D",
       help="Fan-in: rows of W; takes lists and ranges.  [default: 512]")  # fmt: skip
@swept("--fan-out", type=common.WHOLE_NUMBERS, group=_INIT_WHAT, metavar="N",
       help="Fan-out: columns of W.  [default: D]")  # fmt: skip
@option("--draws", type=common.COUNT, default=64, show_default=True, group=HOW, metavar="N",
        help="Independent W per initializer: the replicates of every error bar.")  # fmt: skip
@common.measuring
@common.view(lambda: check.CHECKS.names)
@common.explain
@common.check(help="Exit with 3 if a verdict disagrees.")
@common.quiet
def init(**options: Any) -> int:
    """Measure what initializers do, beside what they claim.

    For every initializer of the installed frameworks, or for those that are named as for --init:
    the documented E w², the entries' kurtosis, and the variances of x @ W and of g @ Wᵀ.
    """
    return int(run.checks(options))


_COMPARE_EXAMPLES = [
    ("varsim compare before.jsonl after.jsonl", "The same sweep before and after an upgrade."),
    ("varsim compare laptop.csv server.csv --check", "Two machines, in a shell script."),
    ("varsim -f jsonl | varsim compare kept.jsonl -", "A run against one that was kept."),
]

_COMPARE_EPILOG = (
    "Verdicts: identical: the same to the last bit; agrees: equal within their errors; "
    "DIFFERS: further apart than their errors allow; not compared: an x of zeros has no ratio. "
    "Exit codes: 0 done, 1 run-time error, 2 wrong usage, 3 a pair differs (with --check)."
)


@click.command("compare", cls=GroupedCommand, examples=_COMPARE_EXAMPLES, epilog=_COMPARE_EPILOG)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="A B")
@common.alpha
@common.formats
@common.outputs
@common.view()
@common.check(help="Exit with 3 if a pair differs.")
@common.quiet
def compare(**options: Any) -> int:
    """Compare two files of results, pair by pair.

    Rows that measure the same are compared, whatever their seeds and samples. The files are .jsonl,
    .csv or .json, as varsim, varsim layers or varsim init write them, or - for stdin. A verdict
    says where they differ beyond their errors.
    """
    return int(tables.compare(options))


_MERGE_EXAMPLES = [
    ("varsim merge laptop.jsonl server.jsonl -o both.jsonl", "Two machines, a seed each."),
    ("varsim merge seed*.csv --check", "Many runs, judged as one."),
]


@click.command("merge", cls=GroupedCommand, examples=_MERGE_EXAMPLES)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILES...")
@common.confidence
@common.alpha
@common.formats
@common.outputs
@common.view()
@common.check(help="Exit with 3 if a verdict disagrees.")
@common.quiet
def merge(**options: Any) -> int:
    """Merge files of results that have different seeds.

    Rows of one experiment become one row, with the draws of all of them; other rows stay as they
    are. Verdicts are passed anew. The files are .jsonl, .csv or .json, as varsim, varsim layers or
    varsim init write them, or - for stdin.
    """
    return int(tables.merge(options))


_PLOT_EXAMPLES = [
    ("varsim plot sweep.jsonl -o sweep.pdf", "A figure as wide as a paper's column."),
    ("varsim -s sqrt -d 16:4096:x2 -f jsonl | varsim plot - -o sweep.svg", "Without a file."),
    ("varsim plot a.csv b.csv -o both.png --width 7", "Two files in one figure, over two columns."),
]


@click.command("plot", cls=GroupedCommand, examples=_PLOT_EXAMPLES)
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULTS..."
)
@swept("-o", "--output", type=common.File(), group=OUT, metavar="FILE",
       help="Write the figure to FILE: "
       f"{' '.join(common.FIGURE_SUFFIXES)}; repeats.  [required]")  # fmt: skip
@option("--width", type=common.NUMBER, default=3.4, show_default=True, group=OUT, metavar="INCHES",
        help="Width of the figure in inches, from 2 to 40; the height follows.")  # fmt: skip
@option("--dpi", type=common.NUMBER, default=300, show_default=True, group=OUT, metavar="N",
        help="Dots per inch of a .png.")  # fmt: skip
@option("--title", group=OUT, default="", metavar="TEXT", help="Title above the figure.")
@option("--no-caption", is_flag=True, group=OUT,
        help="Print the caption on stdout, and leave it out of the figure.")  # fmt: skip
@common.quiet
def plot(**options: Any) -> int:
    """Draw results of varsim as a figure.

    RESULTS are files that varsim wrote (.jsonl, .csv or .json), or - for stdin. What was swept
    decides the figure: variance and its ratio to theory along D or another number, or by scheme
    or distribution. A single row of varsim --histogram gives the density of its outputs. Files of
    varsim layers give variances and gradients along the layers, and with --histogram the
    distribution of the activations.
    """
    return int(tables.plot(options))

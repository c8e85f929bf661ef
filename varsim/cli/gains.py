"""The command ``varsim gains``: activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import options as common
from varsim.cli.options import OutputOptions, option, repeated
from varsim.cli.streams import DONE, FAILED
from varsim.cli.usage import GroupedCommand
from varsim.compute import lazy
from varsim.parsing import split_calls
from varsim.settings import NUMBERS
from varsim.usercode import stdout_to_stderr

if TYPE_CHECKING:
    from varsim import activations
    from varsim.activations import gains as activation_gains
    from varsim.cli import publish
    from varsim.report import gains as report
else:
    publish = lazy("varsim.cli.publish")
    activations, activation_gains = lazy("varsim.activations"), lazy("varsim.activations.gains")
    report = lazy("varsim.report.gains")

_EXAMPLES = [
    ("varsim gains", "Every activation in the table, and torch's gain beside it."),
    ("varsim gains gelu silu tanh --variance 1,2,4", "Some, for other variances of the input."),
    ("varsim gains --critical", "Where deep networks neither explode nor vanish."),
    (
        "varsim gains sigmoid --critical --variance 100",
        "The point with χ⊥ = 1 that keeps this variance.",
    ),
    ("varsim gains mypackage.layers:phi", "A function of your own."),
]

_WHAT = "What is asked"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class GainOptions(OutputOptions):
    """Values of the options of ``varsim gains``."""

    activations: Sequence[str]
    variance: Sequence[float]
    critical: bool


@click.command("gains", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("activations", nargs=-1, metavar="[ACTIVATION ...]",
                shell_complete=common.complete_activation)  # fmt: skip
@repeated("-v", "--variance", reader=NUMBERS, group=_WHAT, metavar="Q",
       help="Variance of the inputs; takes lists and ranges.  [default: 1; with --critical, "
       "none]")  # fmt: skip
@option("--critical", is_flag=True, group=_WHAT,
        help="Solve for the variances of W and bias at which deep networks preserve signals and "
        "gradients; with --variance, signals of this variance.")  # fmt: skip
@common.formats
@common.outputs_to_draw
@common.view()
@common.quiet
def command(**given: Any) -> int:
    """Print the gains of activations.

    An activation is a name, a name with a parameter like leaky_relu(0.2), or your own function as
    module:function or module:function:derivative.
    """
    return show_gains(GainOptions(**given))


def show_gains(options: GainOptions) -> int:
    """Show the gains of activations; return the exit code."""
    publisher = publish.Publisher.of(options)
    names = list(chain.from_iterable(map(split_calls, options.activations)))
    for variance in options.variance:
        activation_gains.check_variance(variance)
    with stdout_to_stderr():
        asked = {
            name: activations.find_activation(name) for name in names or activations.ACTIVATIONS
        }
        if not options.critical:
            table = report.gains_table(asked, options.variance or [1.0])
        elif options.variance:
            table = report.line_table(asked, options.variance)
        else:
            table = report.critical_table(asked)
    return DONE if publisher.write(table) else FAILED

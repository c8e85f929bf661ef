"""The command ``varsim gains``: what activations need, from quadrature."""

from __future__ import annotations

from typing import Any

import click

from varsim.cli import options as common
from varsim.cli.help import GroupedCommand
from varsim.cli.options import OUT, option, swept
from varsim.cli.types import Numbers
from varsim.compute.lazy import lazy

tables = lazy("varsim.cli.tables")

_EXAMPLES = [
    ("varsim gains", "Every activation in the table, and torch's gain beside it."),
    ("varsim gains gelu silu tanh --variance 1,2,4", "Some, for other variances of the input."),
    ("varsim gains --critical", "Where deep networks neither explode nor vanish."),
    ("varsim gains mypackage.layers:phi", "A function of your own."),
]


@click.command("gains", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("activations", nargs=-1, metavar="[ACTIVATION ...]")
@swept("-v", "--variance", type=Numbers(), group="What is asked", metavar="Q",
       help="Variance of the inputs; takes lists and ranges.  [default: 1]")  # fmt: skip
@option("--critical", is_flag=True, group="What is asked",
        help="Solve for the variances of W and bias at which χ = 1 at a fixed point.")  # fmt: skip
@common.formats
@common.outputs
@option("-q", "--quiet", is_flag=True, group=OUT, help="Nothing but errors on stderr.")
def gains(**options: Any) -> int:
    """Print the gains of activations.

    An activation is a name, a name with its parameter like leaky_relu(0.2), or a function of your
    own as module:function or module:function:derivative.
    """
    code: int = tables.gains(options)
    return code

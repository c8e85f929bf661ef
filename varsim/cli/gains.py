"""The command ``varsim gains``: what activations need, from quadrature."""

from __future__ import annotations

from itertools import chain
from typing import Any

import click

# What needs NumPy is imported where it is used: help and completion start without.
from varsim.cli import options as common
from varsim.cli.exits import DONE, FAILED
from varsim.cli.help import GroupedCommand
from varsim.cli.options import OUT, option, swept
from varsim.cli.publish import Publisher
from varsim.cli.types import Numbers
from varsim.parsing import InputError, items

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
    from varsim.activations import ACTIVATIONS, find_activation
    from varsim.cli.user_code import user_code
    from varsim.report.gains import critical_sheet, gains_sheet

    publisher = Publisher(
        options["format"], options["output"], explain=False, quiet=options["quiet"]
    )
    try:
        named = list(chain.from_iterable(map(items, options["activations"])))
    except ValueError as error:
        raise InputError(str(error)) from None
    names = named or list(ACTIVATIONS)
    with user_code():
        activations = {name: find_activation(name) for name in names}
    variances = list(chain.from_iterable(options["variance"])) or [1.0]
    if not all(1e-12 <= variance <= 1e12 for variance in variances):
        raise InputError("a variance is outside 1e-12 to 1e12; give others")
    if options["critical"]:
        sheet = critical_sheet(activations)
    else:
        sheet = gains_sheet(activations, variances)
    return DONE if publisher.write(sheet) else FAILED

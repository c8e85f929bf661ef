"""The command ``varsim init``: what initializers claim, and what they do."""

from __future__ import annotations

from typing import Any

import click

from varsim.cli import options as common
from varsim.cli.help import GroupedCommand
from varsim.cli.options import HOW, option, swept
from varsim.cli.types import Count, WholeNumbers
from varsim.compute.lazy import lazy

run = lazy("varsim.cli.run")

_EXAMPLES = [
    ("varsim init --dim 512 --fan-out 256", "Every initializer of every installed framework."),
    ("varsim init torch.nn.init.xavier_normal_ keras.initializers.HeNormal", "Some of them."),
    ("varsim init mypackage.layers:init --format json", "One of your own."),
]

_WHAT = "What is asked"


@click.command("init", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@swept("-d", "--dim", type=WholeNumbers(), group=_WHAT, metavar="D",
       help="Fan-in: rows of W; takes lists and ranges.  [default: 512]")  # fmt: skip
@swept("--fan-out", type=WholeNumbers(), group=_WHAT, metavar="N",
       help="Fan-out: columns of W.  [default: D]")  # fmt: skip
@option("--draws", type=Count(), default=64, show_default=True, group=HOW, metavar="N",
        help="Independent W per initializer: the replicates of every error bar.")  # fmt: skip
@common.seed
@common.dtype
@common.workers
@common.scheduler
@common.confidence
@common.alpha
@common.formats
@common.outputs
@common.resume
@common.check
@common.quiet
def init(**options: Any) -> int:
    """Measure what initializers do, beside what they claim.

    For every initializer of the installed frameworks, or for those that are named as for --init:
    the documented E w², the entries' kurtosis, and the variances of x @ W and of g @ Wᵀ.
    """
    code: int = run.checks(options)
    return code

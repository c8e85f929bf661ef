"""The command ``varsim tolerance``: tolerances of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import options as common
from varsim.cli.options import OutputOptions, repeated, single, swept
from varsim.cli.streams import DONE, FAILED
from varsim.cli.usage import GroupedCommand
from varsim.compute import lazy
from varsim.errors import InputError
from varsim.settings import TOLERANCE
from varsim.statistics import check_probability

if TYPE_CHECKING:
    from varsim.cli import publish
    from varsim.layer import question
    from varsim.report import tolerance as report
else:
    publish, report = lazy("varsim.cli.publish"), lazy("varsim.report.tolerance")
    question = lazy("varsim.layer.question")

_EXAMPLES = [
    ("varsim tolerance", "2,500 entries of four distributions."),
    ("varsim tolerance --entries 100:1e6:x10 --dist uniform", "How it falls with their number."),
    ("varsim tolerance --dim 512 --fan-out 256 --rows 64", "Outputs of one draw of x @ W."),
    ("varsim tolerance --sees 5% --columns dist,sees_5%", "How many entries see an error of 5 %."),
]

_OF_OUTPUTS = ("fan_out", "rows", "x_dist", "w_dist")

_ENTRIES, _OUTPUTS, _TEST = "Independent entries", "Outputs of x @ W", "What the test promises"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ToleranceOptions(OutputOptions):
    """Values of the options of ``varsim tolerance``."""

    entries: Sequence[int]
    dist: Sequence[str]
    dim: Sequence[int]
    fan_out: Sequence[int]
    rows: Sequence[int]
    x_dist: Sequence[str]
    w_dist: Sequence[str]
    false_failure: float
    power: float
    sees: Sequence[float]


@click.command("tolerance", cls=GroupedCommand, examples=_EXAMPLES)
@swept(TOLERANCE["entries"], "-n", group=_ENTRIES, metavar="N",
       help="Number of entries.  [default: 2500]")  # fmt: skip
@swept(TOLERANCE["dist"], group=_ENTRIES, metavar="DIST",
       help="Distribution of the entries, with mean 0.  [default: normal, uniform, truncated and "
       "laplace]")  # fmt: skip
@swept(
    TOLERANCE["dim"],
    "-d",
    group=_OUTPUTS,
    metavar="D",
    help="Length of x; asks for outputs of one draw of x @ W, in place of entries.",
)
@swept(TOLERANCE["fan_out"], group=_OUTPUTS, metavar="N",
       help="Number of columns of W.  [default: D]")  # fmt: skip
@swept(TOLERANCE["rows"], group=_OUTPUTS, metavar="R",
       help="Number of x through one W.  [default: 1]")  # fmt: skip
@common.x_dist(group=_OUTPUTS, help="Distribution of the entries of x.  [default: normal]")
@common.w_dist(group=_OUTPUTS, help="Distribution of the entries of W.  [default: normal]")
@single(TOLERANCE["false_failure"], group=_TEST, metavar="P", default=1e-6, show_default=True,
        help="Probability of a failure if the variance is right.")  # fmt: skip
@repeated("--sees", reader=TOLERANCE["sees"].reader, group=_TEST, metavar="E",
          help="Relative errors of the variance to see: 5% either way, -5% if it is too small.  "
          "[default: 50%,22.6%,5%,1%]")  # fmt: skip
@single(TOLERANCE["power"], group=_TEST, metavar="P", default=0.999, show_default=True,
        help="Probability of a failure if the variance has such an error.")  # fmt: skip
@common.formats
@common.outputs
@common.view()
@common.quiet
def command(**given: Any) -> int:
    """Print the tolerance that a test of a variance needs.

    The test compares the mean square of independent entries with mean 0, or the variance of the
    outputs of one draw of x @ W, with a claim.
    """
    return show_tolerances(ToleranceOptions(**given))


def show_tolerances(options: ToleranceOptions) -> int:
    """Show the tolerances of tests; return the exit code."""
    publisher = publish.Publisher.of(options)
    rule = report.Rule(
        check_probability("false_failure", options.false_failure),
        check_probability("power", options.power),
        _values("sees", options),
    )
    if not options.dim:
        _refuse(_OF_OUTPUTS, options, "is for outputs of x @ W; add --dim, or leave it out")
        table = report.entries_table(_values("entries", options), _values("dist", options), rule)
    else:
        _refuse(
            ("entries", "dist"), options, "is for entries, and --dim for outputs; leave one out"
        )
        names = ("dim", "fan_out", "x_dist", "w_dist")
        asked = [
            question.Experiment(scale="none", **dict(zip(names, values, strict=True)))
            for values in product(*(_values(name, options) for name in names))
        ]
        table = report.outputs_table(asked, _values("rows", options), rule)
    return DONE if publisher.write(table) else FAILED


def _refuse(names: Sequence[str], options: ToleranceOptions, why: str) -> None:
    for name in names:
        if getattr(options, name):
            raise InputError(f"--{name.replace('_', '-')} {why}")


def _values(name: str, options: ToleranceOptions) -> Sequence[Any]:
    return getattr(options, name) or TOLERANCE[name].default or ()

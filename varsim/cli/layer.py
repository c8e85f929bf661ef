"""The command ``varsim`` itself: one layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import ALIASES as OTHER_NAMES
from varsim.catalog.distributions import SUMMARIES
from varsim.catalog.scales import ALIASES, SCALES
from varsim.cli import options as common
from varsim.cli.options import HOW, OUT, MeasuringOptions, all_of, option, single, swept
from varsim.compute import lazy
from varsim.settings import LAYER, questions

if TYPE_CHECKING:
    from varsim.cli import session
    from varsim.layer import kind, plan, question, result, study
else:
    session = lazy("varsim.cli.session")
    question, result = lazy("varsim.layer.question"), lazy("varsim.layer.result")
    kind, plan = lazy("varsim.layer.kind"), lazy("varsim.layer.plan")
    study = lazy("varsim.layer.study")

_WHAT, _ENTRIES = "What is multiplied (these sweep)", "Entries of x and W (these sweep)"

options = all_of(
    swept(LAYER["dim"], "-d", group=_WHAT, metavar="D",
        help="Length of x, fan-in of W.  [default: 512]"),
    common.scale(group=_WHAT,
        help="Divisor of W: "
        + ", ".join(f"{name} = {scale.formula}" for name, scale in SCALES.items())
        + ", a number, or D^p; D and sqrt(D) work too.  "
        + ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
        + ".  [default: none,linear,sqrt]"),
    swept(LAYER["fan_out"], group=_WHAT, metavar="N",
        help="Fan-out n, for the schemes that use it.  [default: D]"),
    common.gain(group=_WHAT,
        help="Gain g of the schemes that have one: a number, a fraction like 5/3, the name of an "
        "activation like gelu (see varsim gains), or torch:tanh for PyTorch's gain.  "
        "[default: √2 for he and he-fan-out, else 1]"),
    common.init(group=_WHAT,
        help="Take W from an initializer, undivided, and compare it with the scheme. Built in: "
        "orthogonal, sparse, truncated_normal, trunc_normal. Of installed frameworks: "
        "torch.nn.init.*, torch.nn.Linear, jax.nn.initializers.*, keras.initializers.*. Your own: "
        "module:function, called as f(rng, shape). Arguments: 'name(gain=1.5)'."),
    swept(LAYER["design"], group=_WHAT, metavar="DESIGN",
        help="; ".join(f"{name}: {d.summary}" for name, d in DESIGNS.items()) + "."),
    common.x_dist(group=_ENTRIES,
        help="; ".join(f"{name}: {summary}" for name, summary in SUMMARIES.items())
        + ".  "
        + ", ".join(f"{alias} is {name}" for alias, name in OTHER_NAMES.items())
        + ".  [default: normal]"),
    common.w_dist(group=_ENTRIES, help="The same for W, without rectified, bernoulli and onehot.  "
        "[default: normal]"),
    swept(LAYER["x_mean"], group=_ENTRIES, metavar="M",
        help="Mean of the entries of x.  [default: 0]"),
    swept(LAYER["x_std"], group=_ENTRIES, metavar="S",
        help="Standard deviation of the entries of x.  [default: 1]"),
    swept(LAYER["w_mean"], group=_ENTRIES, metavar="M",
        help="Mean of the entries of W before the division.  [default: 0]"),
    swept(LAYER["w_std"], group=_ENTRIES, metavar="S",
        help="Standard deviation of W's entries before the division.  [default: 1]"),
    single(LAYER["samples"], "-n", group=HOW, metavar="N",
        help="Minimum number of outputs of x @ W per row.  [default: as many as give a relative "
        "standard error of 0.1% for crossed, 1,000,000 for others]"),
    common.precision(
        help="Instead of --samples: sample every row to this relative standard error, such as 0.1% "
        "or 0.001; above 1%, write the % sign."),
    single(LAYER["max_samples"], group=HOW, metavar="N",
        help="With --precision: cap each row at N outputs."),
    common.max_time(
        help="With --precision: cap each row at this time, such as 90s, 5m or 1h30m, but not "
        "before its first 64 blocks."),
    common.measuring,
    common.view(lambda: result.RESULTS.names),
    common.histogram(
        help="Count the outputs of every row, for machine formats and varsim plot."),
    common.check(help="Exit with 3 if a verdict disagrees."),
    option("--plot", is_flag=True, group=OUT,
        help="Draw the rows as text: variances with theory, ratios with intervals."),
    common.explain,
    option("--dry-run", is_flag=True, group=OUT,
        help="Run nothing; show the rows with their cost and expected error."),
    common.quiet,
)  # fmt: skip
"""The options of the command, as one decorator."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LayerOptions(MeasuringOptions):
    """Values of the options of ``varsim`` itself."""

    samples: int | None
    max_samples: int | None


def measure_layer(options: LayerOptions) -> int:
    """Measure one layer; return the exit code."""
    common.check_cap("--max-time", options.max_time, options.precision)
    measuring = session.Session.of(kind.LAYER, options)
    fixed = {
        "samples": options.samples, "precision": options.precision,
        "max_samples": options.max_samples, "dtype": options.dtype,
    }  # fmt: skip
    experiments, notes = questions(LAYER, options.swept, fixed, question.Experiment)
    studies = [
        study.LayerStudy(each, options.confidence, histogram=options.histogram)
        for each in experiments
    ]
    return measuring.run(
        studies, notes, plan=lambda left, workers: plan.plan_table(experiments, left, workers)
    )

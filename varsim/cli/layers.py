"""The command ``varsim layers``: deep stacks, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import ALIASES, SCALES

# What needs NumPy is imported where it is used: help and completion start without.
from varsim.cli import options as common
from varsim.cli.exits import DISAGREED, DONE, FAILED, INTERRUPTED, UNMET
from varsim.cli.help import GroupedCommand
from varsim.cli.options import HOW, OUT, option, swept
from varsim.cli.publish import Publisher, say_error
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
from varsim.compute import Mapper
from varsim.parsing import InputError

if TYPE_CHECKING:
    from varsim.cli.terminal import Watch
    from varsim.stack.network import Network
    from varsim.stack.result import LayerResult
    from varsim.stack.sampling import Sampled

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
        help="Inputs a network.")  # fmt: skip
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
    from varsim.cli.run import ending_signals_as_interrupt, expand
    from varsim.cli.user_code import check_initializers, user_code
    from varsim.layer.inference import check_probability, check_workers
    from varsim.report.layers import layers_sheet

    check_probability("confidence", options["confidence"])
    check_probability("alpha", options["alpha"])
    workers = check_workers(options["workers"])
    precision = options["precision"]
    if precision is not None and not 1e-4 <= precision < 1:
        raise InputError(f"precision is {precision:g}; give one from 0.0001 to below 1, or 1%")
    publisher = Publisher(
        options["format"], options["output"], explain=False, quiet=options["quiet"]
    )
    with ending_signals_as_interrupt():
        with user_code():
            networks, notes = expand(_swept_values(options), _fixed_values(options), _network)
        for note in [*notes, *publisher.obstacles()]:
            publisher.say(f"Note: {note}")
        check_initializers(network.experiment(*network.widths[:2]) for network in networks)
        with user_code():
            finished = _run(networks, options, workers)
        sheets = [layers_sheet(rows) for rows in finished.stacks]
        written = publisher.write(*sheets) if sheets else True
    for sheet in sheets:
        for sentence in sheet.caveats:
            publisher.say(f"Caveat: {sentence}")
    for sentence in _summary(finished, len(networks)):
        publisher.say(sentence)
    if finished.failure is not None:
        say_error(finished.failure)
    return _exit_code(finished, written=written, check=options["check"])


class _Finished:
    """What a run gave: the stacks that are done, with their verdicts, and how it ended."""

    def __init__(self) -> None:
        self.stacks: list[list[LayerResult]] = []
        self.interrupted = False
        self.failure: str | None = None
        self.unmet: list[str] = []


def _run(networks: Sequence[Network], options: dict[str, Any], workers: int) -> _Finished:
    from varsim.cli.run import mappers
    from varsim.cli.terminal import Watch
    from varsim.compute import ComputeError

    finished = _Finished()
    work = sum(network.networks * _work(network) for network in networks)
    try:
        with (
            mappers(options["scheduler"], workers) as mapper,
            Watch(work, rows=len(networks), quiet=options["quiet"]) as watch,
        ):
            for network in networks:
                finished.stacks.append(_stack(network, options, mapper, watch, finished))
                watch.next_row()
    except KeyboardInterrupt:
        finished.interrupted = True
    except (ComputeError, InputError) as error:  # of an initializer that fails on the way
        finished.failure = str(error)
    except (MemoryError, RuntimeError) as error:
        finished.failure = f"the machine gave out ({error or 'no memory'}); take fewer workers"
    finished.stacks = _judged(finished.stacks, options["alpha"])
    return finished


def _stack(
    network: Network, options: dict[str, Any], mapper: Mapper, watch: Watch, finished: _Finished
) -> list[LayerResult]:
    from varsim.report.layers import stack_name
    from varsim.stack.result import activation_bins, infer, measure, worst_error
    from varsim.stack.sampling import stream

    bins = activation_bins(network) if options["histogram"] else None

    def samples_at(indices: range) -> Iterator[Sampled]:
        return watch.over(stream(network, mapper, indices, bins), _work(network))

    *_, samples = measure(network, samples_at, options["precision"])
    rows = infer(network, samples, options["confidence"], infinite_width=options["infinite_width"])
    error = worst_error(samples)
    if options["precision"] is not None and error > options["precision"]:
        finished.unmet.append(
            f"{stack_name(rows[0])}: the largest relative standard error is {error:.2g} after "
            f"{len(samples):,} networks, not {options['precision']:g}"
        )
    return rows


def _judged(stacks: Sequence[list[LayerResult]], alpha: float) -> list[list[LayerResult]]:
    """Return stacks with verdicts that share one false-alarm rate."""
    from varsim.stack.result import judge

    judged = iter(judge(list(chain.from_iterable(stacks)), alpha))
    return [[next(judged) for _ in stack] for stack in stacks]


def _work(network: Network) -> int:
    return sum(layer.fan_in * layer.fan_out for layer in network.layers)


def _summary(finished: _Finished, asked: int) -> Iterator[str]:
    from varsim.report.layers import stack_name

    rows = list(chain.from_iterable(finished.stacks))
    if len(finished.stacks) < asked:
        yield f"{len(finished.stacks)} of {asked} stacks were done."
    for sentence in finished.unmet:
        yield f"Caveat: {sentence}."
    wrong = [row for row in rows if row.agrees is False]
    known = sum(row.agrees is not None for row in rows)
    if wrong:
        names = "; ".join(f"{stack_name(row)}, layer {row.layer}" for row in wrong[:3])
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        yield f"{len(wrong)} of {known} layers disagree with theory: {names}{more}."
    elif rows:
        yield f"{known} of {known} layers agree with theory."


def _exit_code(finished: _Finished, *, written: bool, check: bool) -> int:
    if finished.failure is not None:
        return FAILED
    if finished.interrupted:
        return INTERRUPTED
    if not written:
        return FAILED
    if check and any(row.agrees is False for row in chain.from_iterable(finished.stacks)):
        return DISAGREED
    return UNMET if finished.unmet else DONE


def _swept_values(options: dict[str, Any]) -> dict[str, Sequence[Any]]:
    """Return the values of every swept field of a network."""
    widths = options["widths"]
    if widths and (options["width"] or options["depth"]):
        raise InputError("--widths names every layer; leave --width and --depth out")
    defaults: dict[str, tuple[str, list[Any]]] = {
        "width": ("width", [512]),
        "depth": ("depth", [20]),
        "activation": ("activation", ["tanh"]),
        "x": ("x_dist", ["normal"]),
        "w": ("w_dist", ["normal"]),
        "bias_std": ("bias_std", [0.0]),
        "norm": ("norm", ["none"]),
        "residual": ("residual", [None]),
        "gain": ("gain", [None]),
        "init": ("init", [None]),
        "scale": ("scale", ["xavier"]),
    }
    values: dict[str, Sequence[Any]] = {
        field: list(chain.from_iterable(options[name])) or default
        for field, (name, default) in defaults.items()
    }
    if widths:
        values |= {"width": [tuple(widths)], "depth": [len(widths) - 1]}
    return values


def _fixed_values(options: dict[str, Any]) -> dict[str, Any]:
    names = ("batch", "networks", "seed", "dtype")
    return {name: options[name] for name in names} | {"backward": not options["no_backward"]}


def _network(*, width: int | tuple[int, ...], depth: int, residual: Any, **fields: Any) -> Network:
    from varsim.stack.network import MAX_DEPTH, Network

    if isinstance(width, int) and not 1 <= depth <= MAX_DEPTH:
        raise InputError(f"depth is {depth}; give a number of layers from 1 to {MAX_DEPTH:,}")
    widths = width if isinstance(width, tuple) else (width,) * (depth + 1)
    if residual == "gpt2":  # Radford et al. (2019), section 2.3: 1/√N of N residual layers
        residual = (2 * depth) ** -0.5
    return Network(widths=widths, residual=residual, **fields)

"""What the measuring commands do: options to questions, a run, its tables, and an exit code."""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import click

from varsim.catalog.scales import TAKE_A_GAIN, find_scale
from varsim.cli.publish import DISAGREED, DONE, FAILED, INTERRUPTED, UNMET, Publisher, say_error
from varsim.cli.terminal import Progress
from varsim.compute import check_workers, lazy, threads
from varsim.compute.provenance import FRAMEWORKS, frameworks
from varsim.fields import Schema
from varsim.layer.experiment import Experiment
from varsim.layer.result import RESULTS, LayerStudy
from varsim.parsing import MAX_VALUES, InputError, contained, split_calls
from varsim.report import Table
from varsim.report.rows import (
    checks_table,
    columns,
    named,
    plan_table,
    results_table,
    row_name,
    stack_table,
)
from varsim.runner import Outcome, ResumePoint, RunOptions, run
from varsim.statistics import check_probability

if TYPE_CHECKING:
    from varsim.stack.network import Network
    from varsim.storage.ledger import Ledger

cluster, storage = lazy("varsim.compute.cluster"), lazy("varsim.storage.ledger")
stack, network = lazy("varsim.stack.result"), lazy("varsim.stack.network")
theory = lazy("varsim.stack.theory")
check, initializers = lazy("varsim.layer.check"), lazy("varsim.initializers")
explain = lazy("varsim.report.explain")


@dataclass(frozen=True)
class Kind:
    """How a kind of question is presented.

    Attributes:
        schema: The fields of its rows.
        table: Makes a table of rows, with further sentences for its caption.
        group: What the rows of one question are called, in the plural.
        summary: What the rows are called in the last sentence; None for no such sentence.
        table_per_question: Whether the rows of each question have a table of their own.
    """

    schema: Schema[Any]
    table: Callable[[Sequence[Any], Sequence[str]], Table]
    group: str
    summary: str | None
    table_per_question: bool = False


def results(options: dict[str, Any]) -> int:
    """Measure one layer: the command ``varsim`` itself."""
    _check(options)
    defaults: dict[str, list[Any]] = {
        "dim": [512], "fan_out": [None], "x_dist": ["normal"], "w_dist": [None], "x_mean": [0.0],
        "x_std": [1.0], "w_mean": [None], "w_std": [None], "init": [None], "design": ["crossed"],
        "gain": [None], "scale": ["none", "linear", "sqrt"],
    }  # fmt: skip
    fixed = ("samples", "precision", "max_samples", "seed", "dtype")
    experiments, notes = expand(
        _swept(options, defaults), {name: options[name] for name in fixed}, Experiment
    )
    studies = [
        LayerStudy(experiment, options["confidence"], histogram=options["histogram"])
        for experiment in experiments
    ]
    return _measure(Kind(RESULTS, results_table, "rows", ""), studies, options, notes)


def layers(options: dict[str, Any]) -> int:
    """Measure deep stacks: the command ``varsim layers``."""
    _check(options)
    defaults: dict[str, list[Any]] = {
        "width": [512], "depth": [20], "activation": ["tanh"], "x_dist": ["normal"],
        "w_dist": [None], "bias_std": [0.0], "norm": ["none"], "residual": [None], "gain": [None],
        "init": [None], "scale": ["xavier"], "correlation": [0.0],
    }  # fmt: skip
    swept, widths = _swept(options, defaults), options["widths"]
    if widths:
        if options["width"] or options["depth"]:
            raise InputError("--widths names every layer; leave --width and --depth out")
        swept |= {"width": [tuple(widths)], "depth": [len(widths) - 1]}
    fixed = {name: options[name] for name in ("batch", "networks", "precision", "seed", "dtype")}
    networks, notes = expand(swept, fixed | {"backward": not options["no_backward"]}, _network)
    studies = [
        stack.StackStudy(
            n,
            options["confidence"],
            options["histogram"],
            options["infinite_width"],
            _max_networks(options),
        )
        for n in networks
    ]
    with contained():
        for n in networks:  # what theory refuses is a mistake, told before anything is sampled
            theory.predict(n)
    kind = Kind(stack.LAYERS, stack_table, "stacks", "layers ", table_per_question=True)
    return _measure(kind, studies, options, notes)


def checks(options: dict[str, Any]) -> int:
    """Check initializers: the command ``varsim init``.

    Those that are named have to work; of all that are installed, one that does not is left out.
    """
    _check(options)
    names = list(chain.from_iterable(map(split_calls, options["names"])))
    dims, fan_outs = _swept(options, {"dim": [512], "fan_out": [None]}).values()
    pairs = itertools.product(dims, fan_outs)
    shapes = [(dim, dim if fan_out is None else fan_out) for dim, fan_out in pairs]
    fixed = {"seed": options["seed"], "dtype": options["dtype"]}
    for shape in [] if names else shapes:
        # It allows every shape, so this refuses a wrong one once, and a wrong number of draws.
        check.CheckStudy(check.question("trunc_normal", *shape, **fixed), options["draws"])
    studies: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    with _ending_signals_as_interrupt(), contained():
        if not names:
            left_out = {
                n: f"{n} cannot be loaded ({why})" for n, why in initializers.unloadable().items()
            }
        for shape, name in itertools.product(shapes, names or initializers.installed()):
            try:
                asked = check.question(name, *shape, **fixed)
            except InputError as error:
                if names:
                    raise
                left_out.setdefault(name, error.reason)
                continue
            study = check.CheckStudy(asked, options["draws"], options["confidence"])
            studies.setdefault(asked.key, study)
    notes = [] if names else [_found()]
    kind = Kind(check.CHECKS, checks_table, "initializers", None)
    return _measure(kind, list(studies.values()), options, notes, None if names else left_out)


def _measure(
    kind: Kind,
    studies: Sequence[Any],
    options: dict[str, Any],
    notes: Iterable[str],
    left_out: Mapping[str, str] | None = None,
) -> int:
    """Run studies, in the order of the table, and publish their rows.

    With ``left_out``, which says what is left out already and why, an initializer that cannot be
    used is left out too; without, it is a mistake.
    """
    workers = check_workers(options["workers"])
    ledger_path, publisher = _publisher(options)
    if left_out is None:
        _load(studies)
    for note in [*notes, *publisher.unwritable()]:
        publisher.say(note)
    dry_run = options.get("dry_run", False)
    with _opened(ledger_path, kind.schema, dry_run=dry_run) as ledger:
        points = [ResumePoint(s) if ledger is None else ledger.resume(s) for s in studies]
        for note in [] if ledger is None else _ledger_notes(ledger, points, kind):
            publisher.say(note)
        if dry_run:
            left = [point.study.question for point in points if point.done is None]
            if left:
                return DONE if publisher.write(plan_table(left, workers)) else FAILED
            publisher.say("Nothing is left to run.")
            return DONE
        with _ending_signals_as_interrupt():
            with contained():
                if left_out is None:
                    _prepare([point.study for point in points if point.done is None])
                show = None if kind.table_per_question else columns
                scheduler = options["scheduler"]
                with Progress(len(points), quiet=options["quiet"], columns=show) as progress:
                    outcome = run(
                        points,
                        RunOptions(
                            alpha=options["alpha"],
                            max_seconds=options.get("max_time"),
                            lenient=left_out is not None,
                        ),
                        cluster.cluster(scheduler, workers) if scheduler else threads(workers),
                        ledger=ledger,
                        progress=progress,
                    )
            outcome.left_out = {**(left_out or {}), **outcome.left_out}
            written = _publish(publisher, kind, outcome, ledger, options)
    if outcome.failure is not None:
        say_error(outcome.failure)
    return _exit_code(studies, outcome, written=written, check=options["check"])


def _publish(
    publisher: Publisher,
    kind: Kind,
    outcome: Outcome,
    ledger: Ledger | None,
    options: dict[str, Any],
) -> bool:
    """Publish the rows that are done and say what a reader should know; return if all was written.

    Data come first: to stdout and files, then to the ledger, and then sentences to stderr.
    """
    rows = outcome.rows
    if not rows:
        publisher.say(f"None of the {kind.group} was finished.")
        if outcome.left_out:
            publisher.say(f"Left out: {'; '.join(outcome.left_out.values())}.")
        return True
    remarks = []
    if outcome.complete < outcome.asked:
        how = "Interrupted" if outcome.interrupted else "Ended early"
        partial = f", and {outcome.partial} in part" if outcome.partial else ""
        done = f"{outcome.complete} of {outcome.asked} {kind.group} were done"
        remarks = [f"{how}: {done}{partial}."]
    of_tables = outcome.groups if kind.table_per_question else [rows]
    tables = [kind.table(of_table, remarks) for of_table in of_tables]
    written = publisher.write(
        *tables,
        prose=explain.explain(rows) if options.get("explain") else "",
        drawn=rows if options.get("plot") else (),
    )
    if ledger is not None:
        try:
            ledger.finalize(rows)
        except OSError as error:
            say_error(
                f"{str(ledger.path)!r} could not be put in order: {error.strerror}; its rows are "
                "safe, run the same command again"
            )
            written = False
    for table in tables:
        for sentence in table.caveats:
            publisher.say(f"Caveat: {sentence}")
    if not publisher.shows_captions:  # a person who sees the table has read them below it
        for remark in remarks:
            publisher.say(remark)
    for row in outcome.unchanged:
        publisher.say(
            f"Caveat: {row_name(row)}: the row in the file is kept, because the new "
            "measurement is less precise."
        )
    if outcome.left_out:
        publisher.say(f"Left out: {'; '.join(outcome.left_out.values())}.")
    if kind.summary is not None:
        publisher.say(_summary(rows, kind))
    return written


def _summary(rows: Sequence[Any], kind: Kind) -> str:
    known = sum(row.agrees is not None for row in rows)
    wrong = [row for row in rows if row.agrees is False]
    if not wrong:
        return f"{known} of {known} {kind.summary}agree with theory."
    return f"{len(wrong)} of {known} {kind.summary}disagree with theory: {named(wrong, 5)}."


def _exit_code(studies: Sequence[Any], outcome: Outcome, *, written: bool, check: bool) -> int:
    if outcome.failure is not None:
        return FAILED
    if outcome.interrupted:
        return INTERRUPTED
    if not written:
        return FAILED
    if check and any(row.agrees is False for row in outcome.rows):
        return DISAGREED
    precisions = [study.question.precision for study in studies]
    met = all(
        precision is None or all(row.relative_error <= precision for row in group)
        for precision, group in zip(precisions, outcome.groups, strict=False)
    )
    return DONE if met else UNMET


def expand(
    swept: Mapping[str, Sequence[Any]], fixed: Mapping[str, Any], build: Callable[..., Any]
) -> tuple[list[Any], list[str]]:
    """Return every combination of the swept values as a question, the last option fastest.

    A gain is left out where the scheme has none; a question that comes up again is left out.
    Notes say so.

    Args:
        swept: The values of every field that is swept; ``scale`` and ``gain`` are among them.
        fixed: The values of the others.
        build: Makes a question of fields.
    """
    count = math.prod(map(len, swept.values()))
    if count > MAX_VALUES:
        raise InputError(
            f"the sweep has {count:,} rows, and {MAX_VALUES:,} are allowed; take fewer values"
        )
    questions: dict[str, Any] = {}
    repeated, gainless = 0, set()
    for combination in itertools.product(*swept.values()):
        asked = dict(zip(swept, combination, strict=True))
        if asked["gain"] is not None and not _takes_gain(asked["scale"]):
            gainless.add(asked["scale"])
            asked["gain"] = None
        built = build(**asked, **fixed)
        repeated += built.key in questions and asked["scale"] not in gainless
        questions.setdefault(built.key, built)
    without = ", ".join(sorted(gainless))
    if gainless.issuperset(swept["scale"]):
        raise InputError(f"gain does not apply to scale {without}; {TAKE_A_GAIN}")
    notes = []
    if repeated:
        rows = "rows are" if repeated > 1 else "row is"
        notes += [f"Note: {repeated} {rows} in the sweep more than once and will run only once."]
    if gainless:
        notes += [f"Note: The gain does not apply to scale {without}, which runs without it."]
    return list(questions.values()), notes


def _takes_gain(scale: str) -> bool:
    try:
        return find_scale(scale).gain is not None
    except (KeyError, ValueError):
        return True  # for the question to refuse


def _swept(options: dict[str, Any], defaults: Mapping[str, list[Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of every swept field, in the order of the table."""
    return {
        name: list(chain.from_iterable(options[name])) or default
        for name, default in defaults.items()
    }


def _network(*, width: int | tuple[int, ...], depth: int, residual: Any, **fields: Any) -> Network:
    if isinstance(width, int) and not 1 <= depth <= network.MAX_DEPTH:
        raise InputError(
            f"depth is {depth}; give a number of layers from 1 to {network.MAX_DEPTH:,}"
        )
    widths = width if isinstance(width, tuple) else (width,) * (depth + 1)
    if residual == "gpt2":  # Radford et al. (2019), section 2.3: 1/√N of N residual layers
        residual = (2 * depth) ** -0.5
    return cast("Network", network.Network(widths=widths, residual=residual, **fields))


def _max_networks(options: dict[str, Any]) -> int:
    most = options["max_networks"]
    if most is None:
        return cast("int", network.MAX_NETWORKS)
    if not options["networks"] <= most <= network.MAX_NETWORKS:
        raise InputError(
            f"--max-networks is {most:,}; give a number from --networks, {options['networks']:,}, "
            f"to {network.MAX_NETWORKS:,}"
        )
    return cast("int", most)


def _check(options: dict[str, Any]) -> None:
    """Refuse what no command takes, before anything is loaded."""
    for name in ("max_time", "max_networks"):
        if options.get(name) is not None and options["precision"] is None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} needs --precision; add --precision, or leave {flag} out")
    for name in ("confidence", "alpha"):
        check_probability(name, options[name])
    check_workers(options["workers"])
    _publisher(options)


def _publisher(options: dict[str, Any]) -> tuple[Path | None, Publisher]:
    """Return the output that rows are added to one by one, if any, and what publishes the rest."""
    ledger, outputs = _ledger_output(options)
    return ledger, Publisher(options["format"], outputs, quiet=options["quiet"])


def _load(studies: Iterable[Any]) -> None:
    """Load what initializers belong to, so that a mistake is told before a run."""
    made = {s.question.init: s.question.initializer for s in studies}
    with contained():
        for initializer in made.values():
            initializer.load()


def _prepare(studies: Iterable[Any]) -> None:
    """Draw W once from every initializer and call every activation, before anything runs."""
    asked = {(s.question.init, getattr(s.question, "activation", None)): s for s in studies}
    asked.pop((None, None), None)
    for study in asked.values():
        study.prepare()


def _found() -> str:
    """Return a sentence on which frameworks there are; none of them is loaded for it."""
    there = frameworks()
    found = ", ".join(f"{name} {version}" for name, version in there.items()) or "no framework"
    missing = ", ".join(name for name in FRAMEWORKS if name not in there)
    return f"Found: {found}{missing and f'; not installed: {missing}'}."


def _ledger_output(options: dict[str, Any]) -> tuple[Path | None, list[Path]]:
    """Return the output that rows are added to one by one, if any, and the others.

    Raises:
        InputError: There is not exactly one that can be.
    """
    outputs = list(options["output"])
    if not options["resume"]:
        return None, outputs
    suitable = [output for output in outputs if output.suffix.lower() in storage.SUITABLE]
    if len(suitable) != 1:
        raise InputError(
            "--resume needs exactly one --output that ends in "
            f"{' or '.join(storage.SUITABLE)}, and {len(suitable)} were given; give one"
        )
    outputs.remove(suitable[0])
    if any(os.path.realpath(output) == os.path.realpath(suitable[0]) for output in outputs):
        raise InputError(f"output {str(suitable[0])!r} is given twice; give it once")
    return suitable[0], outputs


def _opened(
    path: Path | None, schema: Schema[Any], *, dry_run: bool
) -> AbstractContextManager[Ledger | None]:
    """Return the ledger; none where none is wanted, and a dry run makes none."""
    if path is None or (dry_run and not path.exists()):
        return nullcontext()
    try:
        return cast("Ledger", storage.Ledger(path, schema))
    except OSError as error:
        raise click.ClickException(
            f"{str(path)!r} cannot be opened: {error.strerror}; choose another --output"
        ) from None


def _ledger_notes(ledger: Ledger, points: Sequence[ResumePoint], kind: Kind) -> Iterator[str]:
    """Yield what a person should know of a ledger before a run."""
    yield from (f"Note: {note}" for note in ledger.notes)
    done = sum(point.done is not None for point in points)
    if done:
        yield f"Note: {done} of {len(points)} {kind.group} are done already."
    for point in points:
        if point.stale is not None:
            yield (
                f"Caveat: {row_name(point.stale[0])}: the row in the file cannot be "
                "continued and is measured anew."
            )


@contextmanager
def _ending_signals_as_interrupt() -> Iterator[None]:
    """Let the first signal that ends a program interrupt the run, and ignore those that follow.

    What is left to do then is to write the rows that are done. A hang-up that is ignored already
    (nohup) stays ignored. Only the main thread may set handlers, and only it is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {n: handler for n in numbers if (handler := signal.getsignal(n)) != signal.SIG_IGN}

    def ignore(signum: int, frame: FrameType | None) -> None:
        # Not SIG_IGN, for which Python reports a signal that has already arrived as an error.
        pass

    def interrupt(signum: int, frame: FrameType | None) -> None:
        for number in before:
            signal.signal(number, ignore)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    yield
    for number, handler in before.items():
        signal.signal(number, handler or signal.SIG_DFL)

"""What the measuring commands do: options to questions, a run, its tables, and an exit code."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import click

from varsim.cli.publish import DISAGREED, DONE, FAILED, INTERRUPTED, UNMET, Publisher, say_error
from varsim.cli.terminal import Progress, is_terminal
from varsim.compute import Mapper, check_workers, lazy, local
from varsim.compute.provenance import FRAMEWORKS, frameworks
from varsim.errors import InputError
from varsim.fields import Schema
from varsim.layer.kind import LAYER
from varsim.layer.plan import plan_table
from varsim.layer.question import SWEEP, Experiment
from varsim.layer.result import RESULTS
from varsim.layer.study import LayerStudy
from varsim.parsing import split_calls
from varsim.report.rows import (
    columns,
    named,
    row_name,
)
from varsim.runner import (
    Measurement,
    Outcome,
    ResumePoint,
    RunOptions,
    expand,
    has_long_calls,
    prepare,
    run,
    work_left,
)
from varsim.statistics import check_probability
from varsim.study import Kind, groups
from varsim.table import Column, Table, View
from varsim.usercode import stdout_to_stderr

if TYPE_CHECKING:
    from varsim.storage.ledger import Ledger

cluster, storage = lazy("varsim.compute.cluster"), lazy("varsim.storage.ledger")
network, stack_study = lazy("varsim.stack.question"), lazy("varsim.stack.study")
stack_kind, check_kind = lazy("varsim.stack.kind"), lazy("varsim.check.kind")
check_question, check_study = lazy("varsim.check.question"), lazy("varsim.check.study")
theory = lazy("varsim.stack.theory")
initializers, kinds = lazy("varsim.initializers"), lazy("varsim.kinds")


def results(options: dict[str, Any]) -> int:
    """Measure one layer: the command ``varsim`` itself."""
    _check(options, RESULTS)
    fixed = ("samples", "precision", "max_samples", "seed", "dtype")
    experiments, notes = expand(
        _swept(options, SWEEP), {name: options[name] for name in fixed}, Experiment
    )
    studies = [
        LayerStudy(experiment, options["confidence"], histogram=options["histogram"])
        for experiment in experiments
    ]
    return _measure(LAYER, studies, options, notes)


def layers(options: dict[str, Any]) -> int:
    """Measure deep stacks: the command ``varsim layers``."""
    _check(options, stack_kind.STACK.schema)
    swept, widths = _swept(options, network.SWEEP), options["widths"]
    if widths:
        if options["width"] or options["depth"]:
            raise InputError("--widths names every layer; leave --width and --depth out")
        swept |= {"width": [tuple(widths)], "depth": [len(widths) - 1]}
    fixed = {name: options[name] for name in ("batch", "networks", "precision", "seed", "dtype")}
    networks, notes = expand(
        swept, fixed | {"backward": not options["no_backward"]}, network.network
    )
    studies = [
        stack_study.StackStudy(
            n,
            options["confidence"],
            options["histogram"],
            options["infinite_width"],
            _max_networks(options),
        )
        for n in networks
    ]
    with stdout_to_stderr():
        for n in networks:  # what theory refuses is a mistake, told before anything is sampled
            theory.predict(n)
    return _measure(stack_kind.STACK, studies, options, notes)


def checks(options: dict[str, Any]) -> int:
    """Check initializers: the command ``varsim init``.

    Those that are named have to work; of all that are installed, one that does not is left out.
    """
    _check(options, check_kind.CHECK.schema)
    names = list(chain.from_iterable(map(split_calls, options["names"])))
    dims, fan_outs = _swept(options, {"dim": [512], "fan_out": [None]}).values()
    pairs = itertools.product(dims, fan_outs)
    shapes = [(dim, dim if fan_out is None else fan_out) for dim, fan_out in pairs]
    fixed = {"seed": options["seed"], "dtype": options["dtype"]}
    for shape in [] if names else shapes:
        # It allows every shape, so this refuses a wrong one once, and a wrong number of draws.
        check_study.CheckStudy(
            check_question.question("trunc_normal", *shape, **fixed), options["draws"]
        )
    studies: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    with _EndingSignals(), stdout_to_stderr():
        if not names:
            left_out = {
                n: f"{n} cannot be loaded ({why})" for n, why in initializers.unloadable().items()
            }
        for shape, name in itertools.product(shapes, names or initializers.installed()):
            try:
                asked = check_question.question(name, *shape, **fixed)
            except InputError as error:
                if names:
                    raise
                left_out.setdefault(name, error.reason)
                continue
            study = check_study.CheckStudy(asked, options["draws"], options["confidence"])
            studies.setdefault(asked.key, study)
    notes = [] if names else [_found()]
    return _measure(
        check_kind.CHECK, list(studies.values()), options, notes, None if names else left_out
    )


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
    dry_run = options.get("dry_run", False)
    with _opened(ledger_path, kind.schema, dry_run=dry_run) as ledger:
        points = [ResumePoint(s) if ledger is None else ledger.resume(s) for s in studies]
        for note in [] if ledger is None else _ledger_notes(ledger, points, kind):
            publisher.say(note)
        if dry_run:
            _say_all(publisher, notes)
            return _plan(publisher, points, workers)
        # While other code is stdout_to_stderr, stdout is not what it was.
        live = is_terminal(sys.stdout) and not kind.table_per_question
        show = _live_columns(kind, publisher.view) if live else None
        with _EndingSignals() as signals:
            with stdout_to_stderr():
                to_run = [point.study for point in points if point.done is None]
                if left_out is None:
                    _prepare(to_run)
                # Only now: a mistake of the user's is told alone.
                _say_all(publisher, notes)
                with Progress(len(points), quiet=options["quiet"], columns=show) as progress:
                    outcome = run(
                        points,
                        RunOptions(
                            alpha=options["alpha"],
                            max_seconds=options.get("max_time"),
                            lenient=left_out is not None,
                        ),
                        _mappers(options, points, partial(_tell, publisher, progress)),
                        ledger=ledger,
                        progress=progress,
                    )
                    signals.armed = False  # until the rows are in their files
            outcome.left_out = {**(left_out or {}), **outcome.left_out}
            tables = _tables(kind, outcome)
            written = _store(publisher, tables, outcome, ledger)
            outcome.interrupted |= signals.received
            # A pager that is not read holds stdout up, and a second signal ends that.
            signals.armed = True
            written &= _show(publisher, kind, outcome, tables, options)
    if outcome.failure is not None:
        say_error(outcome.failure)
    return _exit_code(studies, outcome, written=written, check=options["check"])


def _mappers(
    options: dict[str, Any], points: Sequence[ResumePoint], tell: Callable[[str], object]
) -> AbstractContextManager[Mapper]:
    """Return who computes: a cluster, or workers of this machine."""
    workers, scheduler = check_workers(options["workers"]), options["scheduler"]
    if scheduler:
        return cast("AbstractContextManager[Mapper]", cluster.cluster(scheduler, workers, tell))
    long_calls = any(has_long_calls(point.study) for point in points)
    return local(workers, work_left(points), long_calls=long_calls)


def _plan(publisher: Publisher, points: Sequence[ResumePoint], workers: int) -> int:
    """Print what would run, and what it would cost; return the exit code."""
    left = [Measurement(p.study, p.totals) for p in points if p.done is None]
    if not left:
        publisher.say("Nothing is left to run.")
        return DONE
    extents = [(each.count, each.target or each.count) for each in left]
    table = plan_table([each.study.question for each in left], workers, extents)
    # A plan has columns of its own.
    return DONE if replace(publisher, view=View()).write(table) else FAILED


def _tell(publisher: Publisher, progress: Progress, sentence: str) -> None:
    """Tell a person something in the middle of a run."""
    progress.clear()
    publisher.say(f"Note: {sentence}")


def _say_all(publisher: Publisher, notes: Iterable[str]) -> None:
    for note in [*notes, *publisher.unwritable()]:
        publisher.say(note)


def _remarks(kind: Kind, outcome: Outcome) -> list[str]:
    """Return what the captions of the tables say of a run that ended before its end."""
    if outcome.complete >= outcome.asked:
        return []
    how = "Interrupted" if outcome.interrupted else "Ended early"
    partial = f", and {outcome.partial} in part" if outcome.partial else ""
    done = f"{outcome.complete} of {outcome.asked} {kind.group} were done"
    return [f"{how}: {done}{partial}."]


def _tables(kind: Kind, outcome: Outcome) -> list[Table]:
    remarks = _remarks(kind, outcome)
    return [kind.table(group, remarks) for group in groups(kind, outcome.rows) if group]


def _store(
    publisher: Publisher, tables: Sequence[Table], outcome: Outcome, ledger: Ledger | None
) -> bool:
    """Write the rows that are done to the ledger and to files; return whether all was written."""
    if not tables:
        return True
    written = ledger is None or _finalized(ledger, outcome.rows)
    return publisher.write_files(*tables) and written


def _show(
    publisher: Publisher,
    kind: Kind,
    outcome: Outcome,
    tables: Sequence[Table],
    options: dict[str, Any],
) -> bool:
    """Write the rows to stdout, then sentences to stderr; return whether they were written."""
    rows = outcome.rows
    if not rows:
        publisher.say(f"None of the {kind.group} was finished.")
        if outcome.left_out:
            publisher.say(f"Left out: {'; '.join(outcome.left_out.values())}.")
        return True
    drawn = publisher.view.order(tables[0].records) if options.get("plot") else []
    written = publisher.show(
        *tables,
        prose=kind.explain(rows) if options["explain"] else "",
        drawn=[rows[place] for place in drawn],
    )
    for table in tables:
        for sentence in table.caveats:
            publisher.say(f"Caveat: {sentence}")
    if not publisher.shows_captions:  # a person who sees the table has read them below it
        for remark in _remarks(kind, outcome):
            publisher.say(remark)
    for row in outcome.unchanged:
        publisher.say(
            f"Caveat: {row_name(row)}: the row in the file is kept, because the new "
            "measurement is less precise."
        )
    if outcome.left_out:
        publisher.say(f"Left out: {'; '.join(outcome.left_out.values())}.")
    for sentence in summary(kind, rows):
        publisher.say(sentence)
    return written


def _live_columns(kind: Kind, view: View) -> Callable[[Sequence[Any]], Sequence[Column]]:
    """Return what makes the columns of the rows that are done, while others are measured."""
    if not view.columns:
        return columns
    chosen = View(view.columns)
    return lambda rows: chosen.of(kind.table(rows, ())).columns


def _finalized(ledger: Ledger, rows: Sequence[Any]) -> bool:
    """Put the rows of a ledger in order; return whether they are where they were to go."""
    try:
        ledger.finalize(rows)
    except OSError as error:
        say_error(
            f"{str(ledger.path)!r} could not be put in order: {error.strerror}; its rows are safe, "
            "run the same command again"
        )
        return False
    return True


def summary(kind: Kind, rows: Sequence[Any]) -> Iterator[str]:
    """Yield how many rows agree with theory; initializers have claims, and no such sentence."""
    name = kind.counted
    if name is None:
        return
    known = sum(row.agrees is not None for row in rows)
    wrong = [row for row in rows if row.agrees is False]
    if wrong:
        yield f"{len(wrong)} of {known} {name}disagree with theory: {named(wrong, 5)}."
    else:
        yield f"{known} of {known} {name}agree with theory."


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


def _swept(options: dict[str, Any], defaults: Mapping[str, list[Any]]) -> dict[str, Sequence[Any]]:
    """Return the values of every swept field, in the order of the table."""
    return {
        name: list(chain.from_iterable(options[name])) or default
        for name, default in defaults.items()
    }


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


def _check(options: dict[str, Any], schema: Schema[Any]) -> None:
    """Refuse what no command takes, before anything is loaded."""
    for name in ("max_time", "max_networks"):
        if options.get(name) is not None and options["precision"] is None:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(f"{flag} needs --precision; add --precision, or leave {flag} out")
    for name in ("confidence", "alpha"):
        check_probability(name, options[name])
    check_workers(options["workers"])
    _, publisher = _publisher(options)
    publisher.view.check(schema)


def _publisher(options: dict[str, Any]) -> tuple[Path | None, Publisher]:
    """Return the output that rows are added to one by one, if any, and what publishes the rest."""
    ledger, outputs = _ledger_output(options)
    return ledger, Publisher.of(options, outputs)


def _load(studies: Iterable[Any]) -> None:
    """Load what initializers belong to, so that a mistake is told before a run."""
    made = {s.question.init: s.question.initializer for s in studies}
    with stdout_to_stderr():
        for initializer in made.values():
            initializer.load()


def _prepare(studies: Iterable[Any]) -> None:
    """Draw W once from every initializer and call every activation, before anything runs."""
    asked = {s.question.tried_once: s for s in studies}
    asked.pop((), None)
    for study in asked.values():
        prepare(study)


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
        return storage.Ledger(path, schema, kinds.SCHEMAS, read_only=dry_run)
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


class _EndingSignals(AbstractContextManager["_EndingSignals"]):
    """Lets the first signal that ends a program interrupt the run, and holds up those that follow.

    What is left to do then is to write the rows that are done. A hang-up that is ignored already
    (nohup) stays ignored. Only the main thread may set handlers, and only it is interrupted.

    Attributes:
        armed: Whether a signal interrupts what is done now; it is not held up.
        received: Whether there was one.
    """

    def __enter__(self) -> _EndingSignals:
        """Set the handlers."""
        self.armed, self.received = True, False
        names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        if threading.current_thread() is not threading.main_thread():
            numbers = []
        handlers = {number: signal.getsignal(number) for number in numbers}
        self._before = {n: h or signal.SIG_DFL for n, h in handlers.items() if h != signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Set those from before again; an interrupted program goes on holding signals up."""
        for number, handler in self._before.items() if kind is None else ():
            signal.signal(number, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.received = True
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

"""A session: studies are measured, and their rows published."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias

import click

from varsim.cli.collector import no_garbage_collector
from varsim.cli.options import MeasuringOptions
from varsim.cli.publish import Drawing, Publisher, summary
from varsim.cli.signals import INTERRUPTED, signals
from varsim.cli.streams import DISAGREED, DONE, FAILED, UNMET, is_terminal, say_error
from varsim.cli.terminal import Progress
from varsim.compute import Mapper, check_workers, lazy, local
from varsim.errors import InputError
from varsim.fields.rounding import time_in_words
from varsim.report.rows import columns, row_name
from varsim.runner import (
    Left,
    Outcome,
    ResumePoint,
    Run,
    RunOptions,
    prepare,
)
from varsim.statistics import check_probability
from varsim.study import B, Kind, Rep, Study, Tot, groups
from varsim.table import ALL, Column, Table, View
from varsim.usercode import stdout_to_stderr

if TYPE_CHECKING:
    from varsim import kinds
    from varsim.compute import cluster
    from varsim.storage import ledger as storage
    from varsim.storage.ledger import Ledger
else:
    cluster, storage = lazy("varsim.compute.cluster"), lazy("varsim.storage.ledger")
    kinds = lazy("varsim.kinds")

Plan: TypeAlias = Callable[[Sequence[Left], int], Table]
"""Returns the table of a dry run, from what is left per question and the number of workers."""


@dataclass(frozen=True)
class Session(Generic[B]):
    """A run of one command, from its options to the exit code.

    Attributes:
        kind: The kind of rows.
        options: Values of the command's options.
        workers: Number of threads or processes.
        ledger_path: The output that rows are added to one by one, or None.
        publisher: Writes the rows to stdout and to the other outputs.
    """

    kind: Kind[B]
    options: MeasuringOptions
    workers: int
    ledger_path: Path | None
    publisher: Publisher

    @classmethod
    def of(cls, kind: Kind[B], options: MeasuringOptions) -> Session[B]:
        """Return a session with checked options; nothing is opened or loaded yet.

        Raises:
            InputError: An option is not allowed.
        """
        check_probability("confidence", options.confidence)
        check_probability("alpha", options.alpha)
        workers = check_workers(options.workers)
        ledger_path, outputs = _ledger_output(options)
        publisher = Publisher.of(options, outputs)
        publisher.view.check(kind.schema)
        return cls(kind, options, workers, ledger_path, publisher)

    def run(
        self,
        studies: Sequence[Study[Rep, Tot, B]],
        notes: Iterable[str],
        skipped: Mapping[str, str] | None = None,
        plan: Plan | None = None,
    ) -> int:
        """Measure studies, publish their rows in the same order, and return the exit code.

        Args:
            studies: What is measured.
            notes: Sentences to say before the run.
            skipped: Initializers and the reasons why they are left out. If it is given, unusable
                initializers are left out too; if it is None, they raise.
            plan: Returns the table of a dry run.
        """
        if skipped is None:
            _load_initializers(studies)
        with self._opened_ledger() as ledger:
            with no_garbage_collector():
                points = [ledger.resume(s) if ledger else ResumePoint(s) for s in studies]
            self._say_ledger_notes(ledger, points)
            planned = Run(points, self._run_options(lenient=skipped is not None))
            if plan is not None and self.options.dry_run:
                self._say_notes(notes)
                return self._show_plan(planned, plan)
            live_columns = self._live_columns()  # of stdout, before it is redirected
            with stdout_to_stderr():
                if skipped is None:
                    _prepare(point.study for point in points if point.done is None)
                # Notes follow the checks, so that an error is the only output.
                self._say_notes(notes)
                with Progress(
                    len(points), quiet=self.options.quiet, columns=live_columns
                ) as progress:
                    mapper = self._mapper(planned)
                    outcome = planned.measure(mapper, ledger=ledger, progress=progress)
                    signals.hold()  # until the rows are in their files
            outcome.left_out = {**(skipped or {}), **outcome.left_out}
            with no_garbage_collector():
                tables = self._tables(outcome)
                written = self._store(tables, outcome, ledger)
                outcome.interrupted |= signals.received
                # Writing may block on a pager: let a second signal interrupt it.
                signals.release()
                written &= self._show(tables, outcome)
        if outcome.failure is not None:
            say_error(outcome.failure)
        return _exit_code(studies, outcome, written=written, check=self.options.check)

    def _opened_ledger(self) -> AbstractContextManager[Ledger[B] | None]:
        """Return the ledger; none without a path, and a dry run makes none."""
        path, dry_run = self.ledger_path, self.options.dry_run
        if path is None or (dry_run and not path.exists()):
            return nullcontext()
        try:
            with no_garbage_collector():
                return storage.Ledger(path, self.kind.schema, kinds.SCHEMAS, read_only=dry_run)
        except OSError as error:
            raise click.ClickException(
                f"{str(path)!r} cannot be opened: {error.strerror}; choose another --output"
            ) from None

    def _say_ledger_notes(
        self, ledger: Ledger[B] | None, points: Sequence[ResumePoint[Rep, Tot, B]]
    ) -> None:
        if ledger is None:
            return
        for note in ledger.notes:
            self.publisher.say(f"Note: {note}")
        done = sum(point.done is not None for point in points)
        if done:
            self.publisher.say(f"Note: {done} of {len(points)} {self.kind.group} are done already.")
        for point in points:
            if point.stale is not None:
                self.publisher.say(
                    f"Caveat: {row_name(point.stale[0])}: the row in the file cannot be "
                    "continued and is measured anew."
                )

    def _say_notes(self, notes: Iterable[str]) -> None:
        for note in [*notes, *self.publisher.unwritable()]:
            self.publisher.say(note)

    def _show_plan(self, planned: Run[Rep, Tot, B], plan: Plan) -> int:
        """Show the cost of a run; return the exit code."""
        if not planned.left:
            self.publisher.say("Nothing is left to run.")
            return DONE
        seconds = None
        if not self.publisher.quiet:
            with stdout_to_stderr():  # before the plan, so that an error is the only output
                seconds = planned.expected_seconds(self.workers)
        # A plan has columns of its own: all of them, or those that have room.
        view = View(tuple(name for name in self.publisher.view.columns if name == ALL))
        if not replace(self.publisher, view=view).write(plan(planned.left, self.workers)):
            return FAILED
        if seconds is not None:
            self.publisher.say(f"On this machine it takes about {time_in_words(seconds)}.")
        return DONE

    def _live_columns(self) -> Callable[[Sequence[B]], Sequence[Column]] | None:
        """Return a function that makes the columns of finished rows; None if none are shown."""
        if self.kind.table_per_question or not is_terminal(sys.stdout):
            return None
        if not self.publisher.view.columns:
            return columns
        chosen = View(self.publisher.view.columns)
        return lambda rows: chosen.of(self.kind.table(rows, ())).columns

    def _run_options(self, *, lenient: bool) -> RunOptions:
        return RunOptions(
            alpha=self.options.alpha, max_seconds=self.options.max_time, lenient=lenient
        )

    def _mapper(self, planned: Run[Rep, Tot, B]) -> AbstractContextManager[Mapper]:
        """Return the mapper of a cluster, or of workers on this machine."""
        if self.options.scheduler:
            return cluster.cluster(self.options.scheduler, self.workers)
        return local(self.workers, planned.remaining, long_calls=planned.has_long_calls)

    def _tables(self, outcome: Outcome[B]) -> list[Table]:
        remarks = self._remarks(outcome)
        return [self.kind.table(rows, remarks) for rows in groups(self.kind, outcome.rows) if rows]

    def _remarks(self, outcome: Outcome[B]) -> list[str]:
        """Return what captions say of a run that ended early."""
        if outcome.complete >= outcome.asked:
            return []
        how = "Interrupted" if outcome.interrupted else "Ended early"
        partial = f", and {outcome.partial} in part" if outcome.partial else ""
        done = f"{outcome.complete} of {outcome.asked} {self.kind.group} were done"
        return [f"{how}: {done}{partial}."]

    def _store(
        self, tables: Sequence[Table], outcome: Outcome[B], ledger: Ledger[B] | None
    ) -> bool:
        """Write the rows to the ledger and to files; return whether all was written."""
        if not tables:
            return True
        written = ledger is None or _finalized(ledger, outcome.rows)
        return self.publisher.write_files(*tables) and written

    def _show(self, tables: Sequence[Table], outcome: Outcome[B]) -> bool:
        """Write the rows to stdout, then sentences to stderr; return whether they were written."""
        rows, say = outcome.rows, self.publisher.say
        if not rows:
            say(f"None of the {self.kind.group} was finished.")
            self._say_left_out(outcome)
            return True
        written = self.publisher.show(
            *tables,
            prose=self.kind.explain(rows) if self.options.explain else "",
            drawn=self._drawing(tables[0], rows) if self.options.plot else None,
        )
        self.publisher.say_caveats(tables)
        if not self.publisher.shows_captions:  # which hold the remarks
            for remark in self._remarks(outcome):
                say(remark)
        for row in outcome.unchanged:
            say(
                f"Caveat: {row_name(row)}: the row in the file is kept, because the new "
                "measurement is less precise."
            )
        self._say_left_out(outcome)
        for sentence in summary(self.kind, rows):
            say(sentence)
        return written

    def _drawing(self, table: Table, rows: Sequence[B]) -> Drawing | None:
        """Return what draws rows, in the order of their table."""
        if self.kind.drawing is None:
            return None
        view = self.publisher.view
        if view.sort:
            rows = [rows[place] for place in view.order(table)]
        return partial(self.kind.drawing, rows)

    def _say_left_out(self, outcome: Outcome[B]) -> None:
        if outcome.left_out:
            self.publisher.say(f"Left out: {'; '.join(outcome.left_out.values())}.")


def _ledger_output(options: MeasuringOptions) -> tuple[Path | None, list[Path]]:
    """Return the output that rows are added to one by one, if any, and the others.

    Raises:
        InputError: There is not exactly one that can be.
    """
    outputs = list(options.output)
    if not options.resume:
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


def _load_initializers(studies: Iterable[Study[Rep, Tot, B]]) -> None:
    """Load every initializer once, so that a mistake is told before a run."""
    initializers = {s.question.init: s.question.initializer for s in studies}
    with stdout_to_stderr():
        for initializer in initializers.values():
            initializer.load()


def _finalized(ledger: Ledger[B], rows: Sequence[B]) -> bool:
    """Put the rows of a ledger in order; return whether they are in its place."""
    try:
        ledger.finalize(rows)
    except OSError as error:
        rest = "its rows are safe" if ledger.is_in_place else "it is not where it was"
        say_error(
            f"{str(ledger.path)!r} could not be put in order: {error.strerror}; {rest}, run the "
            "same command again"
        )
        return False
    return True


def _prepare(studies: Iterable[Study[Rep, Tot, B]]) -> None:
    """Draw W once from every initializer and call every activation, before anything runs."""
    by_code = {study.question.tried_once: study for study in studies}
    by_code.pop((), None)
    for study in by_code.values():
        prepare(study)


def _exit_code(
    studies: Sequence[Study[Rep, Tot, B]], outcome: Outcome[B], *, written: bool, check: bool
) -> int:
    if outcome.failure is not None:
        return FAILED
    if outcome.interrupted:
        return INTERRUPTED
    if not written:
        return FAILED
    if check and any(row.agrees is False or row.is_outside for row in outcome.rows):
        return DISAGREED
    precisions = [study.question.precision for study in studies]
    met = all(
        precision is None or all(row.relative_error <= precision for row in group)
        for precision, group in zip(precisions, outcome.groups, strict=False)
    )
    return DONE if met else UNMET

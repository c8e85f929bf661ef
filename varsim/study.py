"""The contract of all studies: questions, studies, totals, rows and kinds.

A *question* is a set of settings. A *study* measures it in replicates. *Totals* add replicates up.
*Rows* consist of question and totals. A *kind* reads, shows, compares and draws the rows of one
study. The runner, the ledger and the reports know these protocols alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeVar

from varsim.fields import Question, RowBase, Schema
from varsim.statistics import Caveat, Estimate
from varsim.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "B", "Drawn", "Kind", "Ledger", "Progress", "Question", "R", "Rep", "Rep_co", "Resumed", "Row",
    "Study", "Tot", "Totals", "batches", "groups",
]  # fmt: skip


class Drawn(NamedTuple):
    """A figure with its texts.

    Attributes:
        figure: The figure.
        caption: Its caption, without line breaks.
        remarks: Notes to the person who draws, a sentence each.
    """

    figure: Figure
    caption: str
    remarks: list[str]


Rep = TypeVar("Rep")
Rep_co = TypeVar("Rep_co", covariant=True)
Rep_contra = TypeVar("Rep_contra", contravariant=True)


class Totals(Protocol[Rep_contra]):
    """Running sums over replicates, in constant size."""

    @property
    def count(self) -> int:
        """Number of replicates."""

    @property
    def next_check(self) -> int | None:
        """Number of replicates at the stored next decision of the stopping rule, or None."""

    def plus(self, *replicates: Rep_contra) -> Self:
        """Return the totals after more replicates."""

    def with_check(self, check: int | None) -> Self:
        """Return the totals with another :attr:`next_check`."""


class Row(Protocol):
    """A row of a table: a question, its totals, and the columns computed from them."""

    @property
    def question(self) -> Question:
        """The question."""

    @property
    def place(self) -> int:
        """Place among the rows of one question, from 1 on."""

    @property
    def key(self) -> str:
        """The key of the question, with further pooled seeds."""

    @property
    def confidence(self) -> float:
        """Level of the intervals."""

    @property
    def estimates(self) -> Sequence[Estimate]:
        """The estimates that the verdict tests."""

    @property
    def relative_error(self) -> float:
        """The relative standard error that a precision bounds."""

    @property
    def met(self) -> bool:
        """Whether the requested precision or number of replicates is reached."""

    @property
    def agrees(self) -> bool | None:
        """The verdict; None before judgement and without a claim."""

    @property
    def caveats(self) -> Sequence[Caveat]:
        """The caveats of the row."""

    def judged(self, *, agrees: bool | None, alpha: float | None, tests: int | None) -> Self:
        """Return the row with a verdict."""

    def at(self, confidence: float) -> Self:
        """Return the row with another confidence level."""


# A bound cannot name another type variable, so the type of replicates is Any.
Tot = TypeVar("Tot", bound=Totals[Any])
R = TypeVar("R", bound=Row)
R_contra = TypeVar("R_contra", bound=Row, contravariant=True)


class Resumed(NamedTuple, Generic[Rep, Tot, R]):
    """The state of a study that resumes from the rows of a file.

    Attributes:
        study: The study to continue with.
        totals: The totals to resume from; None if the rows are stale.
        is_done: Whether the rows answer the question completely.
    """

    study: Study[Rep, Tot, R]
    totals: Tot | None
    is_done: bool


class Study(Protocol[Rep, Tot, R]):
    """A measurement of a question in independent, numbered replicates."""

    @property
    def question(self) -> Question:
        """The question."""

    @property
    def confidence(self) -> float:
        """Level of the rows' intervals."""

    @property
    def minimum(self) -> int:
        """Least number of replicates for an error bar."""

    @property
    def batch(self) -> int:
        """Replicates per batch: those that are sampled together."""

    @property
    def cost(self) -> int:
        """Random numbers per replicate."""

    @property
    def memory(self) -> int:
        """Approximate bytes of arrays per worker."""

    def prepare(self) -> None:
        """Load and check frameworks and user code, or raise an InputError."""

    def empty(self) -> Tot:
        """Return the totals of no replicates."""

    def sample(self, indices: range) -> list[Rep]:
        """Return the replicates of consecutive indices."""

    def next_check(self, totals: Tot) -> int | None:
        """Return the number of replicates at the next check, or None if there are enough."""

    def rows(self, totals: Tot) -> list[R]:
        """Return the rows of the totals."""

    def resume(self, rows: Sequence[R]) -> Resumed[Rep, Tot, R]:
        """Return the study and the totals to continue from, given the rows of a file."""


def batches(indices: range, size: int) -> Iterator[range]:
    """Yield consecutive indices batch by batch; batch b holds ``size`` of them from b · size on.

    >>> list(batches(range(3, 10), 4))
    [range(3, 4), range(4, 8), range(8, 10)]
    """
    start = indices.start
    while start < indices.stop:
        stop = min(indices.stop, (start // size + 1) * size)
        yield range(start, stop)
        start = stop


class Ledger(Protocol[R_contra]):
    """A store of finished rows."""

    def add(self, rows: Sequence[R_contra]) -> None:
        """Add the rows of one question."""

    def failure(self, error: OSError) -> str:
        """Return the sentence about rows that could not be added."""


class Progress(Protocol[R_contra]):
    """The progress display of a run."""

    def advance(self, work: float) -> None:
        """Advance the bar by ``work`` random numbers."""

    def add_total(self, change: float) -> None:
        """Add random numbers to the total of the run."""

    def show(self, groups: Mapping[int, Sequence[R_contra]]) -> None:
        """Show the finished rows, by the place of their question."""


B = TypeVar("B", bound=RowBase)


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[B]):
    """The functions that read, show, compare and draw the rows of one study.

    Attributes:
        schema: The fields of the rows.
        group: The rows of one question, in the plural, such as "stacks".
        replicates: The replicates, in the plural, such as "networks".
        table: Returns the table of rows, with remarks below; with ``table_per_question``, of the
            rows of one question.
        explain: Returns the explanation of the rows, in their numbers.
        figure: Draws rows at a width in inches.
        extent: Returns the number of draws per row, in words.
        compared: Names of further fields of both rows in the records of comparisons.
        drawing: Draws rows as text of a width in characters, in ASCII if asked; None without
            drawings.
        measures: Returns the estimates of a row to compare, by name; None for an unknown one.
        same_quantity: Further settings of the measured quantity, beside those that captions name.
        by_ratio: Returns whether a row is compared by its ratio to theory.
        same_totals: Returns whether two rows have the same totals, apart from a histogram.
        counts: Returns whether a row has a histogram.
        obstacle: Returns the obstacle to adding up two rows of one question, or None.
        pooled: Returns the row of all draws of several rows, in the order of their seeds.
        table_per_question: Whether there is one table per question.
        counted: The number in the summary's sentence, such as "layers "; None for no sentence.
    """

    schema: Schema[B]
    group: str
    replicates: str
    table: Callable[[Sequence[B], Sequence[str]], Table]
    explain: Callable[[Sequence[B]], str]
    figure: Callable[[Sequence[B], float], Drawn]
    extent: Callable[[Sequence[B]], str]
    compared: tuple[str, ...] = ()
    drawing: Callable[[Sequence[B], int, bool], str] | None = None
    measures: Callable[[B], Mapping[str, Estimate | None]]
    same_quantity: tuple[str, ...] = ()
    by_ratio: Callable[[B], bool] = lambda _: False
    same_totals: Callable[[B, B], bool]
    counts: Callable[[B], bool] = lambda _: False
    obstacle: Callable[[B, B], str | None] = lambda *_: None
    pooled: Callable[[Sequence[B]], B]
    table_per_question: bool = False
    counted: str | None = ""


def groups(kind: Kind[B], rows: Sequence[B]) -> Iterator[list[B]]:
    """Yield the rows of each table."""
    if not kind.table_per_question:
        yield list(rows)
        return
    group: list[B] = []
    for row in rows:
        if group and group[-1].question != row.question:
            yield group
            group = []
        group.append(row)
    if group:
        yield group

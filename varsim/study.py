"""The contract of the trunk: what is asked, how it is measured, what adds up, and what is shown.

A *question* is asked, a *study* says how it is measured, *totals* add up, *rows* hold question and
totals, and a *kind* says how the rows of one study are read, shown, compared and drawn. Whoever
knows one study knows all of them.
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
    "Study", "Tot", "Totals", "groups",
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
    """What replicates add up to, in a size that does not grow with them."""

    @property
    def count(self) -> int:
        """Number of replicates."""

    @property
    def next_check(self) -> int | None:
        """The number of replicates at which the stopping rule decides next, if it is to be kept."""

    def plus(self, *replicates: Rep_contra) -> Self:
        """Return the totals with more replicates."""

    def with_check(self, check: int | None) -> Self:
        """Return the totals with another :attr:`next_check`."""


class Row(Protocol):
    """A row of a table: a question, its totals, and what follows from them."""

    @property
    def question(self) -> Question:
        """What was asked."""

    @property
    def place(self) -> int:
        """Place among the rows of one question, from 1 on."""

    @property
    def key(self) -> str:
        """The question's key, with further seeds that are pooled."""

    @property
    def confidence(self) -> float:
        """Level of the intervals."""

    @property
    def estimates(self) -> Sequence[Estimate]:
        """The estimates that the verdict is about."""

    @property
    def relative_error(self) -> float:
        """The relative standard error that a precision is about."""

    @property
    def met(self) -> bool:
        """Whether all that was asked for was measured."""

    @property
    def agrees(self) -> bool | None:
        """The verdict; None before it is passed, and without a claim."""

    @property
    def caveats(self) -> Sequence[Caveat]:
        """What a reader should know."""

    def judged(self, *, agrees: bool | None, alpha: float | None) -> Self:
        """Return the row with a verdict."""

    def at(self, confidence: float) -> Self:
        """Return the row with intervals of another level."""


# A bound cannot name another type variable, so that of the replicates is left open.
Tot = TypeVar("Tot", bound=Totals[Any])
R = TypeVar("R", bound=Row)
R_contra = TypeVar("R_contra", bound=Row, contravariant=True)


class Resumed(NamedTuple, Generic[Rep, Tot, R]):
    """How a study goes on from the rows of a file.

    Attributes:
        study: The study to continue with.
        totals: What replicates are added to; None where the rows are stale.
        is_done: Whether the rows are all that was asked for.
    """

    study: Study[Rep, Tot, R]
    totals: Tot | None
    is_done: bool


class Study(Protocol[Rep, Tot, R]):
    """How a question is measured: in replicates, which are independent and numbered."""

    @property
    def question(self) -> Question:
        """What is asked."""

    @property
    def confidence(self) -> float:
        """Level of the rows' intervals."""

    @property
    def minimum(self) -> int:
        """Replicates that an error bar needs."""

    @property
    def batch(self) -> int:
        """Replicates that are best sampled in one go."""

    @property
    def cost(self) -> int:
        """Random numbers per replicate."""

    @property
    def memory(self) -> int:
        """Bytes of arrays per worker, about."""

    def prepare(self) -> None:
        """Load and check what is sampled with, or raise an InputError."""

    def empty(self) -> Tot:
        """Return the totals of no replicates."""

    def sample(self, indices: range) -> list[Rep]:
        """Return consecutive replicates."""

    def next_check(self, totals: Tot) -> int | None:
        """Return the number of replicates at which to decide next; None where there are enough."""

    def rows(self, totals: Tot) -> list[R]:
        """Return the rows of the totals."""

    def resume(self, rows: Sequence[R]) -> Resumed[Rep, Tot, R]:
        """Return how to go on from the rows of a file."""


class Ledger(Protocol[R_contra]):
    """Where rows go as soon as they are done."""

    def add(self, rows: Sequence[R_contra]) -> None:
        """Add the rows of one question."""

    def failure(self, error: OSError) -> str:
        """Return a sentence on rows that could not be added."""


class Progress(Protocol[R_contra]):
    """What a person sees while a run goes on."""

    def advance(self, work: float) -> None:
        """Advance the bar by ``work`` random numbers."""

    def add_total(self, change: float) -> None:
        """Add random numbers to the total of the run."""

    def show(self, groups: Mapping[int, Sequence[R_contra]]) -> None:
        """Show the rows that are done, by the place of their question."""


B = TypeVar("B", bound=RowBase)


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[B]):
    """How the rows of one study are read, shown, compared and drawn.

    Attributes:
        schema: Their fields.
        group: The rows of one question, in the plural, such as "stacks".
        replicates: The replicates, in the plural, such as "networks".
        table: Returns the table of rows, with remarks below; of one question where each has a
            table of its own.
        explain: Returns why the rows are what they are, in their own numbers.
        figure: Draws rows at a width in inches; None where there is no figure.
        extent: Returns how much was drawn per row, in words.
        compared: Names of further fields of both rows in the records of comparisons.
        drawing: Draws rows as text of a width, in ASCII if asked; None where there is none.
        measures: What is compared of a row: estimates by their names; None where there is none.
        same_quantity: Settings that say what was measured beside those that captions name.
        by_ratio: Tells whether a row is compared by its ratio to theory.
        same_totals: Tells whether two rows have the same totals, but for a histogram.
        counts: Tells whether a row has a histogram.
        obstacle: Returns why two rows of one question cannot be added up; None where they can.
        pooled: Returns the row of all draws of several, in the order of their seeds.
        table_per_question: Whether the rows of each question have a table of their own.
        counted: The number in the summary's sentence, such as "layers "; None for no sentence.
    """

    schema: Schema[B]
    group: str
    replicates: str
    table: Callable[[Sequence[B], Sequence[str]], Table]
    explain: Callable[[Sequence[B]], str]
    figure: Callable[[Sequence[B], float], Drawn] | None = None
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

"""Options: those that commands share, and records of their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import chain
from pathlib import Path
from typing import Any, Self, TypeAlias

import click
from click.shell_completion import CompletionItem

from varsim.catalog import FLOAT_TYPES
from varsim.cli.usage import GroupedOption
from varsim.errors import InputError, quoted
from varsim.report.formats import FORMATS, SUFFIXES
from varsim.settings import (
    DURATION,
    LAYER,
    RUN,
    Names,
    Reader,
    Setting,
    activation_names,
    initializer_names,
    known_name,
    listed,
    one,
)
from varsim.table import ALL
from varsim.usercode import stdout_to_stderr

Decorator: TypeAlias = Callable[[Callable[..., int]], Callable[..., int]]

FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
"""What figures are written as."""

HOW, OUT = "How it is sampled", "What comes out"

_SHORT_FORMATS = {suffix.removeprefix("."): name for suffix, name in SUFFIXES.items()}


_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^/\s]+:[0-9]{1,5}")


def _scheduler(text: str) -> str:
    address = text.strip()
    if address != "local" and not _ADDRESS.fullmatch(address):
        raise InputError(
            f"{quoted(text)} is not the address of a scheduler; give local, or one like "
            "tcp://localhost:8786"
        )
    return address


SCHEDULER = one("scheduler", _scheduler, lambda: ["local"])


# --- types


class Values(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 only
    """The values that a reader reads: one of them, or all that a text stands for."""

    def __init__(self, reader: Reader, *, several: bool = False) -> None:
        self.name, self._reader, self._several = reader.name, reader, several

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value or values, or fail with the reader's sentence."""
        try:
            with stdout_to_stderr():  # a gain may be that of a user's function
                values = self._reader.read(str(value))
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)
        return values if self._several else values[0]

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the last item of a list."""
        return completed(self._reader.known)(ctx, param, incomplete)


def completed(
    known: Names,
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return a completer of the last name of a list, with click's signature."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, start = incomplete.rpartition(",")
        names = (name for name in known() if name.startswith(start))
        return [CompletionItem(before + comma + name) for name in names]

    return complete


complete_activation = completed(activation_names)
complete_initializer = completed(initializer_names)


class Name(click.Choice[str]):
    """One name of several; a sentence names the nearest one for a slip of the finger."""

    def __init__(self, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> None:
        super().__init__(list(known), case_sensitive=False)
        self._aliases = aliases

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with a sentence."""
        try:
            return known_name(str(value), self.choices, self._aliases)
        except InputError as error:
            self.fail(str(error), param, ctx)


class Switch(click.types.BoolParamType):
    """A flag; in a variable it is 1 or 0."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the truth of a text, or fail with a sentence."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{quoted(value)} is neither on nor off; write 1 or 0", param, ctx)


class File(click.Path):
    """A file to write; one of some suffixes is refused, with advice."""

    def __init__(self, refused: Sequence[str] = (), advice: str = "") -> None:
        """Take the suffixes, and the advice, where ``{stem}`` is the file's name without it."""
        super().__init__(dir_okay=False, path_type=Path)
        self._refused, self._advice = refused, advice

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail with a sentence."""
        if not str(value):
            self.fail("the name is empty; give a file, such as results.csv", param, ctx)
        path = Path(value)
        if path.suffix.lower() in self._refused:
            advice = self._advice.format(stem=path.stem, file=path.name)
            self.fail(
                f"{quoted(value)} is a figure, and this command draws none; {advice}", param, ctx
            )
        return super().convert(value, param, ctx)


# --- options


def option(*flags: str, group: str, shared: bool = False, **attributes: object) -> Decorator:
    """Return an option in a group of the help, with click's attributes.

    One environment variable, without a command, is for all commands that have a shared option.
    """
    if attributes.get("is_flag"):
        attributes = {"type": Switch(), **attributes}
    return click.option(*flags, cls=GroupedOption, group=group, shared=shared, **attributes)


def single(
    setting: Setting, *short: str, group: str, shared: bool = False, **attributes: object
) -> Decorator:
    """Return the option of a setting that has one value; its help is the setting's, if given."""
    if setting.description:
        attributes = {"help": setting.description, **attributes}
    attributes = {"type": Values(setting.reader), **attributes}
    return option(*short, _flag(setting), group=group, shared=shared, **attributes)


def swept(setting: Setting, *short: str, group: str, **attributes: object) -> Decorator:
    """Return the option of a setting that sweeps: it takes lists, and may be repeated."""
    return repeated(
        *short, _flag(setting), reader=setting.reader, group=group, shared=False, **attributes
    )


def repeated(
    *flags: str, reader: Reader, group: str, shared: bool = False, **attributes: object
) -> Decorator:
    """Return an option that takes lists and may be repeated; its value is all of them in one."""
    attributes = {
        "type": Values(reader, several=True), "multiple": True, "callback": _joined, **attributes,
    }  # fmt: skip
    return option(*flags, group=group, shared=shared, **attributes)


def _flag(setting: Setting) -> str:
    return f"--{setting.name.replace('_', '-')}"


def _joined(
    ctx: click.Context, param: click.Parameter, values: Iterable[Iterable[object]]
) -> tuple[object, ...]:
    return tuple(chain.from_iterable(values))


def all_of(*options: Decorator) -> Decorator:
    """Return several options as one decorator, in their order."""
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


# Each command adds its help.
scale = partial(swept, LAYER["scale"], "-s", metavar="SCHEME")
gain = partial(swept, LAYER["gain"], "-g", metavar="G")
init = partial(swept, LAYER["init"], "-i", metavar="NAME")
x_dist = partial(swept, LAYER["x_dist"], "-x", metavar="DIST")
w_dist = partial(swept, LAYER["w_dist"], "-w", metavar="DIST")
precision = partial(single, LAYER["precision"], "-p", shared=True, group=HOW, metavar="P")
max_time = partial(option, "--max-time", type=Values(DURATION), group=HOW, metavar="TIME")
histogram = partial(option, "--histogram", shared=True, is_flag=True, group=OUT)
check = partial(option, "--check", shared=True, is_flag=True, group=OUT)

seed = repeated(
    "--seed", reader=LAYER["seed"].reader, shared=True, group=HOW, metavar="SEED",
    help=f"{LAYER['seed'].description}  [default: 0]",
)  # fmt: skip

dtype = single(
    LAYER["dtype"], shared=True, type=Name(FLOAT_TYPES), default="float32", show_default=True,
    group=HOW, metavar="TYPE",
)  # fmt: skip

workers = single(RUN["workers"], "-j", shared=True, group=HOW, metavar="N")

scheduler = option(
    "--scheduler", shared=True, type=Values(SCHEDULER), group=HOW, metavar="ADDRESS",
    help="Compute on the Dask cluster at this address, such as tcp://host:8786; local computes "
    "on processes of this machine. The numbers are the same.",
)  # fmt: skip

confidence = single(
    RUN["confidence"], shared=True, default=0.95, show_default=True, group=HOW, metavar="P"
)

alpha = single(
    RUN["alpha"], shared=True, default=0.001, show_default=True, group="How it is judged",
    metavar="P",
)  # fmt: skip

resume = option(
    "--resume", shared=True, is_flag=True, group=OUT,
    help="Add rows to the --output file (.jsonl or .csv) as they finish, and run only the rows "
    "that it lacks.",
)  # fmt: skip

explain = option(
    "--explain", shared=True, is_flag=True, group=OUT,
    help="Explain the result with the numbers of this run.",
)  # fmt: skip

formats = all_of(
    option(
        "-f", "--format", shared=True, type=Name(FORMATS, _SHORT_FORMATS), default="table",
        show_default=True, group=OUT, metavar="FORMAT",
        help=f"Format on stdout: {', '.join(FORMATS)}.",
    ),
    option(
        "--no-header", shared=True, is_flag=True, group=OUT,
        help="Leave out the first line of --format csv, as in a loop that appends to a file.",
    ),
)  # fmt: skip

_WRITTEN = f"Also write FILE in the format of its suffix: {' '.join(SUFFIXES)}; may be repeated."


def _outputs(advice: str) -> Decorator:
    return option(
        "-o", "--output", shared=True, type=File(FIGURE_SUFFIXES, advice), multiple=True,
        group=OUT, metavar="FILE", help=_WRITTEN,
    )  # fmt: skip


outputs = _outputs(f"give one of {', '.join(SUFFIXES)}")

outputs_to_draw = _outputs(
    "write -o {stem}.jsonl, and then run: varsim plot {stem}.jsonl -o {file}"
)

quiet = option(
    "-q", "--quiet", shared=True, is_flag=True, group=OUT,
    help="No progress, caveats or summary on stderr.",
)  # fmt: skip


def view(known: Names = tuple) -> Decorator:
    """Return the options for the shown columns and their order; the shell completes names."""
    return all_of(
        repeated(
            "--columns", shared=True, reader=listed("columns", known=lambda: [ALL, *known()]),
            group=OUT, metavar="LIST",
            help="Show these fields, in this order, such as scale,ratio; all shows every column at "
            "any width: see varsim help formats.",
        ),
        option(
            "--sort", shared=True, type=Values(one("column", str.strip, known)), group=OUT,
            metavar="COLUMN",
            help="Sort the rows by this field; -COLUMN sorts from the largest down.",
        ),
    )  # fmt: skip


measuring = all_of(
    seed, dtype, workers, scheduler, confidence, alpha, formats, outputs_to_draw, resume,
)  # fmt: skip
"""The options that all measuring commands have in common."""


# --- records of values; nobody compares or prints them, which saves time at the start


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OutputOptions:
    """Values of ``formats``, ``outputs``, ``view`` and ``quiet``."""

    format: str
    no_header: bool
    output: Sequence[Path]
    columns: Sequence[str]
    sort: str | None
    quiet: bool


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MeasuringOptions(OutputOptions):
    """Values of the options that measuring commands share; some lack the last ones.

    Attributes:
        swept: The values of the settings that sweep, by name; none for the default.
    """

    dtype: str
    workers: int | None
    scheduler: str | None
    confidence: float
    alpha: float
    resume: bool
    explain: bool
    check: bool
    precision: float | None = None
    max_time: float | None = None
    histogram: bool = False
    dry_run: bool = False
    plot: bool = False
    swept: Mapping[str, Sequence[object]] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, Any], settings: Mapping[str, Setting]) -> Self:
        """Return the record of the values that click read, of a command with these settings."""
        names = {name for name in given if name in settings and settings[name].default is not None}
        rest = {name: value for name, value in given.items() if name not in names}
        return cls(swept={name: given[name] for name in names}, **rest)


def check_cap(flag: str, cap: float | None, precision: float | None) -> None:
    """Refuse a cap without a precision."""
    if cap is not None and precision is None:
        raise InputError(f"{flag} needs --precision; add --precision, or leave {flag} out")

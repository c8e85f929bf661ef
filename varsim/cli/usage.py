"""Help in groups, with the examples first; a short page for -h; options from the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from varsim import synonyms
from varsim.cli.streams import DONE, abandon, encodable
from varsim.errors import near, quoted


class GroupedOption(click.Option):
    """An option that belongs to a group of the help."""

    def __init__(self, *args: Any, group: str, shared: bool = False, **kwargs: Any) -> None:
        """Take the group's heading beside what any option takes.

        A shared one has the same meaning in several commands. Its variable without a command's
        name is for all of them, where its own is not set.
        """
        super().__init__(*args, **kwargs)
        self.group, self.shared = group, shared

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Return the text of its variable, or of the one that commands share."""
        text = super().resolve_envvar_value(ctx)
        if text is None and self.shared and ctx.parent is not None:
            return super().resolve_envvar_value(ctx.find_root())
        return text

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the value of a variable: read as on the command line, and not split at spaces."""
        if self.multiple:
            text = self.resolve_envvar_value(ctx)
            return None if text is None else [text]
        return super().value_from_envvar(ctx)


class GroupedCommand(click.Command):
    """A command whose help shows examples, then its options by group."""

    def __init__(
        self,
        *args: Any,
        examples: list[tuple[str, str]],
        essential: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        """Take what any command takes, and what its help shows.

        Args:
            *args: What any command takes.
            examples: Pairs of a command line and what it does.
            essential: Names of the options on the short page of -h; all where there are none.
            **kwargs: What any command takes.
        """
        super().__init__(*args, **kwargs)
        self.examples = examples
        self._essential = essential
        self._short_help = click.Option(
            ["-h"], is_flag=True, is_eager=True, expose_value=False, callback=self._show_short_help,
            allow_from_autoenv=False, help="Show the options that matter most.",
        )  # fmt: skip

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, those that show help at the end."""
        return [*super().get_params(ctx), self._short_help]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; an unknown option has a sentence."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            ctx.fail(_no_such_option(ctx, error.option_name))

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, in ASCII where stdout holds no more."""
        return encodable(super().get_help(ctx), sys.stdout)

    def _show_short_help(self, ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            click.echo(self._short_page(ctx) if self._essential else self.get_help(ctx))
            ctx.exit()

    def _short_page(self, ctx: click.Context) -> str:
        formatter = ctx.make_formatter()
        self.format_usage(ctx, formatter)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(first_line(self))
        params = [param for param in self.params if param.name in self._essential]
        with formatter.section("Options that matter most"):
            formatter.write_dl([r for p in params if (r := p.get_help_record(ctx)) is not None])
        self.write_commands(formatter)
        formatter.write_paragraph()
        formatter.write_text(f"{ctx.command_path} --help shows all options, with examples, and "
                             "varsim help lists topics.")  # fmt: skip
        return encodable(formatter.getvalue().rstrip("\n"), sys.stdout)

    def write_commands(self, formatter: click.HelpFormatter) -> None:
        """Write the commands that it has beside it: none."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the description, and the examples right after it."""
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for line, meaning in self.examples:
                formatter.write_text(line)
                with formatter.indentation():
                    formatter.write_text(meaning)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under the headings of their groups."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                heading = param.group if isinstance(param, GroupedOption) else "Help"
                groups.setdefault(heading, []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog, and where options come from beside the command line."""
        super().format_epilog(ctx, formatter)
        shared = [p for p in self.params if isinstance(p, GroupedOption) and p.shared]
        if ctx.parent is not None and shared and ctx.auto_envvar_prefix:
            name = next((p.name for p in shared if p.name == "seed"), shared[0].name or "").upper()
            formatter.write_paragraph()
            formatter.write_text(
                f"Any option can come from the environment: {ctx.auto_envvar_prefix}_{name} for "
                f"this command, and {ctx.find_root().auto_envvar_prefix}_{name} for all that have "
                "the option."
            )


def _no_such_option(ctx: click.Context, name: str) -> str:
    """Return the sentence for an unknown option: by meaning, whose it is, or which is nearest."""
    known = [opt for param in ctx.command.get_params(ctx) for opt in param.opts]
    meant = synonyms.OPTIONS.get(ctx.info_name or "", {}).get(name) or synonyms.ALL_OPTIONS.get(
        name
    )
    if meant is not None and (meant.startswith("varsim") or meant.split()[0].strip(",") in known):
        return f"there is no option {quoted(name)}; take {meant}"
    program = ctx.find_root().command
    commands = {"varsim": program, **{f"varsim {n}": c for n, c in subcommands(ctx).items()}}
    having = [path for path, c in commands.items() if any(name in p.opts for p in c.params)]
    if having:
        return (
            f"{name} is an option of {' and '.join(having)}, not of {ctx.command_path}; see "
            f"{ctx.command_path} --help"
        )
    close = near(name, known, least=0.7)
    hint = f"did you mean {close}?" if close else f"see {ctx.command_path} --help"
    return f"there is no option {quoted(name)}; {hint}"


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """End the program quietly if the reader of stdout leaves; click would end it with 1."""
    try:
        yield
    except BrokenPipeError:
        abandon(sys.stdout)
        raise click.exceptions.Exit(DONE) from None


class Program(GroupedCommand, click.Group):
    """A command that runs by itself, and has commands beside it, loaded when they are named."""

    def __init__(
        self, *args: Any, subcommands: Mapping[str, Callable[[], click.Command]], **kwargs: Any
    ) -> None:
        """Take what any command takes, and functions that load the others, in their order."""
        super().__init__(*args, **kwargs)
        self._loaders = subcommands

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line; it may ask for help, whose reader may leave."""
        with _reader_may_leave():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or one beside it."""
        with _reader_may_leave():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self._loaders)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        load = self._loaders.get(cmd_name)
        return None if load is None else load()

    def subcommands(self) -> dict[str, click.Command]:
        """Return all commands by name."""
        return {name: load() for name, load in self._loaders.items()}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named, with its arguments; refuse options before its name."""
        if args[0] not in self._loaders:
            if (meant := synonyms.COMMANDS.get(args[0].lower())) is not None:
                ctx.fail(f"{quoted(args[0])} is not a command; take {meant}")
            if args[0][:1].isdigit():
                number = quoted(args[0])
                ctx.fail(f"{number} is not a command; give it to an option, like --dim 64,512")
            close = near(args[0].lower(), self._loaders)
            ctx.fail(
                f"{quoted(args[0])} is not a command; did you mean varsim {close}?"
                if close
                else f"{quoted(args[0])} is not a command ({', '.join(self._loaders)}); options "
                "take lists, like --dim 64,512: see varsim --help"
            )
        for param in self.params:
            if ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE:
                ctx.fail(
                    f"{max(param.opts, key=len)} is an option of varsim itself, and does nothing "
                    f"for {args[0]}; leave it out, or write options after the command's name"
                )
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by group, and the commands."""
        GroupedCommand.format_options(self, ctx, formatter)
        self.write_commands(formatter)

    def write_commands(self, formatter: click.HelpFormatter) -> None:
        """Write the commands, each with its first line."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_line(c)) for name, c in self.subcommands().items()])


def unknown_variables(program: Program) -> Iterator[str]:
    """Yield a note per variable VARSIM_* that no option reads, with the one that is meant."""
    given = [name for name in os.environ if name.startswith("VARSIM_")]
    if not given:
        return
    commands: dict[str, click.Command] = {"VARSIM": program}
    commands |= {f"VARSIM_{name.upper()}": c for name, c in program.subcommands().items()}
    known = [
        f"{prefix}_{param.name}".upper()
        for prefix, command in commands.items()
        for param in command.params
        if isinstance(param, GroupedOption)
    ]
    for name in given:
        if name not in known:
            close = _meant(name, known)
            hint = f"did you mean {close}?" if close else "see varsim --help"
            yield f"Note: no option reads the variable {name}; {hint}"


def _meant(variable: str, known: Sequence[str]) -> str | None:
    """Return the variable that is meant: with a command's name, or the nearest."""
    option = variable.removeprefix("VARSIM")
    of_commands = [name for name in known if name.endswith(option)]
    return of_commands[0] if of_commands else near(variable, known, least=0.7)


def subcommands(ctx: click.Context) -> dict[str, click.Command]:
    """Return the commands of the program by name."""
    program = ctx.find_root().command
    return program.subcommands() if isinstance(program, Program) else {}


def first_line(command: click.Command) -> str:
    """Return the first line of a command's help."""
    return (command.help or "").partition("\n")[0]

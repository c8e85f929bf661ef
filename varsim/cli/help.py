"""Help in groups, with the examples first."""

from __future__ import annotations

import sys
from typing import Any

import click
from click.core import ParameterSource

from varsim.cli.terminal import encodable


class GroupedOption(click.Option):
    """An option that belongs to a group of the help."""

    def __init__(self, *args: Any, group: str, **kwargs: Any) -> None:
        """Take the group's heading beside what any option takes."""
        super().__init__(*args, **kwargs)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help shows examples, then its options by group."""

    def __init__(self, *args: Any, examples: list[tuple[str, str]], **kwargs: Any) -> None:
        """Take (command line, what it does) pairs beside what any command takes."""
        super().__init__(*args, **kwargs)
        self.examples = examples

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, in ASCII where stdout holds no more."""
        return encodable(super().get_help(ctx), sys.stdout)

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
                groups.setdefault(getattr(param, "group", "Help"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)


class Program(GroupedCommand, click.Group):
    """A command that runs by itself, and has commands beside it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order in which they were given."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named, with its arguments; refuse options before its name."""
        if args[0] not in self.commands:
            ctx.fail(
                f"{args[0]!r} is not a command ({', '.join(self.commands)}); options take lists, "
                "like --dim 64,512: see varsim --help"
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
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_line(c)) for name, c in self.commands.items()])


def first_line(command: click.Command) -> str:
    """Return what a command does, in one sentence."""
    return (command.help or "").partition("\n")[0]

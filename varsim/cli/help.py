"""Help in groups, with the examples first."""

from __future__ import annotations

import sys
from typing import Any

import click

from varsim.cli.screen import encodable


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
            if record is not None:
                groups.setdefault(getattr(param, "group", "Help"), []).append(record)
        for heading, records in groups.items():
            with formatter.section(heading):
                formatter.write_dl(records)

"""The command ``varsim help``: topics that need more than a page of options."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from typing import cast

import click
from click.shell_completion import CompletionItem

from varsim.cli.help import GroupedCommand
from varsim.cli.publish import DONE
from varsim.cli.terminal import encodable, is_terminal
from varsim.parsing import InputError, nearest

TOPICS = files("varsim.cli") / "topics"
"""The folder of topics: one Markdown file each, a heading and one sentence on what it is for."""

_INK = str.maketrans("█├─●┤", "#[-o]")
"""What drawings in text are made of, in ASCII."""

_EXAMPLES = [
    ("varsim help", "List the topics and the commands."),
    ("varsim help sweeps", "Explain lists and ranges."),
    ("varsim help formats | less", "Read a topic page by page."),
]


class Subject(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 only
    """A topic or a command, completed by the shell."""

    name = "topic"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the name of a topic or a command."""
        names = dict.fromkeys([*topics(), *_program(ctx).list_commands(ctx)])
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("help", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("topic", required=False, type=Subject(), metavar="[TOPIC]")
@click.pass_context
def help(ctx: click.Context, topic: str | None) -> int:  # noqa: A001  # named as it is called
    """Explain a topic, or list the topics.

    The name of a command that is not a topic shows the options of the command.
    """
    commands = _program(ctx).list_commands(ctx)
    if topic is None:
        _print(_contents(_commands(ctx)))
    elif (name := topic.lower()) in topics():
        _print(_page(name, has_command=name in commands))
    elif name in commands:
        click.echo(_options(ctx, name))
    else:
        known = dict.fromkeys([*topics(), *commands])
        raise InputError(f"topic {topic!r} is unknown; {nearest(topic, known)}")
    return DONE


def topics() -> list[str]:
    """Return the names of the topics, in alphabetical order."""
    names = (file.name for file in TOPICS.iterdir())
    return sorted(name.removesuffix(".md") for name in names if name.endswith(".md"))


def source(topic: str) -> str:
    """Return the Markdown of a topic."""
    return (TOPICS / f"{topic}.md").read_text(encoding="utf-8")


def summary(topic: str) -> str:
    """Return the sentence that stands below the heading of a topic."""
    _, sentence, *_ = source(topic).split("\n\n", 2)
    return " ".join(sentence.split())


def _program(ctx: click.Context) -> click.Group:
    """Return the program whose commands these are."""
    return cast(click.Group, ctx.find_root().command)


def _options(ctx: click.Context, name: str) -> str:
    """Return the page of options of a command."""
    root = ctx.find_root()
    command = cast(click.Command, _program(ctx).get_command(root, name))
    return command.get_help(click.Context(command, parent=root, info_name=name))


def _commands(ctx: click.Context) -> dict[str, str]:
    """Return what every command does, by its name."""
    names = _program(ctx).list_commands(ctx)
    loaded = {name: cast(click.Command, _program(ctx).get_command(ctx, name)) for name in names}
    return {name: command.get_short_help_str(limit=100) for name, command in loaded.items()}


def _contents(commands: dict[str, str]) -> str:
    """Return the list of topics and commands as Markdown."""
    return "\n".join(
        [
            "# Help for varsim",
            "",
            "`varsim help TOPIC` explains a topic, and `varsim COMMAND --help` lists options.",
            "",
            *_table("topic", "what it explains", {name: summary(name) for name in topics()}),
            "",
            *_table("command", "what it does", commands),
            "",
            "`varsim` alone compares the variance of x @ W with theory: see `varsim --help`.",
            "",
        ]
    )


def _table(first: str, second: str, entries: dict[str, str]) -> list[str]:
    """Return a table of two columns as lines of Markdown."""
    width = max(map(len, [first, *entries]))
    rows = [f"| {name:<{width}} | {text} |" for name, text in entries.items()]
    return [f"| {first:<{width}} | {second} |", f"| {'-' * width} | --- |", *rows]


def _page(topic: str, *, has_command: bool) -> str:
    """Return a topic as Markdown, with the command of the same name at its end."""
    text = source(topic)
    if has_command:
        text += f"\nAll options of the command: `varsim {topic} --help`.\n"
    return text


def _print(markdown: str) -> None:
    """Print Markdown: rendered on a terminal, as its source elsewhere."""
    text = _rendered(markdown) if is_terminal(sys.stdout) else markdown
    if encodable(text, sys.stdout) != text:
        text = encodable(text.translate(_INK), sys.stdout)
    click.echo(text, nl=False)


def _rendered(markdown: str) -> str:
    """Return Markdown as a terminal of this width shows it."""
    from rich.console import Console  # rich is loaded where something is drawn
    from rich.markdown import Markdown
    from rich.theme import Theme

    colours = Theme({"markdown.code": "bold cyan"})  # rich's own are for dark terminals only
    width = shutil.get_terminal_size().columns
    console = Console(file=sys.stdout, width=width, theme=colours)
    with console.capture() as captured:
        console.print(Markdown(markdown, code_theme="ansi_dark"))
    return captured.get()

"""The command ``varsim help``: topics that need more than a page of options."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from varsim import synonyms
from varsim.cli.streams import DONE, encodable, is_terminal, terminal_width
from varsim.cli.usage import GroupedCommand, first_line, subcommands
from varsim.errors import InputError, nearest, quoted

TOPICS = Path(__file__).with_name("topics")
"""The folder of topics: one Markdown file each, a heading and one sentence on what it is for."""

# The symbols of drawings in text, in ASCII.
_INK = str.maketrans("█├─●┤", "#[-o]")

# Words of a command; quotes hold spaces together.
_WORDS = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")

_EXAMPLES = [
    ("varsim help", "List the topics and the commands."),
    ("varsim help sweeps", "Explain lists and ranges."),
    ("varsim help formats | less", "Read a topic page by page."),
]


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    names = dict.fromkeys([*topics(), *subcommands(ctx)])
    return [name for name in names if name.startswith(incomplete)]


@click.command("help", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("topic", required=False, shell_complete=_complete, metavar="[TOPIC]")
@click.pass_context
def command(ctx: click.Context, topic: str | None) -> int:
    """Explain a topic, such as sweeps, formats or statistics.

    Without a topic, the command lists all topics. The name of a command shows its options, unless
    it is also a topic.
    """
    commands = subcommands(ctx)
    if topic is None:
        _print(_contents(commands))
    elif (name := topic.lower()) in topics():
        more = (
            f"\nAll options of the command: `varsim {name} --help`.\n" if name in commands else ""
        )
        _print(source(name) + more)
    elif name in commands:
        page = click.Context(commands[name], parent=ctx.find_root(), info_name=name)
        click.echo(commands[name].get_help(page))
    else:
        known = dict.fromkeys([*topics(), *commands])
        hint = nearest(topic, known, synonyms.TOPICS)
        raise InputError(f"topic {quoted(topic)} is unknown; {hint}")
    return DONE


def topics() -> list[str]:
    """Return the names of the topics, in alphabetical order."""
    return sorted(file.stem for file in TOPICS.glob("*.md"))


def source(topic: str) -> str:
    """Return the Markdown of a topic."""
    return (TOPICS / f"{topic}.md").read_text(encoding="utf-8")


def summary(topic: str) -> str:
    """Return the sentence that stands below the heading of a topic."""
    _, sentence, *_ = source(topic).split("\n\n", 2)
    return " ".join(sentence.split())


def _contents(commands: dict[str, click.Command]) -> str:
    """Return the list of topics and commands as Markdown."""
    about = {name: first_line(command) for name, command in commands.items()}
    return "\n".join(
        [
            "# Help for varsim",
            "",
            "`varsim help TOPIC` explains a topic, and `varsim COMMAND --help` lists options.",
            "",
            *_table("topic", "what it explains", {name: summary(name) for name in topics()}),
            "",
            *_table("command", "what it does", about),
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


def _print(markdown: str) -> None:
    """Print Markdown: rendered on a terminal, as its source elsewhere."""
    text = _rendered(markdown) if is_terminal(sys.stdout) else markdown
    if encodable(text, sys.stdout) != text:
        text = encodable(text.translate(_INK), sys.stdout)
    click.echo(text, nl=False)


def _rendered(markdown: str) -> str:
    from rich.console import Console  # rich is loaded where something is drawn
    from rich.markdown import Markdown
    from rich.theme import Theme

    colours = Theme({"markdown.code": "bold cyan"})  # rich's own are for dark terminals only
    width = terminal_width(sys.stdout)
    console = Console(file=sys.stdout, width=width, theme=colours)
    lines = [
        continued(line, width - 2) if line.startswith("$ ") else line
        for line in markdown.splitlines()
    ]
    with console.capture() as captured:
        console.print(Markdown("\n".join(lines), code_theme="ansi_dark"))
    return captured.get()


def continued(line: str, width: int) -> str:
    r"""Return a command in lines of at most a width, where a word allows it, that run as one.

    >>> print(continued("$ varsim --dim 64 -s 'a b'", 18))
    $ varsim --dim \
        64 -s 'a b'
    """
    shown = ""
    for word in _WORDS.findall(line):
        last = shown.rpartition("\n")[2]
        if shown and len(last) + len(word) + 3 > width:
            shown += " \\\n    " + word
        else:
            shown += f" {word}" if shown else word
    return shown

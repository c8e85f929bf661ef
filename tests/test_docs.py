"""README and topics are true: their commands are run, and what they print is what is shown.

``python -m tests.test_docs`` rewrites the outputs, the list of topics and the figure.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pytest

from tests.program import environment, here, needs, on_terminal, run
from varsim.activations import ACTIVATIONS
from varsim.activations import ALIASES as ACTIVATION_ALIASES
from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import ALIASES as DISTRIBUTION_ALIASES
from varsim.catalog.distributions import SUMMARIES as DISTRIBUTIONS
from varsim.catalog.norms import NORMS
from varsim.catalog.scales import ALIASES, SCALES
from varsim.cli import help as guide
from varsim.cli.program import varsim
from varsim.compute.provenance import FRAMEWORKS
from varsim.initializers.theory import INITIALIZERS
from varsim.layer.result import RESULTS
from varsim.report.formats import FORMATS, to_ascii

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FIGURE = ROOT / ".github" / "sweep.png"
TOPICS = sorted((Path(guide.__file__).parent / "topics").glob("*.md"))
PAGES = [README, *TOPICS]

CONSOLE = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
RENDERED = re.compile(r"(?<=<!-- )\$ (.*?) -->\n(.*?)(?=<!-- end -->)", re.DOTALL)
LISTED = re.compile(r"(?<=\| topic \| what it explains \|\n\| --- \| --- \|\n)(?:\|.*\n)*")
LINK = re.compile(r"\]\((?!https?://)([^)#]+)\)")
FILE = re.compile(r"(?<=```python\n)# (\w+\.py)\n(.*?)(?=```)", re.DOTALL)
CHECKSUM = re.compile(r"crc32:[0-9a-f]{8}\b")
DOUBLES = re.compile(r'("+(?:squares|gradients)"+: "+)([\w+/=]*)')
TIME = re.compile(r"(?<=it takes about )[\d.]+ \w+")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")

TEXT = {page.stem: page.read_text(encoding="utf-8") for page in PAGES}
ALL_TEXT = "\n".join(TEXT.values())


def output_of(command: str, folder: Path) -> str:
    """What a command prints on a terminal's two streams, off a terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"{{ {command.replace('scripts/varsim', 'varsim')}; }} 2>&1"],
        capture_output=True, encoding="utf-8", cwd=folder, env=environment(PATH=path), check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def commands_of(block: str) -> list[str]:
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def executed(block: str, folder: Path) -> str:
    """The block as it should be: every command with its output; the pages' files are there."""
    for name, source in FILE.findall(ALL_TEXT):
        (folder / name).write_text(source)
    return "".join(f"$ {command}\n{output_of(command, folder)}" for command in commands_of(block))


def pasted(command: str, folder: Path) -> str:
    """A table as it stands on the page, under the command that printed it."""
    return f"$ {command} -->\n\n{output_of(command, folder)}\n"


def listed() -> str:
    """The list of topics in the README: a row per file."""
    folder = TOPICS[0].parent.relative_to(ROOT)
    rows = ((topic, guide.summary(topic)) for topic in guide.topics())
    return "".join(f"| [{topic}]({folder}/{topic}.md) | {summary} |\n" for topic, summary in rows)


BLOCKS = [
    pytest.param(
        block,
        id=f"{page}: {commands_of(block)[0]}",
        marks=() if page == "README" else pytest.mark.slow,
    )
    for page, text in TEXT.items()
    for block in CONSOLE.findall(text)
]
PASTED = [
    pytest.param(shown, id=f"{page}: {shown[1]}")
    for page, text in TEXT.items()
    for shown in RENDERED.finditer(text)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_commands_print_what_the_pages_show(block: str, tmp_path: Path) -> None:
    """Word for word, and number for number to what another machine's rounding may change."""
    used = [source for name, source in FILE.findall(ALL_TEXT) if f"{name[:-3]}:" in block]
    text = "".join([block, *used])
    for framework in FRAMEWORKS:
        if f"{framework}.nn" in text or f"{framework}.init" in text:
            needs(framework)
    assert_same(block, executed(block, tmp_path))


def assert_same(shown: str, printed: str) -> None:
    shown, printed = map(comparable, (shown, printed))
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", printed)
    for ours, theirs in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        last_digit = 10.0 ** -len(theirs.partition(".")[2].partition("e")[0])
        exact = "." not in theirs
        tolerance = 0.0 if exact else max(2 * last_digit, 1e-4 * abs(float(theirs)))
        assert abs(float(ours) - float(theirs)) <= tolerance


def comparable(text: str) -> str:
    """A text without what every run changes, and with numbers in place of their base64."""
    text = TIME.sub("T", CHECKSUM.sub("crc32", text))
    return DOUBLES.sub(lambda m: f"{m[1]}{np.frombuffer(b64decode(m[2]), '<f8').tolist()}", text)


@pytest.mark.parametrize("shown", PASTED)
def test_pasted_tables_are_the_program_s(shown: re.Match[str], tmp_path: Path) -> None:
    """What stands on the page as a table is what --format markdown prints."""
    assert_same(shown[0], pasted(shown[1], tmp_path))


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    """A digit or a word that is wrong is noticed."""
    block = CONSOLE.findall(TEXT["README"])[0]
    printed = executed(block, tmp_path)
    for wrong in (block.replace("512", "513", 2), block.replace("agrees", "agreed")):
        with pytest.raises(AssertionError):
            assert_same(wrong, printed)


def test_no_command_is_run_twice() -> None:
    """A page that needs the output of another links to it: running all stays fast."""
    commands = [c for block in CONSOLE.findall(ALL_TEXT) for c in commands_of(block)]
    assert len(commands) == len(set(commands))


@pytest.mark.parametrize("page", [page for page in PAGES if ">>> " in TEXT[page.stem]])
def test_python_examples_run(page: Path) -> None:
    """As doctests."""
    outcome = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert outcome.attempted >= 4
    assert outcome.failed == 0


@pytest.mark.parametrize(
    "names",
    [
        FORMATS, DESIGNS, INITIALIZERS, NORMS, [*SCALES, *ALIASES],
        [*DISTRIBUTIONS, *DISTRIBUTION_ALIASES], [*ACTIVATIONS, *ACTIVATION_ALIASES],
    ],
    ids=lambda n: next(iter(n)),
)  # fmt: skip
def test_every_choice_is_described(names: list[str]) -> None:
    """A new scheme, distribution, design, activation or format is not left out."""
    text = CONSOLE.sub("", ALL_TEXT)
    for name in names:
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name


@pytest.mark.parametrize("command", [None, *varsim.list_commands(click.Context(varsim))])
def test_every_option_is_described(command: str | None) -> None:
    """In the README or in a topic, beside the page of options that the program prints itself."""
    group = varsim
    asked = group if command is None else group.get_command(click.Context(group), command)
    assert asked is not None
    for param in asked.params:
        if isinstance(param, click.Option):
            name = max(param.opts, key=len)
            assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", ALL_TEXT), name


def test_every_field_is_described() -> None:
    """Of a row of results, in the topic on formats."""
    described = set(re.findall(r"`(\w+)`", CONSOLE.sub("", TEXT["formats"])))
    assert set(RESULTS.names) <= described


def test_the_readme_lists_the_topics() -> None:
    """Each with its own summary."""
    assert LISTED.findall(TEXT["README"]) == [listed()]


def test_links_lead_somewhere() -> None:
    """To files of the repository; a topic has none, since it is read without the repository."""
    for page in PAGES:
        links = LINK.findall(TEXT[page.stem])
        assert page == README or not links
        for link in links:
            assert (ROOT / link).exists(), link


def test_the_figure_is_small() -> None:
    """A page of text loads at once."""
    assert FIGURE.read_bytes().startswith(b"\x89PNG")
    assert FIGURE.stat().st_size < 60_000


def test_no_page_installs_from_the_index_under_our_name() -> None:
    """There, the name belongs to another project."""
    sources = [*PAGES, *(ROOT / "varsim").rglob("*.py"), *(ROOT / "scripts").iterdir()]
    for source in sources:
        if source.is_file() and "initializers" not in source.parts:
            text = source.read_text(encoding="utf-8")
            assert not re.search(r"pip install [^\n`]*varsim|pip install '\.\[", text), source


@pytest.mark.parametrize("topic", guide.topics())
def test_a_topic_is_its_file_off_a_terminal(topic: str) -> None:
    """With a heading, a sentence, and the options of the command of the same name."""
    done = here("help", topic)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(TEXT[topic])
    heading, sentence, *_ = TEXT[topic].split("\n\n", 2)
    assert heading.startswith("# ")
    assert sentence.endswith(".")
    rest = done.stdout.removeprefix(TEXT[topic])
    named = f"\nAll options of the command: `varsim {topic} --help`.\n"
    assert rest == (named if topic in varsim.list_commands(click.Context(varsim)) else "")


@pytest.mark.parametrize("topic", guide.topics())
def test_a_topic_is_readable_in_ascii(topic: str) -> None:
    """No letter of its prose is lost where the encoding is not UTF-8."""
    prose = CONSOLE.sub("", TEXT[topic])
    assert to_ascii(prose).count("?") == prose.count("?")


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x1b]*\x1b\\")


@pytest.mark.slow
def test_topics_are_rendered_on_a_terminal() -> None:
    """With colours, unless NO_COLOR is set, in 80 columns; tables are drawn, not spelled."""
    for topic in guide.topics():
        shown = on_terminal("help", topic, NO_COLOR="1" if topic == "layers" else "")
        plain = ESCAPE.sub("", shown)
        assert max(map(len, plain.splitlines())) <= 80, topic
        assert "| ---" not in plain
        assert "```" not in plain
        assert ("\x1b[3" in shown) == (topic != "layers")
    assert "varsim layers --help" in plain or topic != "layers"


def test_help_on_a_command_is_its_page_of_options() -> None:
    """Where no topic has its name."""
    assert here("help", "gains").stdout == here("gains", "--help").stdout


def test_help_is_ascii_where_the_encoding_is() -> None:
    """Drawings too."""
    done = run("help", "reports", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "###" in done.stdout


@pytest.mark.slow
def test_the_worked_report_is_a_report(tmp_path: Path) -> None:
    """Three layers, four schemes each, all in agreement."""
    varsim = str(Path(sys.executable).with_name("varsim"))
    done = subprocess.run(
        [ROOT / "scripts" / "report"], capture_output=True, encoding="utf-8", cwd=tmp_path,
        check=True, env=environment(VARSIM=varsim),
    )  # fmt: skip
    assert done.stdout.count("## Layer") == 3
    assert done.stdout.count("| agrees") == 12
    assert done.stderr == ""


@pytest.mark.parametrize(("spread", "code"), [(1.0, 0), (1.05, 3)])
def test_the_check_of_an_initializer_is_one(spread: float, code: int, tmp_path: Path) -> None:
    """As it stands, it passes what is right, and fails with 3 for 5 % more."""
    needs("torch")
    (script,) = re.findall(r"(?<=```bash\n)(.*?)(?=```)", TEXT["initializers"], re.DOTALL)
    assert len(script.splitlines()) == 5
    source = (
        f"def init(rng, shape):\n    return rng.uniform(-1, 1, shape) * {spread} / shape[0] ** 0.5"
    )
    (tmp_path / "mylayers.py").write_text(source)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, cwd=tmp_path, env=environment(PATH=path),
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr == b""


def in_empty_folder(render: Callable[[str, Path], str], source: str) -> str:
    """What a source renders to; the figure that it draws, if it does, is kept."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        text = render(source, folder)
        if (folder / FIGURE.name).exists():
            shutil.copy(folder / FIGURE.name, FIGURE)
    return text


def rewrite() -> None:
    """Put what the commands print now into README and topics."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        text = CONSOLE.sub(lambda m: in_empty_folder(executed, m[1]), text)
        text = RENDERED.sub(lambda m: in_empty_folder(pasted, m[1]), text)
        text = LISTED.sub(lambda m: listed(), text)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()


@pytest.mark.parametrize("width", [58, 78])
def test_long_commands_of_topics_run_as_one(width: int) -> None:
    """On a terminal they are continued with a backslash, between words, and so can be pasted."""
    commands = [
        line
        for topic in guide.topics()
        for line in guide.source(topic).splitlines()
        if line.startswith("$ ")
    ]
    assert max(map(len, commands)) > width
    for command in commands:
        shown = guide.continued(command, width)
        assert shown.replace(" \\\n   ", "") == command
        assert shlex.split(shown.replace("\\\n", "")) == shlex.split(command)
        words = re.findall(r"""(?:"[^"]*"|'[^']*'|\S)+""", command)
        assert max(map(len, shown.splitlines())) <= max(width, *(len(w) + 6 for w in words))

"""The README is true: its commands are run, and what they print is what it shows.

``python -m tests.test_readme`` rewrites the outputs.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.program import environment, needs
from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import ALIASES, SCALES
from varsim.cli import app
from varsim.compute.provenance import FRAMEWORKS
from varsim.initializers.theory import INITIALIZERS
from varsim.report.formats import FORMATS

README = Path(__file__).parent.parent / "README.md"

CONSOLE = re.compile(r"(?<=```console\n)(.*?)(?=```)", re.DOTALL)
RENDERED = re.compile(r"(?<=<!-- )\$ (.*?) -->\n(.*?)(?=<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")


def output_of(command: str, folder: Path) -> str:
    """What a command prints on a terminal's two streams, off a terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"{command.replace('scripts/varsim', 'varsim')} 2>&1"],
        capture_output=True, encoding="utf-8", cwd=folder, env=environment(PATH=path), check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def commands_of(block: str) -> list[str]:
    return [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]


def executed(block: str, folder: Path) -> str:
    """The block as it should be: every command with its output."""
    return "".join(f"$ {command}\n{output_of(command, folder)}" for command in commands_of(block))


def pasted(command: str, folder: Path) -> str:
    """A table as it stands on the page, under the command that printed it."""
    return f"$ {command} -->\n\n{output_of(command, folder)}\n"


def in_empty_folder(render: Callable[[str, Path], str], source: str) -> str:
    with TemporaryDirectory() as folder:
        return render(source, Path(folder))


BLOCKS = CONSOLE.findall(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: commands_of(block)[0])
def test_commands_print_what_the_readme_shows(block: str, tmp_path: Path) -> None:
    """Word for word, and number for number to what another machine's rounding may change."""
    for framework in FRAMEWORKS:
        if f"{framework}.nn" in block or f"{framework}.init" in block:
            needs(framework)
    assert_same(block, executed(block, tmp_path))


def assert_same(shown: str, printed: str) -> None:
    assert NUMBER.sub("#", shown) == NUMBER.sub("#", printed)
    for ours, theirs in zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True):
        last_digit = 10.0 ** -len(theirs.partition(".")[2].partition("e")[0])
        exact = "." not in theirs
        tolerance = 0.0 if exact else max(2 * last_digit, 1e-4 * abs(float(theirs)))
        assert abs(float(ours) - float(theirs)) <= tolerance


@pytest.mark.parametrize(
    "shown", list(RENDERED.finditer(README.read_text(encoding="utf-8"))), ids=lambda m: m[1]
)
def test_pasted_tables_are_the_program_s(shown: re.Match[str], tmp_path: Path) -> None:
    """What stands on the page as a table is what --format markdown prints."""
    assert_same(shown[0], pasted(shown[1], tmp_path))


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    """A digit or a word that is wrong is noticed."""
    block = BLOCKS[0]
    for wrong in (block.replace("512", "513", 2), block.replace("agrees", "agreed")):
        with pytest.raises(AssertionError):
            test_commands_print_what_the_readme_shows(wrong, tmp_path)


def test_python_examples_run() -> None:
    """As doctests."""
    outcome = doctest.testfile(str(README), module_relative=False)
    assert outcome.attempted >= 4
    assert outcome.failed == 0


@pytest.mark.parametrize(
    "names",
    [FORMATS, DESIGNS, DISTRIBUTIONS, [*SCALES, *ALIASES], INITIALIZERS],
    ids=lambda n: next(iter(n)),
)
def test_every_choice_is_described(names: list[str]) -> None:
    """A new scheme, distribution, design or format is not left out."""
    text = CONSOLE.sub("", README.read_text(encoding="utf-8"))
    for name in names:
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text), name


def test_every_option_is_shown() -> None:
    """The page of options is the program's own."""
    text = README.read_text(encoding="utf-8")
    for param in app.varsim.params:
        assert max(param.opts, key=len) in text


def test_the_worked_report_is_a_report(tmp_path: Path) -> None:
    """Three layers, four schemes each, all in agreement."""
    varsim = str(Path(sys.executable).with_name("varsim"))
    script = README.parent / "scripts" / "report"
    done = subprocess.run(
        [script], capture_output=True, encoding="utf-8", cwd=tmp_path, check=True,
        env=environment(VARSIM=varsim),
    )  # fmt: skip
    assert done.stdout.count("## Layer") == 3
    assert done.stdout.count("| agrees") == 12
    assert done.stderr == ""


@pytest.mark.parametrize(("spread", "code"), [(1.0, 0), (1.05, 3)])
def test_the_check_of_an_initializer_is_one(spread: float, code: int, tmp_path: Path) -> None:
    """As it stands, it passes what is right, and fails with 3 for 5 % more."""
    needs("torch")
    (script,) = re.findall(r"(?<=```bash\n)(.*?)(?=```)", README.read_text("utf-8"), re.DOTALL)
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


def rewrite() -> None:
    """Put what the commands print now into the README."""
    text = README.read_text(encoding="utf-8")
    text = CONSOLE.sub(lambda m: in_empty_folder(executed, m[1]), text)
    text = RENDERED.sub(lambda m: in_empty_folder(pasted, m[1]), text)
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    rewrite()

"""What the program prints, as files to read: tables in all formats, explanations and help.

``python -m tests.test_golden`` rewrites the files, and ``git diff`` shows what has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cli import test_mistakes as mistakes
from tests.program import here, needs
from tests.test_docs import assert_same
from varsim.cli.program import varsim
from varsim.report.formats import FORMATS, SUFFIXES

FOLDER = Path(__file__).parent / "golden"

INPUTS = {
    "a.jsonl": "-d 8 -s none,he -n 640",
    "b.csv": "-d 8 -s none,he,sqrt -n 640 --seed 1",
    "stack.jsonl": "layers --width 8 --depth 2 --networks 8 --batch 4",
    "other.jsonl": "layers --width 8 --depth 2 --networks 8 --batch 4 --seed 1",
}
"""Files that other commands read, and the command that writes each."""

FORMATTED = {
    "layer": "-d 8 -s none,he --design crossed,fixed-x -n 640",
    "plan": "-d 8,512 -s none,he --workers 1 --dry-run",
    "stack": "layers --width 8 --depth 2 --networks 8 --batch 4 -a tanh,relu",
    "check": "init trunc_normal sparse(std=1) -d 8 --draws 8",
    "gains": "gains relu tanh -v 1,2",
    "critical": "gains relu tanh --critical",
    "tolerance": "tolerance -n 100,2500 --sees 5%,-5%",
    "comparison": "compare a.jsonl b.csv",
}
"""Commands whose results are kept in every format."""

STACK = "layers --width 8 --networks 8 --batch 4 --explain"
CHECK = "init --draws 8 --explain"

SHOWN = {
    "merged": "merge a.jsonl b.csv",
    "comparison-stack": "compare stack.jsonl other.jsonl",
    "columns": "-d 4,16 -s none,sqrt -n 6400 --columns scale,ratio,std_error,agrees --sort -ratio",
    "exponents": "-d 512 -s 1e5,512 -n 6400",
    "digits": "-d 2048 -n 6400 --alpha 5% --confidence 99%",
    "sweep": "-d 8,8 -s sqrt,xavier --fan-out 4 -g 1,5/3 -x normal,laplace --w-std 1,2 -n 640",
    "tolerance-outputs": "tolerance -d 64 --rows 1,64 -x normal,laplace",
    "plot": "-d 8 -s none,sqrt -n 6400 --plot",
    "plot-histogram": "-d 2 -s sqrt -n 6400 --histogram --plot",
    "stack-correlated": "layers --width 8 --depth 3 --networks 8 --correlation 0.5 --norm layer",
    "stack-correlated-plain": "layers --width 32 --depth 3 -a relu --networks 8 --correlation 0.5",
    "stack-small-batch": "layers --width 8 --depth 3 --networks 8 --norm batch --batch 3",
    "explain-layer": "-d 8 -n 6400 --explain",
    "explain-layer-fixed-x": "-d 8 -s sqrt -n 6400 --design fixed-x --explain",
    "explain-layer-lookup": "-d 8 -s none,sqrt -x onehot -n 6400 --explain",
    "explain-layer-bernoulli": "-d 8 -s sqrt -x bernoulli(0.5) -n 6400 --explain",
    "explain-layer-paired": "-d 8 -s sqrt -n 6400 --design paired --explain",
    "explain-layer-products": "-d 8,16 -s sqrt --x-mean 1 --w-std 2 -n 6400 --explain",
    "explain-layer-sources": "-d 8 -s he,xavier,kaiming -g 2 --fan-out 4 -x relu -n 6400 --explain",
    "explain-layer-init": "-d 8 -s sqrt,he -i orthogonal -n 6400 --explain",
    "explain-layer-init-fixed-x": "-d 8 -s he -i orthogonal -n 6400 --design fixed-x --explain",
    "explain-layer-bias": "-d 8 -s torch-linear -i torch.nn.Linear(bias=True) -n 6400 --explain",
    "explain-layer-beside-data": "-d 8 -s sqrt -n 6400 -f csv --columns dim,ratio --explain",
    "explain-stack": f"{STACK} --depth 3",
    "explain-stack-one-layer": f"{STACK} --depth 1",
    "explain-stack-two": f"{STACK} --depth 2 -a relu,tanh --no-backward",
    "explain-stack-identity": f"{STACK} --depth 3 -a identity -s 2",
    "explain-stack-biases": f"{STACK} --depth 3 --bias-std 0.5",
    "explain-stack-widths": "layers --widths 8,16,4,4 --networks 8 --batch 4 -a abs --explain",
    "explain-stack-residual": f"{STACK} --depth 3 --residual",
    "explain-stack-branch": f"{STACK} --depth 3 --residual 0.5 --bias-std 0.5",
    "explain-stack-layer-norm": f"{STACK} --depth 3 --norm layer",
    "explain-stack-rms-norm": f"{STACK} --depth 3 --norm rms --residual gpt2",
    "explain-stack-batch-norm": f"{STACK} --depth 3 --norm batch",
    "explain-stack-init": f"{STACK} --depth 3 -i orthogonal",
    "explain-stack-deep": f"{STACK} --depth 19 -a relu -s he",
    "explain-stack-overflow": f"{STACK} --depth 3 -a leaky_relu(1e300)",
    "explain-check": f"{CHECK} orthogonal trunc_normal sparse(std=1) -d 8",
    "explain-check-fans": f"{CHECK} orthogonal trunc_normal -d 16,8 --fan-out 8",
    "model": "model tests.model.networks:perceptron --input 8x24 --inits 8 --between 0.1:10",
    "explain-model": "model tests.model.networks:perceptron --input 8x24 --inits 8 --explain",
    "explain-check-shapes": " ".join(
        [CHECK, "-d 32", *(f"tests.test_golden:{name}" for name in ("normal", "uniform", "signs"))]
    ),
}  # fmt: skip
"""Commands whose results are kept as they are shown, stdout before stderr."""

HELP = {
    "topics": "help", "varsim": "--help", **{n: f"{n} --help" for n in varsim.subcommands()},
    "varsim-h": "-h", "layers-h": "layers -h", "init-h": "init -h", "model-h": "model -h",
}  # fmt: skip
"""Pages of help, in 80 columns."""


def suffix_of(name: str) -> str:
    """The suffix of the files of a format; siunitx shares that of LaTeX."""
    return next((s for s, each in SUFFIXES.items() if each == name), f".{name}.tex")


CASES = {
    **{
        f"{name}{suffix_of(form)}": f"{command} -q -f {form}"
        for name, command in FORMATTED.items()
        for form in FORMATS
    },
    "histogram.json": "-d 2 -s sqrt -n 640 --histogram -q -f json",
    **{f"{name}.txt": command for name, command in SHOWN.items()},
    **{f"help-{name}.txt": command for name, command in HELP.items()},
}
"""Command lines by the names of their files."""


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    return rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    return rng.uniform(-1, 1, shape)


def signs(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    return rng.choice([-1.0, 1.0], shape)


def printed(name: str) -> str:
    """What the command of a case prints."""
    done = here(*CASES[name].split(), COLUMNS="80")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@contextmanager
def inputs() -> Iterator[None]:
    """A folder to run in, with the files that commands read."""
    with TemporaryDirectory() as folder, chdir(folder):
        for file, command in INPUTS.items():
            assert here(*command.split(), "-o", file).returncode == 0
        yield


@pytest.fixture(scope="module", autouse=True)
def _in_folder() -> Iterator[None]:
    with inputs():
        yield


@pytest.mark.parametrize("name", CASES)
def test_the_program_prints_what_the_file_shows(name: str) -> None:
    """Word for word, and number for number to what another machine's rounding may change."""
    if "torch." in CASES[name] or CASES[name].startswith("model "):
        needs("torch")
    assert_same((FOLDER / name).read_text(encoding="utf-8"), printed(name))


def test_every_file_is_shown_by_a_command() -> None:
    """Nor is any of them left over from a former one."""
    assert {file.name for file in FOLDER.iterdir()} == {*CASES, mistakes.FILE.name}


def test_help_fits_a_terminal() -> None:
    """Its pages have 80 columns, and the short ones fit a screen."""
    for page in FOLDER.glob("help-*.txt"):
        lines = page.read_text(encoding="utf-8").splitlines()
        assert page.stem == "help-topics" or max(map(len, lines)) <= 80
        assert not page.stem.endswith("-h") or len(lines) <= 40


def rewrite() -> None:
    """Put what the commands print now into the files; remove files without a command."""
    for file in FOLDER.iterdir():
        if file.name not in CASES:
            file.unlink()
    for name in CASES:
        (FOLDER / name).write_text(printed(name), encoding="utf-8")
    mistakes.FILE.write_text(mistakes.sentences(), encoding="utf-8")


if __name__ == "__main__":
    with inputs():
        rewrite()

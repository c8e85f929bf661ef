"""Mistakes on the command line, each with its sentence in ``tests/golden/mistakes.txt``."""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from tests.program import here

MISTAKES = [
    *(f"--dim {d}" for d in ("0", "-3", "2.5", "abc", "1e30", "1e999999999", ",", "64,,5")),
    *(f"--dim {r}" for r in ("5:1", "1:5:0", "1:1e9", "10:1:x2", "0:1:log3", "1:10:log1")),
    *("--dim 1:2:3:4", "--dim 64-512", "--dim 64..512"),
    *(f"--scale {s}" for s in ("sqr", "0", "-1", "nan", "inf", "D^60", "D^-60", "1e40", "1:0")),
    *(f"--scale {s}" for s in ("1/sqrt(D)", "1/D", "1/√D", "1/sqrt(512)", "sqrt(2/D)")),
    *("--scale sqrt(D/2)", "--scale 1:400 --dim 1:400"),
    *("--scale sqrt --gain 2", "--scale he --gain 0", "--gain 0", "--gain relu"),
    *("--x-dist nrmal", "--x-dist gausian", "--w-dist rectified", "--design cross"),
    *("--w-std 0", "--w-std -1", "--w-std inf", "--x-std nan", "--x-mean 1e30", "--x-std 1e-40"),
    *(f"--samples {n}" for n in ("10", "0", "1e20", "2.5", "many", "1m")),
    *("--seed -1", "--seed 1.5", "--seed rnd", "--workers 0", "--workers two", "--dtype float16"),
    *("--confidence 0", "--confidence 1", "--confidence 95", "--alpha 0", "--alpha nan"),
    *(f"{command}--precision {p}" for command in ("", "layers ") for p in ("0.1", "1/20", "5")),
    *("--format xml", "--output results.xyz", "--output results", "--output ''", "--output x.png"),
    *("--dimm 3", "--plt", "--dim", "surplus", "512", "--dim 64 128", "comparr a b"),
    *(f"{typed} -n 64" for typed in ("layer", "gain", "plots", "Init")),
    *("--columns dim,emprical", "--columns verdicts", "--sort -rato", "--sort totals"),
    *("--dim 64 compare a.jsonl b.jsonl", "--init kaiming_normal_", "--init nn.Linear"),
    *("--init he_normal", "--init kaimng_normal_", "--init conv2d"),
    *(f"{command} --format xml" for command in ("layers", "init", "gains", "compare a b")),
    *(f"{command} --output results.xyz" for command in ("layers", "init", "gains", "compare a b")),
    *(f"{command} --output ''" for command in ("layers", "init", "gains", "compare a b", "plot a")),
    *(f"{command} --dimm 3" for command in ("layers", "init", "gains", "compare a b", "plot a")),
    *(
        f"{command} {mistake}"
        for command in ("layers", "init")
        for mistake in (
            *("--seed -1", "--workers 0", "--confidence 1", "--alpha nan", "--dtype float16"),
            *("--scheduler here", "--resume", "--resume -o a.md", "--resume -o a.csv -o b.jsonl"),
        )
    ),
    *(f"layers --widths {widths}" for widths in ("5", "5,6 --depth 2", "4,5,6 --residual")),
    *("layers --width 0", "layers --depth 0", "layers --depth 20000", "layers --networks 1"),
    *("layers --networks 7", "layers --batch 0", "layers --norm batch --batch 1"),
    *("layers --activation rleu", "layers --scale sqr", "layers --scale sqrt --gain 2"),
    *("layers --norm group", "layers --residual x", "layers --bias-std -1", "layers 512"),
    *("layers -p 0", "layers -p 200%", "layers --max-networks 9", "layers --max-time 1"),
    *("layers -p 1% --max-networks 9", "layers -p 1% --max-networks 1e6", "layers -o x.svg"),
    *("layers --samples 100", "layers --correlation 0.5 -x uniform"),
    *("init --draws 7", "init --dim 0", "init --fan-out 2.5", "init orthgonal", "init --dim 1:0"),
    *("init --init he", "init xavier_uniform", "init torch.nn.init", "init mymodule.f"),
    *("init 'f('", "init orthogonal --dim 1e5", "gains rleu", "gains tanh( --critical"),
    *(f"gains --variance {q}" for q in ("0", "-1", "1e13", "1e300")),
    *("gains 'elu(1, 2)'", "gains --columns 'E ψ'", "gains --xyz", "gains --output x.pdf"),
    *("compare", "compare a", "compare a b c", "compare - -", "compare a b --alpha 2"),
    *("merge", "merge - -", "merge a --alpha 2"),
    *("plot", "plot a.jsonl -o a.gif", "plot a.jsonl -o a.svg --width 1"),
    *("plot a.csv b.png", "help sweep", "help xavier", "version", "explain", "run", "--json", "-V"),
    *("--scale fan_in", "--scale 1/512", "--scale xavier_uniform", "--scale orthogonal"),
    *("--dimension 3", "--fan-in 3", "-x bernoulli", "-x 'student-t(4)'",
      "-w onehot", "-x onehot --x-mean 1", "layers -x onehot", "layers -w 'student-t(5)'",
      "layers -x 'bernoulli(0.01)'", "-x cauchy", "-d 1,000,000", "-d 64:4096:*2"),
    *("-d '512 1024'", "layers --dim 64", "layers --norm ln", "layers -a leaky_relu:0.2"),
]  # fmt: skip


FILE = Path(__file__).parents[1] / "golden" / "mistakes.txt"
"""The mistakes and their sentences; ``python -m tests.test_golden`` rewrites it."""


def sentences() -> str:
    """What the file should hold."""
    return "\n".join(f"$ varsim {each}\n{here(*shlex.split(each)).stderr}" for each in MISTAKES)


@cache
def shown() -> dict[str, str]:
    """The sentences of the file, by mistake."""
    parts = FILE.read_text(encoding="utf-8").removeprefix("$ varsim ").split("\n$ varsim ")
    return dict(part.split("\n", 1) for part in parts)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_nothing_else(mistake: str) -> None:
    """Exit 2, the sentence of the file on stderr in one line, and nothing on stdout."""
    done = here(*shlex.split(mistake))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"Error: [^\n]{10,300}[.?)]\n", done.stderr), done.stderr
    assert done.stderr == shown()[mistake]


def test_every_sentence_of_the_file_has_its_mistake() -> None:
    """In the order of the list."""
    assert list(shown()) == MISTAKES


@pytest.mark.parametrize("text", ["a" * 6000, "1" * 6000, "a b" * 2000, "\x1b[2J\x07" * 100])
@pytest.mark.parametrize(
    "option",
    [*("--dim", "--scale", "--gain", "--init", "--design", "-x", "-p", "--max-time", "--seed"),
     *("--dtype", "--scheduler", "--confidence", "-f", "-o", "help", "gains", "layers", "plot")],
)  # fmt: skip
def test_a_mistake_is_shown_in_part(option: str, text: str) -> None:
    """A sentence stays one, and holds no control character."""
    done = here(option, text)
    assert done.returncode == (1 if option == "plot" else 2)  # a file that cannot be read
    assert len(done.stderr) < 400
    assert done.stderr.rstrip("\n").isprintable()

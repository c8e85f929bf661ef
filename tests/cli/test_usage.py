"""Options, their variables and their completion, and pages of help."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from tests.program import SMALL, environment, here, run
from varsim import __version__
from varsim.cli.program import varsim


def test_options_come_from_the_environment_too() -> None:
    """VARSIM_ and the option's name; the command line wins."""
    done = here("--format", "jsonl", "-s", "sqrt", VARSIM_DIM="16, 32,48", VARSIM_SAMPLES="6400")
    assert [json.loads(line)["dim"] for line in done.stdout.splitlines()] == [16, 32, 48]
    done = here(
        "--dim", "8", "--format", "jsonl", "-s", "sqrt", VARSIM_DIM="16", VARSIM_SAMPLES="100"
    )
    assert [json.loads(line)["dim"] for line in done.stdout.splitlines()] == [8]


def test_a_variable_is_read_as_on_the_command_line(tmp_path: Path) -> None:
    """Spaces and colons do not split it."""
    file = tmp_path / "a:b.csv"
    given = {
        "VARSIM_INIT": "trunc_normal(bound=2, std=1)", "VARSIM_DIM": "8, 16",
        "VARSIM_OUTPUT": str(file), "VARSIM_SAMPLES": "6.4k",
    }  # fmt: skip
    assert here("-s", "sqrt", **given).returncode == 0
    table = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [(row["dim"], row["init"]) for row in table] == [
        ("8", "trunc_normal(bound=2, std=1)"), ("16", "trunc_normal(bound=2, std=1)"),
    ]  # fmt: skip


def test_commands_share_the_variables_of_the_options_they_share() -> None:
    """Its own variable wins, and the command line over both."""
    args = ("init", "orthogonal", "--dim", "8", "--draws", "8")
    given = {"VARSIM_SEED": "7", "VARSIM_FORMAT": "jsonl", "VARSIM_DIM": "16"}
    for more, changes, seed in (
        ((), {}, 7), ((), {"VARSIM_INIT_SEED": "8"}, 8), (("--seed", "9"), {}, 9),
    ):  # fmt: skip
        (row,) = map(json.loads, here(*args, *more, **given, **changes).stdout.splitlines())
        assert (row["seed"], row["dim"]) == (seed, 8)
    assert "VARSIM_INIT_SEED" in here("init", "--help").stdout


def test_every_option_has_its_variable() -> None:
    """Under its own name, --version apart: a variable of that name is often about a package."""
    given = {"VARSIM_FORMAT": "markdown", "VARSIM_CHECK": "1", "VARSIM_QUIET": "1"}
    done = here("-s", "sqrt", *SMALL, **given, VARSIM_VERSION="1")
    assert done.stdout.startswith("|")
    assert done.stderr == ""
    for param in varsim.params:
        assert param.name is not None
        assert max(param.opts, key=len) == "--" + param.name.replace("_", "-")


def test_a_variable_that_no_option_reads_is_named() -> None:
    """With the nearest name, and the run goes on; a variable of a command is known."""
    done = here("-s", "sqrt", *SMALL, VARSIM_DIMS="64", VARSIM_LAYERS_SEED="3")
    assert done.returncode == 0
    notes = [line for line in done.stderr.splitlines() if line.startswith("Note: ")]
    assert notes == ["Note: no option reads the variable VARSIM_DIMS; did you mean VARSIM_DIM?"]


def test_a_mistake_in_a_variable_names_it() -> None:
    """Click's sentence has the option alone; a flag takes 1 or 0."""
    for name, value in {"CHECK": "3", "SCALE": "fo", "DIM": "0"}.items():
        done = here(**{f"VARSIM_{name}": value}, VARSIM_SEED="1")
        assert done.returncode == 2
        assert done.stderr.endswith(f"; it is from the variable VARSIM_{name}.\n")
        assert done.stderr.count("\n") == 1
    assert "from the variable" not in here("--scale", "fo", VARSIM_SEED="1").stderr


@pytest.mark.parametrize("command", sorted({*varsim.subcommands()} - {"layers", "init", "model"}))
def test_the_short_help_of_a_command_with_few_options_is_its_help(command: str) -> None:
    """Nothing is left out where there is little."""
    assert here(command, "-h").stdout == here(command, "--help").stdout


def test_version_names_what_the_bytes_depend_on() -> None:
    """varsim, Python, NumPy, BLAS and the bit generator."""
    text = here("--version").stdout
    for name in (f"varsim {__version__}", "Python 3", "NumPy ", "BLAS ", "bit generator SFC64"):
        assert name in text


def test_names_complete_in_the_shell() -> None:
    """Also behind a comma, and without loading NumPy."""
    done = run(
        _VARSIM_COMPLETE="bash_complete", COMP_WORDS="varsim --scale none,he", COMP_CWORD="2"
    )
    assert {line.split(",", 1)[1] for line in done.stdout.splitlines()} >= {
        "none,he",
        "none,he-fan-out",
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"_VARSIM_COMPLETE": "bash_complete"}, {"_VARSIM_COMPLETE": "bash"},
        {"_VARSIM_COMPLETE": "bash_complete", "COMP_WORDS": "varsim", "COMP_CWORD": "x"},
        {"_VARSIM_COMPLETE": "tcsh_source"},
    ],
)  # fmt: skip
def test_a_variable_of_completion_that_no_shell_sets_is_one_sentence(
    changes: dict[str, str],
) -> None:
    """What is given, and what would be right."""
    done = here(**changes)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: the variable _VARSIM_COMPLETE is {changes['_VARSIM_COMPLETE']!r}, but not as a "
        "shell's completion sets it; give bash_source, zsh_source or fish_source, or unset it.\n"
    )


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("--gain gel", "gelu"), ("--gain torch:ta", "torch:tanh"), ("--init orth", "orthogonal"),
        ("--init torch.nn.init.kaiming_u", "torch.nn.init.kaiming_uniform_"),
        ("--design pai", "paired"), ("--x-dist gau", "gaussian"), ("--seed r", "random"),
        ("--dtype float6", "float64"), ("--format mark", "markdown"), ("--scheduler l", "local"),
        ("layers -a sil", "silu"), ("layers --norm la", "layer"), ("layers --residual g", "gpt2"),
        ("gains relu,gelu_", "relu,gelu_tanh"), ("gains tanh mis", "mish"),
        ("init keras.initializers.HeN", "keras.initializers.HeNormal"), ("help swe", "sweeps"),
    ],
)  # fmt: skip
def test_every_option_with_names_completes_them(typed: str, completed: str) -> None:
    """Arguments too."""
    *args, incomplete = typed.split()
    shell = ShellComplete(varsim, {}, "varsim", "_VARSIM_COMPLETE")
    assert completed in [item.value for item in shell.get_completions(args, incomplete)]


def test_help_loads_only_what_it_prints() -> None:
    """No page waits for what takes long to load."""
    pages = ["--help", "-h", "help", "help layers", *(f"{n} --help" for n in varsim.subcommands())]
    code = (
        "import sys\n"
        "from varsim.cli import main\n"
        "heavy = {'numpy', 'rich', 'scipy', 'matplotlib'}\n"
        "for page in sys.argv[1:]:\n"
        "    sys.argv[1:] = page.split()\n"
        "    try: main()\n"
        "    except SystemExit as end: assert end.code == 0, page\n"
        "    assert not heavy & set(sys.modules), page\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *pages], capture_output=True, env=environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_variable_is_no_option_before_a_command() -> None:
    """Such an option is refused, since it would do nothing; the environment is for all commands."""
    assert "cannot be read" in here("compare", "a.jsonl", "b.jsonl", VARSIM_DIM="64").stderr

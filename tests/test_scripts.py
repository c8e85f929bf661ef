"""The scripts set themselves up once, and say in a sentence where they cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiers
from tests.program import run_script

ROOT = Path(__file__).parent.parent


def stand_in(folder: Path, body: str) -> str:
    """A program that stands in for Python."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return str(file)


def test_too_old_a_python_is_one_sentence(checkout: Path, tmp_path: Path) -> None:
    """It names the version that was found."""
    old = stand_in(tmp_path, 'case "$1" in -V) echo Python 3.9.2;; *) exit 1;; esac')
    done = run_script(checkout, PYTHON=old)
    assert done.returncode == 1
    assert done.stderr == (
        "varsim: Python 3.9.2 is too old; install Python 3.11 or newer, or set PYTHON to it.\n"
    )


def test_a_missing_venv_module_is_one_sentence(checkout: Path, tmp_path: Path) -> None:
    """Debian and Ubuntu split it off."""
    bare = stand_in(tmp_path, 'case "$2" in *venv*) exit 1;; *) exit 0;; esac')
    done = run_script(checkout, PYTHON=bare)
    assert done.returncode == 1
    assert "has no venv module; install it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_python_is_one_sentence(checkout: Path) -> None:
    """Not bash's own complaint."""
    done = run_script(checkout, PYTHON="python-that-is-not-there")
    assert done.returncode == 1
    assert done.stderr.startswith("varsim: there is no python-that-is-not-there; install")


STAND_IN = """#!/bin/bash
cd -- "${0%/*}/../.."
[[ $1 == -c ]] && PYTHONPATH=site exec "$PYTHON" -S "$@"
echo "${0##*/}$(printf ' <%s>' "$@")" >> calls
[[ $2 == pip ]] || exit 0
[[ -e offline ]] && echo 'ERROR: there is no network' >&2 && exit 1
for requirement in "${@:6}"; do mkdir "site/${requirement%==*}-1.0.dist-info"; done
"""
"""A program of .venv that notes how it is called; its pip leaves metadata and nothing else."""


@pytest.fixture
def furnished(tmp_path: Path) -> Path:
    """A checkout whose .venv seems set up for tests, with stand-ins for what is called in it."""
    copy = tmp_path / "some $where `else" / "varsim"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / "site").mkdir()
    for name in ("ruff", "python"):
        file = copy / ".venv" / "bin" / name
        file.write_text(STAND_IN)
        file.chmod(0o755)
    stamp = f"{copy.resolve()}\n{(copy / 'pyproject.toml').read_text()}"
    for extra in ("", "-test"):
        (copy / ".venv" / f".installed{extra}").write_text(stamp)
    return copy


CHECKS = ["ruff <check>", "ruff <format> <--check>", "python <-m> <mypy>"]


def calls(furnished: Path, *args: str) -> list[str]:
    """What scripts/test calls, besides the checks of style and types."""
    done = run_script(furnished, *args, script="test", PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    noted = (furnished / "calls").read_text().splitlines()
    (furnished / "calls").unlink()
    assert [call for call in noted if call in CHECKS] == CHECKS
    return [call for call in noted if call not in CHECKS]


PIP = "python <-m> <pip> <install> <--quiet> <--disable-pip-version-check>"
PYTEST = "python <-m> <pytest> <--numprocesses> <auto> <--dist> <worksteal>"


@pytest.mark.parametrize("place", [0, 2, 3])
def test_frameworks_are_installed_once_and_arguments_go_to_pytest(
    furnished: Path, place: int
) -> None:
    """Wherever the option stands; torch in one version, which has a build without a GPU."""
    args = ["-k", "this or that", ""]
    args.insert(place, "--all")
    tests = " ".join([PYTEST, *(f"<{arg}>" for arg in args)])
    assert calls(furnished, *args) == [f"{PIP} <torch==2.13.0> <jax> <keras> <flax>", tests]
    assert calls(furnished, *args) == [tests]


def test_frameworks_that_are_there_are_left_alone(furnished: Path) -> None:
    """In whatever version; only what is missing is installed."""
    (furnished / "site" / "torch-2.4.dist-info").mkdir()
    assert calls(furnished, "--all") == [f"{PIP} <jax> <keras> <flax>", f"{PYTEST} <--all>"]


def test_without_the_option_no_framework_is_installed(furnished: Path) -> None:
    """Tests that need one are skipped."""
    assert calls(furnished, "-x") == [f"{PYTEST} <-x>"]


def test_frameworks_that_cannot_be_installed_are_one_sentence(furnished: Path) -> None:
    """Below what pip says; nothing is tested, and the next call tries again."""
    (furnished / "offline").touch()
    for _ in range(2):
        done = run_script(furnished, "--all", script="test", PYTHON=sys.executable)
        assert done.returncode == 1
        assert done.stderr.splitlines()[1:] == [
            "ERROR: there is no network",
            "varsim: pip could not install torch jax keras flax; see its message above.",
        ]
        assert "pytest" not in (furnished / "calls").read_text()
    (furnished / "offline").unlink()
    (furnished / "calls").unlink()
    assert len(calls(furnished, "--all")) == 2


def test_varsim_is_called_by_its_interpreter(furnished: Path) -> None:
    """Pip's launcher of a program cannot stand in a path that a shell would expand."""
    done = run_script(furnished, "-s", "none,he", "$HOME", "", PYTHON=sys.executable)
    assert (done.returncode, done.stderr) == (0, "")
    called = (furnished / "calls").read_text()
    assert called == "python <-P> <-m> <varsim> <-s> <none,he> <$HOME> <>\n"


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A checkout that nobody can write to, in a folder that anybody can read."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "scripts", Path(folder) / "scripts")
        Path(folder).chmod(0o555)
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_a_read_only_checkout_is_one_sentence(read_only: Path) -> None:
    """With its path, and what to do."""
    user = "nobody" if os.geteuid() == 0 else None  # root can write everywhere
    done = subprocess.run(
        [read_only / "scripts" / "varsim"], capture_output=True, encoding="utf-8", check=False,
        user=user,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1,
        f"varsim: {read_only.resolve()} is read-only; copy it to a folder that you can write to.\n",
    )


def test_frameworks_are_extras_too() -> None:
    """Each has one of its own name, for those who install without the scripts."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert {"torch", "jax", "keras"} <= set(extras)


def test_no_case_of_the_fuzzer_breaks_the_contract() -> None:
    """A few of each kind, the same on every machine; a longer run takes any other seed."""
    tens = 12 if tiers.everything else 1
    done = subprocess.run(
        [sys.executable, "-m", "scripts.fuzz", "--cases", f"{10 * tens}", "--seed", "0"],
        capture_output=True, encoding="utf-8", cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    cases = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert cases == [2 * tens, tens, 2 * tens, 2 * tens, 2 * tens, tens]

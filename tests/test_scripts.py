"""The scripts set themselves up, quickly the second time, and say in a sentence when they can't."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository without its virtual environment, under a name with a space."""
    copy = tmp_path_factory.mktemp("some where") / "varsim"
    ignore = shutil.ignore_patterns(".venv", ".git", "*cache*", ".hypothesis", "dist")
    shutil.copytree(ROOT, copy, ignore=ignore)
    return copy


def run_script(checkout: Path, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "scripts" / "varsim"), *args],
        capture_output=True, encoding="utf-8", env={**os.environ, **environment}, check=False,
    )  # fmt: skip


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


def test_a_fresh_checkout_runs_and_a_second_call_is_quick(checkout: Path) -> None:
    """The first call installs; the second runs no pip and adds under 0.1 s; a link works too."""
    first = run_script(checkout, "-s", "sqrt", "-n", "6400", PYTHON=sys.executable)
    assert first.returncode == 0, first.stderr
    assert " sqrt " in first.stdout
    second = run_script(checkout, "-s", "sqrt", "-n", "6400", PYTHON="/nonexistent")
    assert (second.stdout, second.stderr) == (first.stdout, "1 of 1 agree with theory.\n")
    begun = time.perf_counter()
    subprocess.run([checkout / "scripts" / "setup"], check=True)
    assert time.perf_counter() - begun < 0.1
    link = checkout.parent / "link"
    link.symlink_to(checkout / "scripts" / "varsim")
    linked = subprocess.run([link, "--version"], capture_output=True, text=True, check=True)
    assert linked.stdout.startswith("varsim ")


def test_a_changed_pyproject_is_installed_again(checkout: Path) -> None:
    """So that a pull with a new dependency works."""
    if not (checkout / ".venv").exists():
        pytest.skip("the test above makes the environment")
    with (checkout / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    done = run_script(checkout, "--help")
    assert done.returncode == 0
    assert "setting up" in done.stderr

"""Running the program as its users do."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests import tiers
from varsim.cli import main
from varsim.compute.provenance import FRAMEWORKS
from varsim.kinds import SCHEMAS
from varsim.storage.reading import read

VARSIM = [sys.executable, "-m", "varsim"]

DATA = Path(__file__).parent / "data"

SMALL = ("--samples", "6400")

COMMANDS = {
    "varsim": "--dim 16,64 --design crossed,fixed-x --scale he,none --samples 6400",
    "layers": "layers --width 8 --depth 2 --networks 8 --batch 4 --activation tanh,relu",
    "init": "init orthogonal trunc_normal(std=0.1) --dim 8 --draws 8",
    "model": "model tests.model.networks:perceptron --input 4x24 --inits 8 --between 0.1:10",
    "gains": "gains tanh relu --variance 1,2",
    "tolerance": "tolerance --entries 10,100 --dist normal",
    "compare": f"compare {DATA / 'results.jsonl'} {DATA / 'results.csv'}",
}
"""Every command with an --output of rows, on little work."""

_NEEDS_TORCH = (pytest.mark.slow, pytest.mark.skipif(find_spec("torch") is None, reason="no torch"))


def _each(names: Iterable[str]) -> pytest.MarkDecorator:
    """Parametrize a test by commands; that of models needs torch, and so is slow."""
    marks = {"model": _NEEDS_TORCH}
    return pytest.mark.parametrize(
        "command", [pytest.param(name, marks=marks.get(name, ())) for name in names]
    )


each_command = _each(COMMANDS)
"""For every command with an --output of rows."""

each_measuring = _each(("varsim", "layers", "init", "model"))
"""For every command that samples."""

PATIENCE = 600
"""Seconds to wait for a process: a busy machine is no defect, a process that never ends is one."""


def environment(**changes: str) -> dict[str, str]:
    """The environment without what would change the program's output."""
    neutral = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("VARSIM_")
        and name
        not in {
            "NO_COLOR",
            "FORCE_COLOR",
            "COLUMNS",
            "LINES",
            "TERM",
            "PYTHONIOENCODING",
            "PYTHONSAFEPATH",
        }
    }
    return {**neutral, "PYTHONUTF8": "1", **changes}


def run(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run varsim off a terminal."""
    return subprocess.run(
        [*VARSIM, *args],
        capture_output=True,
        encoding="utf-8",
        env=environment(**changes),
        timeout=PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def run_script(
    checkout: Path, *args: str, script: str = "varsim", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script of a copy of the repository."""
    return subprocess.run(
        [str(checkout / "scripts" / script), *args],
        capture_output=True, encoding="utf-8", env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def here(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run varsim in this process, for what needs no process of its own."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    handlers = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    with (
        patch.object(os, "_exit", os._exit),
        patch.object(sys, "argv", ["varsim", *args]),
        patch.dict(os.environ, environment(**changes), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    said = []
    for stream in (out, err):
        stream.seek(0)
        said.append(stream.read())
    return subprocess.CompletedProcess(args, int(end.value.code or 0), *said)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def needs(name: str) -> str:
    """Skip in the quick tier, or where the framework, or that of an initializer, is missing."""
    framework = name.partition(".")[0]
    if framework in FRAMEWORKS:
        if not tiers.everything:
            pytest.skip("frameworks are loaded with --all alone")
        if find_spec(framework) is None:
            pytest.skip(f"{framework} is not installed")
    return name


def rows(*args: str) -> list[dict[str, Any]]:
    """Run varsim in this process and return its rows."""
    done = here(*args, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def parse(text: str, suffix: str) -> list[Any]:
    """Rows in the text of a file, of any kind."""
    return read(text, suffix, SCHEMAS)


def on_terminal(*args: str, **changes: str) -> str:
    """Run varsim on a terminal, 80 columns wide, and return all that it wrote there."""
    leader, follower = pty.openpty()
    environ = environment(TERM="xterm-256color", COLUMNS="80", LINES="40") | changes
    with subprocess.Popen(
        [*VARSIM, *args], stdin=follower, stdout=follower, stderr=follower, env=environ
    ):
        os.close(follower)
        written = b""
        while True:
            ready, _, _ = select.select([leader], [], [], PATIENCE)
            try:
                chunk = os.read(leader, 65536) if ready else b""
            except OSError:  # the program has closed its side
                break
            if not chunk:
                break
            written += chunk
    os.close(leader)
    return written.decode().replace("\r\n", "\n")


def visible(text: str) -> str:
    """What is left on the screen: a slow machine draws a bar, whose lines are erased at the end."""
    *_, left = text.split("\x1b[2K")
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", left)

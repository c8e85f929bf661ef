"""Running the program as its users do."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from typing import Any

VARSIM = [sys.executable, "-m", "varsim"]


def environment(**changes: str) -> dict[str, str]:
    """The environment without what would change the program's output."""
    neutral = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("VARSIM_")
        and name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM", "PYTHONIOENCODING"}
    }
    return {**neutral, "PYTHONUTF8": "1", **changes}


def run(*args: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run varsim off a terminal."""
    return subprocess.run(
        [*VARSIM, *args],
        capture_output=True,
        encoding="utf-8",
        env=environment(**changes),
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def rows(*args: str) -> list[dict[str, Any]]:
    """Run varsim and return its rows."""
    done = run(*args, "--format", "jsonl")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


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
            ready, _, _ = select.select([leader], [], [], 60)
            try:
                chunk = os.read(leader, 65536) if ready else b""
            except OSError:  # the program has closed its side
                break
            if not chunk:
                break
            written += chunk
    os.close(leader)
    return written.decode().replace("\r\n", "\n")

#!/usr/bin/env python3
"""A fuzzer: command lines, stacks, users' functions, files and signals, held to the contract.

Every case has a folder of its own, and a process: one forked from this one, where varsim is loaded
already, or a fresh one if it gets signals. The contract: an exit code that is documented, one
sentence for a mistake and nothing written, never a traceback or a warning of Python's, no nan or
inf in machine formats, nothing on stdout that other code wrote, no control character that somebody
else wrote on the terminal, and no number that was changed in a file.

Run it with ``.venv/bin/python -m scripts.fuzz --cases 1000 --seed 7``. Each fault is printed with
its case; ``--case damaged-7-12`` repeats that and shows all of it. Exits with 1 on any fault.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import cycle, islice
from os import _exit as leave
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

from scripts import fuzz_cases, fuzz_files
from scripts.fuzz_cases import SPAM, SUFFIXES, Base, Bases, Case, Ended, Files
from varsim.cli import main as varsim
from varsim.compute import start_with_one_blas_thread

KINDS: dict[str, Callable[[random.Random, Bases], Case]] = {
    "commands": fuzz_cases.command_case, "stacks": fuzz_cases.stack_case,
    "functions": fuzz_cases.function_case,
    "damaged": fuzz_files.damaged_case, "edited": fuzz_files.edited_case,
    "signals": fuzz_cases.signal_case,
}  # fmt: skip
"""What makes a case of each kind."""

TURNS = [
    "commands", "damaged", "functions", "edited", "stacks",
    "commands", "damaged", "functions", "edited", "signals",
]  # fmt: skip
"""Who comes when: a stack takes as long as ten others."""

LIMIT = 60
"""Seconds of a CPU that a case may take: other programs can keep it waiting for longer."""

PATIENCE = 6.0
"""Seconds after which a case that may ask for more is interrupted."""

MEMORY = 8 * 2**30


def warm_up() -> None:
    """Load all that commands load, so that no case has to."""
    start_with_one_blas_thread()
    package = Path(import_module("varsim").__file__ or "").parent
    for file in package.rglob("*.py"):
        if not file.stem.startswith("_") and file.stem not in {"torch", "jax", "keras"}:
            import_module(".".join(["varsim", *file.relative_to(package).with_suffix("").parts]))
    for name in ("scipy.special", "scipy.linalg.lapack", "rich.live", "rich.progress",
                 "matplotlib.backends.backend_svg", "matplotlib.figure"):  # fmt: skip
        import_module(name)


def run(case: Case, folder: Path) -> list[Ended]:
    """Run the commands of a case in a new folder within one of ours, until one fails."""
    home = folder / "home"
    home.mkdir()
    furnish(home)
    for name, content in case.files.items():
        (home / name).write_bytes(content)
    done: list[Ended] = []
    for number, args in enumerate(case.steps):
        if done and done[-1].code not in (0, 3, 4) and not case.signals:
            break
        streams = [folder / f"{number}.{name}" for name in ("in", "out", "err")]
        for stream, content in zip(streams, (case.stdin, b"", b""), strict=True):
            stream.write_bytes(content)
        before, started = contents(home), time.monotonic()
        if case.signals and not done:
            code, shown = signalled(case, args, home, streams), ""
        else:
            code, shown = carry_out(case, args, home, streams)
        out, err = (file.read_text(errors="replace") for file in streams[1:])
        took = time.monotonic() - started
        done.append(Ended(code, shown or out, err, took, before, contents(home)))
    return done


def furnish(home: Path) -> None:
    """Make what an output may be besides a regular file: see :data:`fuzz_cases.OUTPUTS`."""
    os.mkfifo(home / "fifo.csv")
    (home / "folder.csv").mkdir()
    for name, target in {
        "full.csv": "/dev/full", "null.jsonl": os.devnull, "loop.csv": "loop.csv",
    }.items():  # fmt: skip
        (home / name).symlink_to(target)


def signalled(case: Case, args: Sequence[str], home: Path, streams: Sequence[Path]) -> int:
    """Run a command in a fresh process that gets the signals of a case; return its exit code."""
    handles = [stream.open("r+b") for stream in streams]
    root = str(Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "varsim", *args],
        stdin=handles[0], stdout=handles[1], stderr=handles[2], cwd=home,
        env={**environment(case), "PYTHONPATH": root},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )  # fmt: skip
    for number, after in case.signals:
        time.sleep(after)
        process.send_signal(number)
    try:
        return process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
    finally:
        for handle in handles:
            handle.close()


def environment(case: Case) -> dict[str, str]:
    """Return the environment of a case."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "VARSIM_WORKERS": "1", "COLUMNS": str(case.columns), **case.env}


def carry_out(
    case: Case, args: Sequence[str], home: Path, streams: Sequence[Path]
) -> tuple[int, str]:
    """Fork, wait, and return the exit code, and what a terminal was shown."""
    alive, held = os.pipe()
    leader, follower = os.openpty() if case.columns else (-1, -1)
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        be_the_program(case, args, home, streams, follower)
    for handle in (held, follower):
        if handle >= 0:
            os.close(handle)
    patience = PATIENCE if case.large else 10.0 * LIMIT
    shown = watch(child, alive, leader, patience, is_last=not case.large)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for handle in (alive, leader):
        if handle >= 0:
            os.close(handle)
    return code, shown.decode(errors="replace").replace("\r\n", "\n")


def watch(child: int, alive: int, leader: int, patience: float, *, is_last: bool) -> bytes:
    """Read a terminal until the child ends; past the time interrupt it, and then kill it."""
    shown, deadline = b"", time.monotonic() + patience
    while True:
        watched = [alive] if leader < 0 else [alive, leader]
        ready, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
        if leader in ready:
            try:
                shown += os.read(leader, 65536)
            except OSError:  # the child has closed its side
                leader = -1
        elif ready:
            return shown
        else:
            os.kill(child, signal.SIGKILL if is_last else signal.SIGINT)
            is_last, deadline = True, time.monotonic() + 20


def be_the_program(
    case: Case, args: Sequence[str], home: Path, streams: Sequence[Path], terminal: int
) -> NoReturn:
    """Take its place: arguments, environment, streams and folder; and end as it ends."""
    code = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's & ignores it
        os.chdir(home)
        changed = environment(case)
        os.environ.clear()
        os.environ |= changed
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
        handles = [os.open(stream, os.O_RDWR) for stream in streams]
        if case.stdout:
            handles[1] = os.open(case.stdout, os.O_WRONLY)
        if terminal >= 0:
            handles[1:] = [terminal, terminal]
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
        sys.stdout = os.fdopen(1, "w", encoding=case.encoding, closefd=False)
        vars(sys)["__stdout__"] = sys.stdout  # as of a fresh process
        sys.stderr = os.fdopen(2, "w", 1, case.encoding, "backslashreplace", closefd=False)
        sys.argv = ["varsim", *args]
        code = exit_code()
    except BaseException:  # noqa: BLE001  # ours
        traceback.print_exc()
    finally:
        leave(code)


def exit_code() -> int:
    """Run the program, and return its exit code, as Python's own end gives it."""
    code: Any = 0
    try:
        varsim()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # what a person would see
        traceback.print_exc()
        code = 1
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        return 120
    return int(code)


def contents(folder: Path) -> Files:
    """Return all files in a folder, but what Python makes of modules."""
    return {
        str(file.relative_to(folder)): file.read_bytes() if file.is_file() else b""
        for file in folder.rglob("*")
        if "__pycache__" not in file.parts
    }


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_DRAWN = re.compile(r"\x1b\[[0-9;]*[mAK]|\x1b\[\?25[hl]|\r")
_PYTHONS_WORDS = re.compile(
    r"Traceback \(most|^\S+:\d+: \w*Warning: |Exception ignored|Fatal Python", re.MULTILINE
)
_HANDLED = re.compile("varsim/cli/.* in (main|_handle)$", re.MULTILINE)
_NO_NUMBERS = {"nan", "NaN", "inf", "-inf", "Infinity", "-Infinity", "None", "null"}
_LONGEST = 1000


def faults(case: Case, ended: Sequence[Ended]) -> Iterator[str]:
    """Yield what breaks the contract."""
    for each in ended:
        if case.signals and "Traceback" in each.err and not _HANDLED.search(each.err):
            continue  # Python was still starting
        yield from stream_faults(case, each)
        if each.code != -signal.SIGKILL:  # which can leave a new file empty
            yield from file_faults(each)
        if not case.columns:
            yield from sentence_faults(each)
    yield from case.verify(ended)


def stream_faults(case: Case, ended: Ended) -> Iterator[str]:
    """Yield what is wrong with the exit code and the streams of a command."""
    ends = {0, 1, 2, 3, 4, *case.ends, *([130] if case.large or case.signals else [])}
    # Before varsim is loaded and after its end, the signals are Python's.
    if ended.code not in ends | {-number for number, _ in case.signals}:
        yield f"exit code {ended.code} after {ended.seconds:.0f} s"
    text = f"{ended.out}\n{ended.err}"
    if (found := _PYTHONS_WORDS.search(text)) is not None:
        yield f"Python's own words: {found[0]!r}"
    if SPAM in ended.out and not case.columns:
        yield "what other code wrote is on stdout"
    if (found := _CONTROL.search(_DRAWN.sub("", text) if case.columns else text)) is not None:
        yield f"a control character: {found[0]!r}"
    starts = {'{"': ".jsonl", "[\n": ".json", "schema,": ".csv"}
    suffix = next((suffix for start, suffix in starts.items() if ended.out.startswith(start)), "")
    if (why := unclean(ended.out, suffix)) is not None and ended.code != 130:
        yield f"stdout: {why}"


def file_faults(ended: Ended) -> Iterator[str]:
    """Yield what is wrong with the files that a command left."""
    names = sorted(ended.before.keys() | ended.after.keys())
    changed = [name for name in names if ended.before.get(name) != ended.after.get(name)]
    if ended.code == 2 and changed:
        yield f"a mistake changed files: {changed}"
    for name in changed:
        why = unclean(ended.after.get(name, b"").decode(errors="replace"), name)
        if why is not None:
            yield f"{name}: {why}"


def sentence_faults(ended: Ended) -> Iterator[str]:
    """Yield what is wrong with what is said of a mistake."""
    said = [line for line in ended.err.splitlines() if SPAM not in line]
    errors = [line for line in said if line.startswith("Error: ")]
    if (ended.code in (1, 2) and not errors) or (ended.code in (0, 3, 4) and errors):
        yield f"{len(errors)} sentences on a mistake, with exit code {ended.code}"
    if ended.code == 2 and (len(said) > 1 or ended.out):
        yield f"{len(said)} lines on stderr, {len(ended.out)} characters on stdout, at a mistake"
    for line in errors:
        if not line.endswith((".", "?")) or len(line) > _LONGEST:
            yield f"no sentence, or a long one: {len(line)} characters"


def unclean(text: str, name: str) -> str | None:
    """Return why a text in the format of a file's suffix is not clean, or None."""
    suffix = Path(name).suffix
    try:
        if suffix == ".json":
            strict_json(text)
        elif suffix == ".jsonl":
            list(map(strict_json, text.splitlines()))
        elif suffix == ".csv":
            check_csv(text)
        elif suffix == ".svg":
            ElementTree.fromstring(text)  # noqa: S314  # our own
    except (ValueError, ElementTree.ParseError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def strict_json(text: str) -> Any:
    """Return what JSON holds, or raise a ValueError, for NaN and Infinity too."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def check_csv(text: str) -> None:
    """Raise a ValueError where a cell is no finite number, or a line has too few."""
    head, *rows = csv.reader(io.StringIO(text), strict=True)
    for row in rows:
        for name, cell in zip(head, row, strict=True):
            if cell in _NO_NUMBERS:
                raise ValueError(f"{name} is {cell}")
            if cell[:1] in {"[", "{"}:
                strict_json(cell)


def written() -> dict[str, Base]:
    """Return the files that are damaged: those that commands write."""
    bases = {}
    for name, command in fuzz_files.WRITTEN.items():
        outputs = [word for suffix in SUFFIXES for word in ("-o", f"w{suffix}")]
        with tempfile.TemporaryDirectory() as folder:
            (ended,) = run(Case([[*command.split(), *outputs]]), Path(folder))
        files = {suffix: ended.after[f"w{suffix}"] for suffix in SUFFIXES}
        bases[name] = Base(files, command.split())
    return bases


def try_out(name: str, bases: Bases, *, verbose: bool = False) -> tuple[list[str], Sequence[Ended]]:
    """Run the case of a name; return its faults, which are printed, and how it ended."""
    case = KINDS[name.partition("-")[0]](random.Random(name), bases)  # noqa: S311  # no secrets
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        ended = run(case, Path(folder))
    found = list(faults(case, ended))
    for fault in found:
        say(f"{name}: {fault}")
    if found or verbose:
        show(case, ended, 10**6 if verbose else 300)
    return found, ended


def show(case: Case, ended: Sequence[Ended], most: int) -> None:
    """Print a case: its commands, its environment and what it said."""
    env = " ".join(f"{name}={value!r}" for name, value in case.env.items())
    for args, each in zip(case.steps, ended, strict=False):
        line = shlex.join(arg if len(arg) < 1000 else f"{arg[:20]}...{len(arg)}" for arg in args)
        say(f"    {env} varsim {line!a}")
        say(f"    {each.code}, {each.seconds:.1f} s: {each.err[:most]!a} {each.out[:most]!a}")
    if most > 300:
        for name, content in case.files.items():
            say(f"--- {name}\n{content[:20_000].decode(errors='replace')}")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def names(kinds: Sequence[str], seed: int) -> Iterator[str]:
    """Return the names of cases, each kind in its turn, without an end."""
    return (f"{kind}-{seed}-{number}" for number, kind in enumerate(cycle(kinds)))


def main() -> int:
    """Run cases, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="root of all cases")
    parser.add_argument("--cases", type=int, default=500, help="how many")
    parser.add_argument("--seconds", type=float, help="instead: for how long")
    parser.add_argument("--only", choices=KINDS, help="one kind")
    parser.add_argument("--case", help="repeat one, as it was printed")
    options = parser.parse_args()
    warm_up()
    bases = written()
    if options.case:
        return int(bool(try_out(options.case, bases, verbose=True)[0]))
    deadline = time.monotonic() + options.seconds if options.seconds else float("inf")
    todo = names([options.only] if options.only else TURNS, options.seed)
    codes: dict[str, Counter[int]] = {kind: Counter() for kind in KINDS}
    faulty: Counter[str] = Counter()
    for name in todo if options.seconds else islice(todo, options.cases):
        kind = name.partition("-")[0]
        found, ended = try_out(name, bases)
        faulty[kind] += bool(found)
        codes[kind][ended[-1].code] += 1
        if time.monotonic() > deadline:
            break
    for kind, counted in codes.items():
        told = ", ".join(f"{code}: {n}" for code, n in sorted(counted.items()))
        say(f"{kind:<10} {counted.total():>6} cases, {faulty[kind]} with faults; exit codes {told}")
    return int(bool(faulty.total()))


if __name__ == "__main__":
    sys.exit(main())

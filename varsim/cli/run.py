"""One run: the sweep into experiments, experiments into results, and an end at any moment."""

from __future__ import annotations

import itertools
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from varsim.cli.screen import Watch
from varsim.execution import threads
from varsim.experiment import Experiment, InputError, Result
from varsim.inference import infer, judge
from varsim.sampling import block_numbers, stream
from varsim.scales import SCALES, find_scale
from varsim.sweep import MAX_VALUES


class Expansion(NamedTuple):
    """The experiments of a sweep, and what a person should know of how they came about."""

    experiments: list[Experiment]
    notes: list[str]


class Run(NamedTuple):
    """What a run gave.

    Attributes:
        results: The rows that are done, with their verdicts.
        interrupted: Whether a person ended it before its end.
        failure: A sentence on what else ended it before its end, or None.
    """

    results: list[Result]
    interrupted: bool = False
    failure: str | None = None


def expand(swept: Mapping[str, Sequence[Any]], fixed: Mapping[str, Any]) -> Expansion:
    """Return every combination of the swept values as an experiment, the last option fastest.

    A gain is left out where the scheme has none; an experiment that comes up again is left out.

    Raises:
        InputError: There are too many, one of them is not allowed, or no scheme takes the gain.
    """
    count = 1
    for values in swept.values():
        count *= len(values)
    if count > MAX_VALUES:
        raise InputError(
            f"the sweep has {count:,} experiments; {MAX_VALUES:,} are allowed: take fewer values"
        )
    experiments: dict[str, Experiment] = {}
    repeated, gainless = 0, set()
    for combination in itertools.product(*swept.values()):
        asked = dict(zip(swept, combination, strict=True))
        if asked["gain"] is not None and not _takes_gain(asked["scale"]):
            gainless.add(asked["scale"])
            asked["gain"] = None
        experiment = Experiment(**asked, **fixed)
        repeated += experiment.key in experiments and asked["scale"] not in gainless
        experiments.setdefault(experiment.key, experiment)
    if gainless.issuperset(swept["scale"]):
        takers = ", ".join(name for name, scale in SCALES.items() if scale.gain is not None)
        raise InputError(
            f"gain does not apply to scale {', '.join(sorted(gainless))}; leave it out, or take a "
            f"scheme with a gain: {takers}"
        )
    return Expansion(list(experiments.values()), list(_notes(repeated, sorted(gainless))))


def _takes_gain(scale: str) -> bool:
    try:
        return find_scale(scale).gain is not None
    except (KeyError, ValueError):
        return True  # for the experiment to refuse


def _notes(repeated: int, gainless: Sequence[str]) -> Iterator[str]:
    if repeated:
        plural = "s are" if repeated > 1 else " is"
        yield f"{repeated} experiment{plural} in the sweep more than once and will run only once."
    if gainless:
        yield f"The gain does not apply to scale {', '.join(gainless)}, which ran without."


def run(
    experiments: Sequence[Experiment],
    *,
    workers: int,
    confidence: float,
    alpha: float,
    quiet: bool,
) -> Run:
    """Run experiments one after the other; whatever ends it, the rows that are done are kept."""
    results: list[Result] = []
    work = sum(e.blocks * block_numbers(e) for e in experiments)
    try:
        with (
            _ending_signals_as_interrupt(),
            threads(workers) as mapper,
            Watch(work, rows=len(experiments), quiet=quiet) as watch,
        ):
            for experiment in experiments:
                blocks = watch.over(stream(experiment, mapper), block_numbers(experiment))
                results.append(infer(experiment, blocks, confidence))
                watch.show(results)
    except KeyboardInterrupt:
        return Run(judge(results, alpha), interrupted=True)
    except (MemoryError, RuntimeError) as error:  # RuntimeError: no further thread can be started
        failure = (
            f"the machine gave out ({error or 'no memory'}); take fewer workers: see --dry-run"
        )
        return Run(judge(results, alpha), failure=failure)
    return Run(judge(results, alpha))


@contextmanager
def _ending_signals_as_interrupt() -> Iterator[None]:
    """Let the first signal that ends a program interrupt the run, and ignore those that follow.

    What is left to do then is to write the rows that are done. A hang-up that is ignored already
    (nohup) stays ignored. Only the main thread may set handlers, and only it is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if before[number] is not signal.SIG_IGN]

    def ignore(signum: int, frame: FrameType | None) -> None:
        # Not SIG_IGN, for which Python reports a signal that has already arrived as an error.
        pass

    def interrupt(signum: int, frame: FrameType | None) -> None:
        for number in heeded:
            signal.signal(number, ignore)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    yield
    for number in heeded:
        signal.signal(number, before[number] or signal.SIG_DFL)

#!/usr/bin/env python3
"""Benchmarks: every figure is a ratio of times taken in turn in this one run, with its spread.

Machines differ and are shared; ratios of neighbours in time say more than seconds. Run it with
``.venv/bin/python scripts/bench.py`` on an idle machine; torch is compared when it is installed.
Exits with 1 when a bar does not hold.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from varsim import Experiment, Result, Totals, layers, measure, simulate, stream
from varsim.catalog.samplers import SAMPLERS
from varsim.compute import Mapper, threads
from varsim.compute.cluster import cluster
from varsim.compute.processes import processes
from varsim.layer.study import LayerStudy
from varsim.layer.theory import predict
from varsim.layer.totals import Block
from varsim.report.formats import plain_text
from varsim.runner import ResumePoint, RunOptions, run
from varsim.stack.question import Network
from varsim.statistics.moments import Moments
from varsim.table import Column, Table

VARSIM = str(Path(sys.executable).with_name("varsim"))
QUESTION = Experiment(dim=512, scale="sqrt", design="fixed-x", samples=500_000)
PRECISE = Experiment(dim=512, scale="sqrt", samples=4_100_000)
LONG = {
    "crossed": Experiment(dim=512, scale="sqrt", samples=300_000_000),
    "fixed-x": Experiment(dim=512, scale="sqrt", design="fixed-x", samples=3_000_000),
}
STACK = Network(widths=(512,) * 21, scale="sqrt")
SHORT = [Experiment(dim=dim, scale="sqrt", samples=65_536) for dim in range(1, 401)]
NAP = 0.05
"""Seconds that a worker which only sleeps sleeps at a time."""
SECONDS_PER_NUMBER = 6e-9
"""What a block takes on one core, for each random number that it draws."""
PROCESSES, SLEEPERS = 4, 64
HOURS = Experiment(dim=512, scale="sqrt", samples=1_600_000_000)


@dataclass(frozen=True)
class Row:
    """A measured figure and the bar it is held to: at least or at most so much."""

    what: str
    values: Sequence[float]
    bar: float
    at_least: bool
    unit: str = "x"

    @property
    def median(self) -> float:
        """The figure."""
        return statistics.median(self.values)

    @property
    def holds(self) -> bool:
        """Whether the figure is on the right side of its bar."""
        return self.median >= self.bar if self.at_least else self.median <= self.bar


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(over: Callable[[], object], under: Callable[[], object], times: int) -> list[float]:
    """Return time(over) / time(under), taken in turn, after a round to warm up."""
    over(), under()
    return [seconds(over) / seconds(under) for _ in range(times)]


def repeated(work: Callable[[], object]) -> Callable[[], object]:
    """Return a call that does a short work a hundred times."""
    return lambda: [work() for _ in range(100)]


def process(*command: str) -> Callable[[], object]:
    """Return a call that runs a command to its end."""
    # Modules are compiled by the first run, as on any machine but one that is told not to.
    env = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run(command, check=True, capture_output=True, env=env)


def peak_memory(code: str) -> float:
    """Return the peak resident memory, in MiB, of a Python process that runs the code."""
    # Not wait4's ru_maxrss: that begins with what this process held when it forked.
    code += "; print(next(l for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return int(done.stdout.split()[1]) / 1024


def start_up() -> list[Row]:
    """Whole processes against the imports that they cannot do without."""
    python = sys.executable
    imports = process(python, "-c", "import click, numpy, rich.console, rich.table")
    run = process(VARSIM, "--dim", "512", "--scale", "sqrt")
    million = process(VARSIM, "--dim", "512", "--scale", "sqrt", "--samples", "1e6")
    light = process(python, "-c", "import click, numpy")
    return [
        Row("varsim --dim 512 --scale sqrt / its imports", ratios(run, imports, 15), 1.8, False),
        Row("the same with a million outputs", ratios(million, imports, 15), 1.5, False),
        Row("varsim --help / import click, numpy", ratios(process(VARSIM, "--help"), light, 15),
            1.3, False),
    ]  # fmt: skip


def numpy_one_liner() -> float:
    """The question's experiment, in float64."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(512), rng.standard_normal((512, 500_000)) / 512
    return float((x @ w).var())


def question() -> list[Row]:
    """The question's own workload: one x, D = 512, 500,000 columns."""
    ours = partial(simulate, QUESTION, workers=2)
    fixture = "from varsim import *; "
    rows = [
        Row("fixed-x, 500,000 columns: NumPy / varsim", ratios(numpy_one_liner, ours, 5), 10, True)
    ]
    if importlib.util.find_spec("torch"):
        import torch

        def torch_one_liner() -> float:
            x, w = torch.randn(512), torch.randn(512, 500_000) / 512
            return float((x @ w).var())

        rows.append(
            Row(
                "fixed-x, 500,000 columns: torch / varsim",
                ratios(torch_one_liner, ours, 7),
                6,
                True,
            )
        )
    run = "simulate(Experiment(dim=512, scale='sqrt', design='fixed-x', samples=500000), workers=2)"
    rows.append(Row("fixed-x, 500,000 columns: peak memory", [peak_memory(fixture + run)], 120,
                    False, "MiB"))  # fmt: skip
    return rows


def paired_in_numpy(pairs: int) -> float:
    """Variance of x·w over independent pairs: what a careful one-liner does in chunks."""
    rng = np.random.default_rng(0)
    outputs = []
    for _ in range(pairs // 1000):
        x = rng.standard_normal((1000, 512), dtype=np.float32)
        w = rng.standard_normal((1000, 512), dtype=np.float32)
        outputs.append(np.einsum("ij,ij->i", x, w))
    return float(np.concatenate(outputs).var())


def precision() -> list[Row]:
    """Time to a relative standard error of 0.1 % on D/k²."""
    target, tried = 1e-3, 100_000
    prediction = predict(PRECISE)
    if prediction.relative_error(PRECISE.blocks) > target:
        raise RuntimeError("the benchmark's own sample size misses its target")
    needed = prediction.pair_error2 / target**2
    values = ratios(lambda: paired_in_numpy(tried), lambda: simulate(PRECISE, workers=2), 5)
    what = f"0.1 % error: NumPy's {needed:,.0f} pairs / varsim"
    return [Row(what, [value * needed / tried for value in values], 200, True)]


def scaling() -> list[Row]:
    """Two workers against one, and against two processes that know nothing of each other."""
    rows = []
    for name, experiment in LONG.items():
        one, two = (partial(simulate, experiment, workers=workers) for workers in (1, 2))
        rows.append(Row(f"{name}, over 1 s: one worker / two", ratios(one, two, 5), 1.8, True))
    alone = partial(simulate, LONG["crossed"], workers=1)
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:

        def apart() -> list[object]:
            return [future.result() for future in [pool.submit(alone) for _ in range(2)]]

        shares = [ratio / 2 for ratio in ratios(apart, partial(simulate, LONG["crossed"]), 5)]
    what = "crossed, over 1 s: two workers, as a share of two processes"
    return [*rows, Row(what, shares, 0.95, True)]


def studies(*asked: Experiment) -> list[ResumePoint[Block, Totals, Result]]:
    """Return experiments as rows to run."""
    return [ResumePoint(LayerStudy(experiment)) for experiment in asked]


def carried_out(asked: Sequence[Experiment], workers: int) -> object:
    """Run a sweep as the command does, and return what it gave."""
    mapper = processes(workers) if workers > 1 else threads(1)
    return run(studies(*asked), RunOptions(), mapper)


def short_rows_in_numpy() -> list[float]:
    """The variances of the short rows, from a plain loop over the same blocks."""
    rng, variances = np.random.default_rng(0), []
    for e in SHORT:
        groups, rows, columns = e.block
        found = []
        for _ in range(e.blocks):
            x = rng.standard_normal((groups, rows, e.dim), dtype=np.float32)
            w = rng.standard_normal((groups, e.dim, columns), dtype=np.float32) / np.float32(e.k)
            y = x @ w
            found.append((y.mean(), y.var()))
        variances.append(float(np.mean(found)))
    return variances


def sweeps() -> list[Row]:
    """Many rows: short ones, and those of the default size."""
    one, two = (partial(carried_out, SHORT, workers) for workers in (1, 2))
    whole = [Experiment(dim=dim, scale="sqrt") for dim in range(16, 1616, 16)]
    first, second = (partial(carried_out, whole, workers) for workers in (1, 2))
    rows = [
        Row("400 short rows: NumPy / varsim", ratios(short_rows_in_numpy, two, 3), 4, True),
        Row("400 short rows: one worker / two", ratios(one, two, 5), 1.6, True),
        Row("100 default rows: one worker / two", ratios(first, second, 3), 1.75, True),
    ]
    if not importlib.util.find_spec("distributed"):
        return rows
    with cluster("local", 2) as mapper:

        def on_cluster() -> object:
            return run(studies(*SHORT), RunOptions(), nullcontext(mapper))

        def in_threads() -> object:
            return run(studies(*SHORT), RunOptions(), threads(2))

        values = ratios(on_cluster, in_threads, 3)
    return [*rows, Row("400 short rows: cluster of 2 processes / 2 threads", values, 1.3, False)]


def clusters() -> list[Row]:
    """Processes of a Dask cluster against threads, on the same cores, for work over 10 s."""
    if not importlib.util.find_spec("distributed"):
        return []
    with threads(2) as in_threads, cluster("local", 2) as in_processes:
        over, under = (partial(measured, HOURS, mapper) for mapper in (in_processes, in_threads))
        values = ratios(over, under, 3)
    return [Row("crossed, over 10 s: cluster of two / two workers", values, 1.15, False)]


@dataclass(frozen=True)
class SleepingStudy(LayerStudy):
    """Sleeps as long as the blocks of an experiment would take, and returns the same for all."""

    _debts = threading.local()

    @cached_property
    def batch(self) -> int:
        """Return how many blocks are worth a nap."""
        return max(1, int(NAP / self.seconds(1)))

    def sample(self, indices: range) -> list[Block]:
        """Return blocks; a nap lasts too long by chance, and the thread's next one is shorter."""
        debt = getattr(self._debts, "seconds", 0.0) + self.seconds(len(indices))
        start = time.perf_counter()
        time.sleep(max(0.0, debt))
        self._debts.seconds = debt - (time.perf_counter() - start)
        return [Block(Moments(1000, 1e-3 * (i % 7), 1.0 + 1e-3 * (i % 5))) for i in indices]

    def seconds(self, blocks: int) -> float:
        """Return how long blocks take."""
        return blocks * self.cost * SECONDS_PER_NUMBER


@contextmanager
def sleeping_cluster() -> Iterator[str]:
    """Give the address of a scheduler with workers that only sleep, all of them processes here."""
    dask = str(Path(sys.executable).with_name("dask"))
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # As for workers of one thread, one task waits with the worker for each that it computes.
    env["DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION"] = "2"
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:

        def start(*command: str) -> None:
            started = subprocess.Popen(
                [dask, *command, "--no-dashboard"], env=env, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(started.wait)
            stack.callback(started.kill)

        file = Path(folder) / "scheduler.json"
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        for _ in range(PROCESSES):
            threads_each = str(SLEEPERS // PROCESSES)
            start("worker", "--scheduler-file", str(file), "--no-nanny", "--nthreads", threads_each)
        from distributed import Client

        with Client(scheduler_file=str(file), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(PROCESSES, timeout=300)
            address = client.scheduler.address
        yield address


def simulated() -> list[Row]:
    """The share of their time for which 64 workers work: they sleep, and all else is real.

    Run it alone, on an idle machine: the scheduler and this process need a core between them.
    """
    if not importlib.util.find_spec("distributed"):
        return []
    import bench  # type: ignore[import-not-found]  # by its name, under which the workers find it, too

    many = [Experiment(dim=dim, scale="sqrt") for dim in range(2048, 6048, 2)]
    large = [Experiment(dim=4096, scale="sqrt", samples=10_000_000_000)]
    found = []
    with sleeping_cluster() as address, cluster(address, 0) as mapper:
        bench.utilisation(many[:64], mapper)  # loads what workers need
        for what, asked in (("2,000 default rows", many), ("a row of 1e10 outputs", large)):
            share = bench.utilisation(asked, mapper)
            found.append(Row(f"{what}: {SLEEPERS} workers, used", [share], 0.9, True))
    return found


def utilisation(experiments: Sequence[Experiment], mapper: Mapper) -> float:
    """Return the share of their time for which workers work."""
    asleep = [SleepingStudy(experiment) for experiment in experiments]
    points, worked = [ResumePoint(study) for study in asleep], 0.0

    def work() -> None:
        nonlocal worked
        outcome = run(points, RunOptions(), nullcontext(mapper))
        worked = sum(s.seconds(r.blocks) for s, r in zip(asleep, outcome.rows, strict=True))

    wall = seconds(work)
    return worked / (SLEEPERS * wall)


def measured(experiment: Experiment, mapper: Mapper) -> Totals:
    """Return what an experiment gives with a mapper."""
    *_, totals = measure(experiment, partial(stream, experiment, mapper))
    return totals


def rate() -> float:
    """Return how many outputs a core gives in a second, at D = 512."""
    experiment = LONG["crossed"]
    times = [seconds(partial(simulate, experiment, workers=2)) for _ in range(5)]
    return simulate(experiment).samples / statistics.median(times) / 2


def stack_in_numpy() -> list[float]:
    """Variances of signals and gradients through a tanh stack, as one writes it."""
    rng = np.random.default_rng(0)
    width, depth, batch, networks = STACK.widths[0], STACK.depth, STACK.batch, STACK.networks
    totals = np.zeros((2, depth))
    for _ in range(networks):
        h = rng.standard_normal((batch, width), dtype=np.float32)
        weights, signals = [], []
        for layer in range(depth):
            w = rng.standard_normal((width, width), dtype=np.float32) / np.float32(width**0.5)
            h = (np.tanh(h) if layer else h) @ w
            weights.append(w)
            signals.append(h)
            totals[0, layer] += h.var()
        g = rng.standard_normal((batch, width), dtype=np.float32)
        for layer in reversed(range(depth)):
            totals[1, layer] += g.var()
            if layer:
                g = (g @ weights[layer].T) * (1 - np.tanh(signals[layer - 1]) ** 2)
    return list((totals / networks).ravel())


def stack_in_torch() -> list[float]:
    """The same in torch, with its own gradients."""
    import torch

    width, depth, batch, networks = STACK.widths[0], STACK.depth, STACK.batch, STACK.networks
    totals = torch.zeros(2, depth)
    for _ in range(networks):
        h = torch.randn(batch, width)
        signals = []
        for layer in range(depth):
            w = torch.randn(width, width) / width**0.5
            h = (torch.tanh(h) if layer else h.requires_grad_()) @ w
            h.retain_grad()
            signals.append(h)
            totals[0, layer] += h.detach().var()
        h.backward(torch.randn(batch, width))
        for layer, signal in enumerate(signals):
            totals[1, layer] += signal.grad.var()
    return list((totals / networks).ravel())


def stacks() -> list[Row]:
    """A deep stack, forward and backward: depth 20, width 512, 64 networks."""
    ours = partial(layers, STACK, workers=2)
    rows = [Row("20 layers of 512: NumPy / varsim", ratios(stack_in_numpy, ours, 5), 4, True)]
    if importlib.util.find_spec("torch"):
        values = ratios(stack_in_torch, ours, 5)
        rows.append(Row("20 layers of 512: torch / varsim", values, 1.7, True))
    code = (
        "from varsim.stack.question import Network; "
        "from varsim import layers; "
        "layers(Network(widths=(512,) * 21), workers=2)"
    )
    rows.append(Row("20 layers of 512: peak memory", [peak_memory(code)], 200, False, "MiB"))
    gains = [seconds(process(VARSIM, "gains")) for _ in range(5)]
    rows.append(Row("varsim gains, the whole table", gains, 1, False, "s"))
    return rows


def normals() -> list[Row]:
    """The engine's float32 normals against NumPy's, from the same source of bits."""
    rng, out = np.random.Generator(np.random.SFC64(0)), np.empty(2**17, np.float32)
    ours = partial(SAMPLERS["normal"], rng, out)
    numpys = partial(rng.standard_normal, out=out, dtype=np.float32)
    return [
        Row("float32 normals: NumPy / varsim", ratios(repeated(numpys), repeated(ours), 9), 2, True)
    ]


def large_dimension() -> list[Row]:
    """A million dimensions: bounded memory, and time in proportion."""
    small, large = 2**16, 2**20
    at_large, at_small = (
        partial(simulate, Experiment(dim=dim, scale="sqrt", samples=100_000), workers=2)
        for dim in (large, small)
    )
    per_dim = ratios(at_large, at_small, 3)
    code = f"from varsim import *; simulate(Experiment(dim={large}, scale='sqrt', samples=100000))"
    return [
        Row("D = 1,048,576: peak memory", [peak_memory(code)], 400, False, "MiB"),
        Row("time per D: 1,048,576 / 65,536", [value * small / large for value in per_dim], 1.25,
            False),
    ]  # fmt: skip


def estimates(outputs: float = 1e12) -> str:
    """Return on paper what a large sweep costs, from the measured rate."""
    each = rate()
    hours = ", ".join(f"{outputs / each / n / 3600:.2g} h on {n}" for n in (1, 16, 256))
    what = f"{each:.3g} outputs per second and core (D = 512, crossed)"
    return f"{what}: {outputs:g} take {hours} cores."


BENCHMARKS = (
    start_up,
    question,
    precision,
    scaling,
    sweeps,
    clusters,
    stacks,
    normals,
    large_dimension,
)


def main() -> int:
    """Run every benchmark, or one, and print the table."""
    by_name = {benchmark.__name__: benchmark for benchmark in (*BENCHMARKS, simulated)}
    parser = argparse.ArgumentParser(description="Measure varsim against NumPy and torch.")
    parser.add_argument("--only", choices=by_name, help="the one benchmark to run")
    only = parser.parse_args().only
    rows: list[Row] = []
    for benchmark in [by_name[only]] if only else BENCHMARKS:
        sys.stderr.write(f"{benchmark.__name__} ...\n")
        rows += benchmark()
    table = Table(
        [
            Column("what", [row.what for row in rows], numeric=False),
            Column("median", [f"{row.median:.3g} {row.unit}" for row in rows]),
            Column("lowest", [f"{min(row.values):.3g}" for row in rows]),
            Column("highest", [f"{max(row.values):.3g}" for row in rows]),
            Column("bar", [f"{'≥' if r.at_least else '≤'} {r.bar:g} {r.unit}" for r in rows]),
            Column("", ["holds" if row.holds else "MISSED" for row in rows], numeric=False),
        ],
        [f"NumPy {np.__version__}, {os.cpu_count()} CPUs.", estimates()],
        [],
    )
    sys.stdout.write(plain_text(table))
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())

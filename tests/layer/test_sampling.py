"""Sampling: the same draws by a slow plain path, and the same bytes whoever computes."""

from __future__ import annotations

import math
import random
import statistics
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from tests.program import environment
from varsim import Experiment, infer, simulate, stream
from varsim.catalog.samplers import SAMPLERS, find_sampler
from varsim.compute import ordered_map, threads
from varsim.compute.streams import generator
from varsim.layer import sampling
from varsim.layer.result import histogram_bins
from varsim.layer.totals import Block, Totals

CASES: list[dict[str, Any]] = [
    {"dim": 3, "scale": "none", "design": "paired"},
    {"dim": 12, "scale": "sqrt", "design": "crossed", "samples": 64 * 300},
    {"dim": 9, "scale": "he", "design": "fixed-x", "x_dist": "rectified"},
    {
        "dim": 10,
        "scale": "2.5",
        "x_dist": "exponential",
        "w_dist": "uniform",
        "x_mean": 0.5,
        "w_mean": -0.25,
    },
    {"dim": 7, "scale": "D^0.3", "design": "fixed-x", "x_std": 3.0, "w_std": 0.1, "w_mean": 0.2},
    {"dim": 11, "scale": "none", "x_dist": "bernoulli(0.3)", "w_dist": "student-t(5)"},
]


def reference_outputs(experiment: Experiment, index: int) -> list[float]:
    """The outputs of a block by three loops of plain Python over the draws of its batch."""
    key = int(experiment.key, 16)
    groups, rows, columns = experiment.block
    size = sampling.batch_size(experiment)
    batch, place = divmod(index, size)
    fixed_x = experiment.design == "fixed-x"

    def generator(*extra: int) -> np.random.Generator:
        sequence = np.random.SeedSequence(experiment.seed, spawn_key=(key, *extra))
        return np.random.Generator(np.random.SFC64(sequence))

    def entries(name: str, count: int, rng: np.random.Generator) -> list[float]:
        out = np.empty(count, experiment.dtype)
        find_sampler(name)(rng, out)
        return [float(value) for value in out]

    w_rng = generator(batch)
    x_rng = generator() if fixed_x else w_rng
    # D is small enough here to be a single slice.
    x_count, w_count = groups * rows * experiment.dim, groups * columns * experiment.dim
    x = entries(experiment.x_dist, (1 if fixed_x else size) * x_count, x_rng)
    w_dist, w_mean, w_std = experiment.w_entries
    w = entries(w_dist, size * w_count, w_rng)
    x = x if fixed_x else x[place * x_count : (place + 1) * x_count]
    w = w[place * w_count : (place + 1) * w_count]
    x = [experiment.x_mean + experiment.x_std * value for value in x]
    w = [(w_mean + w_std * value) / experiment.k for value in w]
    outputs = []
    for group in range(groups):
        for row in range(rows):
            for column in range(columns):
                products = []
                for d in range(experiment.dim):
                    if rows == columns == 1:
                        at_x, at_w = d * groups + group, d * groups + group
                    else:
                        at_x = (group * rows + row) * experiment.dim + d
                        at_w = (group * experiment.dim + d) * columns + column
                    products.append(x[at_x] * w[at_w])
                outputs.append(math.fsum(products))
    return outputs


def the_block(experiment: Experiment, index: int) -> Block:
    """A block, computed alone."""
    (block,) = sampling.sample_blocks(experiment, range(index, index + 1))
    return block


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-6)])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_blocks_are_those_of_the_plain_reference(
    case: dict[str, Any], dtype: str, tolerance: float
) -> None:
    """Vectorised draws, products and moments meet plain loops at rounding level."""
    experiment = Experiment(**{"samples": 64 * 20, "seed": 5, "dtype": dtype, **case})
    for index in (0, 63):
        block = the_block(experiment, index)
        outputs = reference_outputs(experiment, index)
        spread = statistics.pstdev(outputs)
        assert block.moments.outputs == len(outputs)
        assert block.moments.mean == pytest.approx(
            statistics.fmean(outputs), abs=tolerance * spread
        )
        assert block.moments.variance == pytest.approx(spread**2, rel=tolerance)


def test_slices_of_d_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block computed slice by slice is the sum of its slices, each with draws of its own."""
    monkeypatch.setattr(sampling, "_NUMBERS_PER_DRAW", 128)
    monkeypatch.setattr(sampling, "_NUMBERS_PER_BATCH", 128)
    experiment = Experiment(dim=100, scale="none", samples=64 * 16, dtype="float64")
    groups, rows, columns = experiment.block
    rng = generator(experiment.key, experiment.seed, 4)
    y = np.zeros((rows, columns))
    lengths = [length for _, length in sampling._slices(experiment)]
    assert groups == 1
    assert len(lengths) > 3
    for length in lengths:
        x, w = np.empty(rows * length), np.empty(length * columns)
        SAMPLERS["normal"](rng, x)
        SAMPLERS["normal"](rng, w)
        y += x.reshape(rows, length) @ w.reshape(length, columns)
    block = the_block(experiment, 4)
    assert block.moments.variance == pytest.approx(float(y.var()), rel=1e-12)


SAME_BYTES: list[dict[str, Any]] = [
    {"design": "crossed", "dim": 512},
    {"design": "crossed", "dim": 20, "w_dist": "truncated"},
    {"design": "paired", "dim": 30, "x_dist": "laplace"},
    {"design": "fixed-x", "dim": 300},
]


@pytest.mark.parametrize("case", SAME_BYTES, ids=str)
def test_the_number_of_workers_changes_nothing(case: dict[str, Any]) -> None:
    """Same bytes for 1, 2 and 7 workers, in the same order."""
    experiment = Experiment(scale="sqrt", samples=200_000, **case)
    runs = []
    for workers in (1, 2, 7):
        with threads(workers) as mapper:
            runs.append(list(stream(experiment, mapper)))
    assert runs[0] == runs[1] == runs[2]


def test_the_stream_is_what_simulate_measures() -> None:
    """A plain stream has one BLAS thread as well, and gives the setting back when it ends."""
    experiment = Experiment(dim=512, scale="sqrt", samples=2_000_000)
    before = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert infer(experiment, stream(experiment)) == replace(
        simulate(experiment, workers=2), agrees=None, alpha=None
    )
    open_stream, other = stream(experiment), stream(experiment)
    next(open_stream)
    next(other)
    open_stream.close()
    held = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert set(held) == {1}
    other.close()
    after = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    assert after == before


def test_a_library_that_is_loaded_later_has_one_thread_too() -> None:
    """What found the libraries of the first run does not hide those of the next."""
    code = (
        "from varsim import Experiment, stream; from threadpoolctl import threadpool_info\n"
        "experiment = Experiment(dim=16, scale='sqrt', samples=640)\n"
        "list(stream(experiment)); import scipy.linalg; opened = stream(experiment); next(opened)\n"
        "pools = [p['num_threads'] for p in threadpool_info() if p['user_api'] == 'blas']\n"
        "print(len(pools), *set(pools))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pools, *threads = map(int, done.stdout.split())
    assert pools >= 2, "SciPy brings a BLAS of its own"
    assert threads == [1]


def test_the_order_of_completion_changes_nothing() -> None:
    """Blocks computed in a shuffled order, each alone, are the blocks of the whole run."""
    experiment = Experiment(dim=64, scale="sqrt", samples=64_000)
    whole = list(stream(experiment))
    order = list(range(experiment.blocks))
    random.Random(1).shuffle(order)
    alone = {index: the_block(experiment, index) for index in order}
    assert [alone[index] for index in range(experiment.blocks)] == whole


def test_blocks_differ() -> None:
    """No two blocks, seeds or experiments share a stream."""
    base = Experiment(dim=16, scale="sqrt", samples=6400)
    means = [block.moments.mean for block in stream(base)]
    for other in (
        Experiment(dim=16, scale="sqrt", samples=6400, seed=1),
        Experiment(dim=16, scale="lecun", samples=6400),
    ):
        means += [block.moments.mean for block in stream(other)]
    assert len(set(means)) == 3 * 64


def test_the_x_of_fixed_x_is_one() -> None:
    """All blocks share x and its sums; another seed has another x."""
    blocks = list(stream(Experiment(dim=40, scale="none", design="fixed-x", samples=6400)))
    assert len({block.x_sums for block in blocks}) == 1
    other = Experiment(dim=40, scale="none", design="fixed-x", samples=6400, seed=1)
    assert next(stream(other)).x_sums != blocks[0].x_sums


def test_memory_is_bounded_at_any_dimension() -> None:
    """The slice, not D, decides how much is held at once."""
    small, large = (
        sampling.block_bytes(Experiment(dim=dim, scale="sqrt", samples=1_000_000))
        for dim in (2**12, 10**9)
    )
    assert large <= 1.1 * small < 16 * 2**20


@pytest.mark.parametrize("x", ["normal", "laplace", "truncated", "student-t(5)", "onehot"])
@pytest.mark.parametrize("design", ["crossed", "paired", "fixed-x"])
@pytest.mark.parametrize(("dim", "samples", "others"), [(512, 10_000_000, 0), (64, 20_000, 2**18)])
def test_planned_memory_is_what_a_worker_takes(
    dim: int, samples: int, others: int, design: str, x: str
) -> None:
    """A worker's arrays peak at no more than planned, and at no less than a third of it.

    Beside the arrays of a batch of small blocks, other objects count.
    """
    experiment = Experiment(
        dim=dim,
        scale="sqrt",
        x_dist=x,
        w_dist="laplace" if x == "onehot" else x,
        design=design,
        samples=samples,
        dtype="float32",
    )
    peaks = []

    def work() -> None:
        tracemalloc.start()
        the_block(experiment, 0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    worker = threading.Thread(target=work)  # with scratch memory of its own
    worker.start()
    worker.join()
    planned = sampling.block_bytes(experiment)
    assert planned / 3 <= peaks[0] <= 1.1 * planned + others


def test_a_consumer_can_stop_at_any_block() -> None:
    """The stream is lazy: it computes no batch before a block of it is taken."""
    computed = []

    def counting(function: Callable[[range], Any], items: Iterable[range], /) -> Iterator[Any]:
        for item in items:
            computed.append(item)
            yield function(item)

    blocks = stream(Experiment(dim=512, scale="sqrt"), counting)  # type: ignore[arg-type]
    next(blocks)
    next(blocks)
    assert computed == [range(1), range(1, 2)]


def test_ordered_map_is_map_with_a_bounded_lead() -> None:
    """Results come in order, at most so many calls are in flight, and closing cancels the rest."""
    started: list[int] = []

    def work(item: int) -> int:
        started.append(item)
        return item * item

    with ThreadPoolExecutor(2) as executor:
        results = ordered_map(executor, in_flight=lambda: 4)(work, range(1000))
        assert [next(results) for _ in range(3)] == [0, 1, 4]
        assert max(started) <= 3 + 4
        results.close()  # type: ignore[attr-defined]
    assert len(started) <= 3 + 4


def test_ordered_map_raises_what_a_call_raised() -> None:
    """A fault in a worker is not lost."""
    with ThreadPoolExecutor(2) as executor, pytest.raises(ZeroDivisionError):
        list(ordered_map(executor, in_flight=lambda: 4)(lambda item: 1 // item, [1, 0, 1]))


def test_estimate_is_the_plain_variance_of_all_outputs() -> None:
    """Mean of the variances within blocks plus variance of their means; error by the jackknife.

    The reference leaves out one block at a time and computes everything anew from raw outputs.
    """
    experiment = Experiment(
        dim=10, scale="none", samples=64 * 30, dtype="float64", x_mean=1.0, w_mean=0.5
    )
    outputs = [reference_outputs(experiment, index) for index in range(experiment.blocks)]

    def variance(blocks: list[list[float]]) -> float:
        within = statistics.fmean(statistics.pvariance(block) for block in blocks)
        return within + statistics.variance([statistics.fmean(block) for block in blocks])

    count = len(outputs)
    left_out = [variance(outputs[:i] + outputs[i + 1 :]) for i in range(count)]
    jackknife = (count - 1) / count * sum((v - statistics.fmean(left_out)) ** 2 for v in left_out)
    means_variance = statistics.variance([statistics.fmean(block) for block in outputs])
    second_order = 2 * (means_variance / count) ** 2
    measured = Totals.of(stream(experiment))
    assert measured.variance == pytest.approx(variance(outputs), rel=1e-12)
    assert measured.std_error == pytest.approx(math.sqrt(jackknife + second_order), rel=1e-9)


@given(
    dim=st.one_of(st.integers(1, 40), st.sampled_from([64, 127, 200, 512])),
    design=st.sampled_from(["crossed", "paired", "fixed-x"]),
    x_dist=st.sampled_from(["normal", "rectified", "uniform"]),
    w_dist=st.sampled_from(["normal", "rademacher", "truncated"]),
    dtype=st.sampled_from(["float32", "float64"]),
    samples=st.sampled_from([64, 640, 6400, 100_000]),
    x_mean=st.sampled_from([0.0, 0.5]),
    first=st.integers(0, 60),
    data=st.data(),
)
def test_a_block_does_not_depend_on_those_returned_with_it(
    first: int, data: st.DataObject, **settings: Any
) -> None:
    """To the last bit, with their histograms, whatever part of a batch is asked for."""
    experiment = Experiment(scale="sqrt", **settings)
    end = (first // sampling.batch_size(experiment) + 1) * sampling.batch_size(experiment)
    indices = range(first, data.draw(st.integers(first + 1, min(end, first + 9))))
    bins = histogram_bins(experiment)
    alone = [
        sampling.sample_blocks(experiment, range(index, index + 1), bins)[0] for index in indices
    ]
    assert sampling.sample_blocks(experiment, indices, bins) == alone


def test_small_blocks_are_sampled_together() -> None:
    """All of a short row at once; blocks of many numbers, and those of an initializer, alone."""
    size = sampling.batch_size
    assert size(Experiment(dim=8, scale="sqrt", samples=6400)) == 64
    assert size(Experiment(dim=400, scale="sqrt", samples=65_536)) == 8
    assert size(Experiment(dim=512, scale="sqrt")) == 1
    assert size(Experiment(dim=8, scale="sqrt", samples=6400, init="trunc_normal")) == 1


def test_the_command_starts_with_one_blas_thread_and_a_user_s_setting_stays() -> None:
    """NumPy's BLAS has one thread then, unlooked for; a user's number is kept."""
    code = (
        "from varsim.compute import one_blas_thread, start_with_one_blas_thread as start; start(); "
        "import numpy, os, sys; from threadpoolctl import threadpool_info as info; "
        "print({each['num_threads'] for each in info() if each['user_api'] == 'blas'}, "
        "os.environ['OPENBLAS_NUM_THREADS'])"
    )
    for setting, told in ({}, "{1} 1"), ({"OPENBLAS_NUM_THREADS": "2"}, "{2} 2"):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(**setting), capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split() == told.split()

"""Sampling of blocks: draw x and W, multiply, reduce. Shares no facts with the theory.

Small blocks are drawn, multiplied and reduced in batches; a large block is a batch of its own, and
is accumulated over slices of D.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.designs import DESIGNS
from varsim.catalog.samplers import FloatArray, find_sampler
from varsim.compute import EqualJobs, Mapper, one_blas_thread
from varsim.compute.memory import scratch
from varsim.compute.streams import generator
from varsim.errors import InputError
from varsim.layer.question import MIN_BLOCKS, Experiment
from varsim.layer.totals import Block
from varsim.statistics.moments import Bins, Moments
from varsim.study import batches

if TYPE_CHECKING:
    from varsim.initializers import Weights

# Extra spawn-key word of the stream of a whole W: x has the stream of the block without it.
_STREAM_OF_W = 1

# Long enough that two threads hardly meet at the interpreter lock, short enough for the cache.
_NUMBERS_PER_DRAW = 2**19

# Numbers per batch of several blocks, which stay in the second-level cache.
_NUMBERS_PER_BATCH = 2**18


def stream(
    experiment: Experiment,
    mapper: Mapper = map,
    indices: range | None = None,
    bins: Bins | None = None,
) -> abc.Generator[Block, None, None]:
    """Yield the blocks of an experiment in block order, ``experiment.blocks`` by default.

    With a precision that number is an upper bound, and the caller stops when the precision is met.

    A block depends on the experiment and its index alone: not on the mapper, the number of
    workers, or earlier blocks. BLAS has one thread while the stream is open.

    Args:
        experiment: The experiment to sample.
        mapper: The executor: the built-in ``map`` or one of :mod:`varsim.compute`.
        indices: Consecutive indices of blocks; all blocks of the experiment by default.
        bins: Bins of the outputs' histogram; None for no histogram.

    Raises:
        InputError: The initializer cannot be used.

    >>> blocks = list(stream(Experiment(dim=16, scale="sqrt", samples=6400)))
    >>> len(blocks), blocks[0].moments.outputs
    (64, 100)
    """
    indices = range(experiment.blocks) if indices is None else indices
    jobs = EqualJobs(batches(indices, batch_size(experiment)))
    with one_blas_thread:
        for blocks in mapper(partial(sample_blocks, experiment, bins=bins), jobs):
            yield from blocks


def sample_blocks(experiment: Experiment, indices: range, bins: Bins | None = None) -> list[Block]:
    """Return consecutive blocks of one batch: the moments of their outputs x @ W.

    The whole batch is drawn, so that a block does not depend on the others that are returned.

    Args:
        experiment: The experiment.
        indices: Consecutive indices within a batch.
        bins: Bins of the outputs' histogram; None for no histogram.

    Raises:
        InputError: The initializer fails, or its outputs are beyond the safe range of the dtype.
    """
    size = batch_size(experiment)
    batch, first = divmod(indices[0], size)
    y, x_sums = _outputs(experiment, batch, size)
    outputs = y.reshape(size, -1)[first : first + len(indices)]
    return [
        Block(moments, x_sums, None if bins is None else bins.counts(values))
        for moments, values in zip(Moments.of_each(outputs), outputs, strict=True)
    ]


def _outputs(e: Experiment, batch: int, size: int) -> tuple[FloatArray, tuple[float, float] | None]:
    """Return the outputs of a batch, and Σx² and Σx⁴ of an x that all blocks share, or None.

    The outputs, of shape (blocks, groups, rows, columns), are accumulated over slices of D, so
    that memory is bounded at any D. A batch has one stream; with an initializer, W has another.
    """
    if e.looks_up:
        return _looked_up(e, batch, size)
    groups, rows, columns = e.block
    w_stream = generator(e.key, e.seed, *e.block_family, batch)
    whole_w = None if e.init is None else whole(e, batch)
    fixed_x = DESIGNS[e.design].fixed_x
    x_stream, x_blocks = (generator(e.key, e.seed), 1) if fixed_x else (w_stream, size)
    x_squares, x_fourths = 0.0, 0.0
    y = scratch("y", size * e.block.outputs, np.dtype(e.dtype)).reshape(size, *e.block)
    y.fill(0.0)
    for start, length in _slices(e):
        x = _draw("x", x_stream, e.x_entries, x_blocks * groups * rows * length, y.dtype)
        if fixed_x:
            squares = np.square(x, dtype=np.float64)
            x_squares += float(squares.sum())
            x_fourths += float(squares @ squares)
        if whole_w is None:
            w = _draw("w", w_stream, _divided_entries(e), size * groups * columns * length, y.dtype)
        else:
            w = whole_w.weights[start : start + length]
        _add_products(y, x, w, length)
    if whole_w is not None:
        _add_bias(e, whole_w, y)
    return y, (x_squares, x_fourths) if fixed_x else None


def _looked_up(
    e: Experiment, batch: int, size: int
) -> tuple[FloatArray, tuple[float, float] | None]:
    """Return the same for one-hot rows of x: the rows of W that they select, times x_std.

    Independent entries are drawn for the selected rows of W alone, once for equal rows.
    """
    groups, rows, columns = e.block
    rng = generator(e.key, e.seed, *e.block_family, batch)
    whole_w, fixed_x = None if e.init is None else whole(e, batch), DESIGNS[e.design].fixed_x
    y = scratch("y", size * e.block.outputs, np.dtype(e.dtype)).reshape(-1, columns)
    if whole_w is not None:
        x_stream = generator(e.key, e.seed) if fixed_x else rng
        y[:] = whole_w.weights[x_stream.integers(e.dim, size=rows)]
    elif rows == 1:  # any row of a W that no other row looks up
        y[:] = _draw("w", rng, _divided_entries(e), y.size, y.dtype).reshape(y.shape)
    else:
        places = rng.integers(e.dim, size=(size * groups, rows))
        places += e.dim * np.arange(size * groups)[:, None]  # each group has its W
        chosen, which = np.unique(places, return_inverse=True)
        w = _draw("w", rng, _divided_entries(e), chosen.size * columns, y.dtype)
        y[:] = w.reshape(-1, columns)[which.reshape(-1)]
    _shift(y, 0.0, e.x_std)
    if whole_w is not None:
        _add_bias(e, whole_w, y)
    square = float(np.square(y.dtype.type(e.x_std), dtype=np.float64))
    return y, (square, square**2) if fixed_x else None


def batch_size(experiment: Experiment) -> int:
    """Return the number of blocks per batch: a power of 2, and 1 for large blocks.

    It is at most the least number of blocks, and depends on the shape of a block alone.
    """
    if experiment.init is not None:
        return 1
    numbers = block_numbers(experiment) + experiment.block.outputs
    most = min(MIN_BLOCKS, max(1, _NUMBERS_PER_BATCH // numbers))
    return 1 << (most.bit_length() - 1)


def _add_bias(experiment: Experiment, drawn: Weights, y: FloatArray) -> None:
    """Add the bias of an initializer, if it has one, and check the outputs.

    Raises:
        InputError: An output is beyond the safe range of the dtype.
    """
    if drawn.bias is not None:
        y += drawn.bias
    e = experiment
    most = FLOAT_TYPES[e.dtype].largest
    if not (-most <= y.min() and y.max() <= most):
        raise InputError(
            f"{e.init} takes x@W above {most:g}, and {e.dtype} is safe up to there; give "
            "smaller arguments"
        )


def whole(experiment: Experiment, index: int) -> Weights:
    """Return the whole W of a block, from a separate stream: x does not depend on its draws.

    Raises:
        InputError: There is no initializer, or it fails, or it returns something other than W.
    """
    e = experiment
    return e.initializer.draw(_whole_stream(e, index), (e.dim, e.n), np.dtype(e.dtype))


def verify_initializer(experiment: Experiment) -> None:
    """Check that the weight source can be used; loads the framework of an initializer.

    Raises:
        InputError: The initializer cannot be used.
    """
    e = experiment
    e.initializer.verify(partial(_whole_stream, e, 0), (e.dim, e.n), np.dtype(e.dtype))


def block_numbers(experiment: Experiment) -> int:
    """Return the number of random numbers per block; the most, where x looks up rows of W."""
    shape = experiment.block
    if experiment.looks_up:
        return shape.groups * shape.rows * (1 + shape.columns)
    return shape.groups * (shape.rows + shape.columns) * experiment.dim


def block_bytes(experiment: Experiment) -> int:
    """Return the approximate bytes of arrays per worker.

    These are the outputs, their products of a slice and their float64 deviations; W or a slice of
    it (of an orthogonal W also its workspace), and a slice of x; and the samplers' workspace for
    the longer slice, at most float64 uniforms and signs.
    """
    shape, itemsize = experiment.block, np.dtype(experiment.dtype).itemsize
    size = batch_size(experiment)
    if experiment.looks_up:  # several rows of a W are sorted, as numbers of 8 bytes
        sorted_rows = shape.rows if shape.rows > 1 else 0
        of_x, of_w = 8 * size * shape.groups * sorted_rows, size * shape.outputs
    else:
        (_, length), *_ = _slices(experiment)
        of_x, of_w = (size * shape.groups * side * length for side in (shape.rows, shape.columns))
    if experiment.init is not None:
        numbers, drawn = of_x + 4 * experiment.dim * experiment.n, of_x
    else:
        numbers, drawn = of_x + of_w, max(of_x, of_w)
    outputs = size * shape.outputs
    return outputs * (2 * itemsize + 8) + numbers * itemsize + drawn * (8 + itemsize)


def _slices(experiment: Experiment) -> Iterator[tuple[int, int]]:
    """Yield starts and lengths of nearly equal slices of D, a function of the experiment alone."""
    dim, shape = experiment.dim, experiment.block
    drawn = shape.rows if experiment.init is not None else max(shape.rows, shape.columns)
    longest = max(1, _NUMBERS_PER_DRAW // (shape.groups * drawn))
    length = -(-dim // -(-dim // longest))
    # Box-Muller makes numbers in pairs, so an even count spares a copy.
    length += length % 2
    for start in range(0, dim, length):
        yield start, min(length, dim - start)


def _whole_stream(experiment: Experiment, index: int) -> Generator:
    e = experiment
    return generator(e.key, e.seed, *e.block_family, index, _STREAM_OF_W)


def _draw(
    name: str,
    rng: Generator,
    entries: tuple[str, float, float],
    count: int,
    dtype: np.dtype[np.floating],
) -> FloatArray:
    """Return ``count`` entries with this distribution, mean and deviation, in scratch memory."""
    distribution, mean, std = entries
    out: FloatArray = scratch(name, count, dtype)
    find_sampler(distribution)(rng, out)
    _shift(out, mean, std)
    return out


def _divided_entries(experiment: Experiment) -> tuple[str, float, float]:
    """Return distribution, mean and deviation of the entries of W after the division by k."""
    name, mean, std = experiment.w_entries
    return name, mean / experiment.k, std / experiment.k


def _shift(out: FloatArray, mean: float, std: float) -> None:
    """Give standardised entries a mean and a deviation, in place."""
    if std != 1.0:
        out *= out.dtype.type(std)
    if mean != 0.0:
        out += out.dtype.type(mean)


def _add_products(y: FloatArray, x: FloatArray, w: FloatArray, length: int) -> None:
    """Add the products of a slice of D to the outputs y (blocks, groups, rows, columns)."""
    blocks, groups, rows, columns = y.shape
    if groups > 1 and rows == columns == 1:
        x *= w
        y += x.reshape(blocks, length, groups).sum(axis=1).reshape(y.shape)
        return
    product = scratch("product", y.size, y.dtype).reshape(y.shape)
    # A fixed x serves all blocks.
    x, w = x.reshape(-1, groups, rows, length), w.reshape(blocks, groups, length, columns)
    np.matmul(x, w, out=product)
    y += product

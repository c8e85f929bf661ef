"""Sampling of blocks: draw x and W, multiply, reduce. Shares no facts with the theory."""

from __future__ import annotations

from collections import abc
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.designs import DESIGNS, BlockShape
from varsim.catalog.samplers import SAMPLERS, FloatArray, fill_blocks
from varsim.compute import EqualJobs, Mapper, one_blas_thread
from varsim.compute.memory import scratch
from varsim.compute.streams import generator, generators
from varsim.errors import InputError
from varsim.layer.question import Experiment
from varsim.layer.totals import Block
from varsim.statistics.moments import Bins, Moments

if TYPE_CHECKING:
    from varsim.initializers import Weights

# Extra spawn-key word of the stream of a whole W: x has the stream of the block without it.
_STREAM_OF_W = 1

# Long enough that two threads hardly meet at the interpreter lock, short enough for the cache.
_NUMBERS_PER_DRAW = 2**19

# Limits of a batch: numbers per batch, which stay in the second-level cache, and outputs per block,
# which are summed in one pass.
_NUMBERS_PER_BATCH = 2**18
_FEW_OUTPUTS = 2**13


def stream(
    experiment: Experiment,
    mapper: Mapper = map,
    indices: Iterable[int] | None = None,
    bins: Bins | None = None,
) -> abc.Generator[Block, None, None]:
    """Yield the blocks of an experiment in block order, ``experiment.blocks`` by default.

    With a precision that number is an upper bound, and the caller stops when the precision is met.

    A block depends on the experiment and its index alone: not on the mapper, the number of
    workers, or earlier blocks. BLAS has one thread while the stream is open.

    Args:
        experiment: The experiment to sample.
        mapper: The executor: the built-in ``map`` or one of :mod:`varsim.compute`.
        indices: Indices of the blocks; all blocks of the experiment by default.
        bins: Bins of the outputs' histogram; None for no histogram.

    Raises:
        InputError: The initializer cannot be used.

    >>> blocks = list(stream(Experiment(dim=16, scale="sqrt", samples=6400)))
    >>> len(blocks), blocks[0].moments.outputs
    (64, 100)
    """
    indices = range(experiment.blocks) if indices is None else indices
    with one_blas_thread:
        yield from mapper(partial(sample_block, experiment, bins=bins), EqualJobs(indices))


def sample_block(experiment: Experiment, index: int, bins: Bins | None = None) -> Block:
    """Return block ``index`` of an experiment: the moments of its outputs x @ W.

    The outputs, of shape (groups, rows, columns), are accumulated over slices of D, so that memory
    is bounded at any D.
    """
    shape, dtype = experiment.block, np.dtype(experiment.dtype)
    fixed_x = DESIGNS[experiment.design].fixed_x
    w_stream = generator(experiment.key, experiment.seed, *experiment.block_family, index)
    x_stream = generator(experiment.key, experiment.seed) if fixed_x else w_stream
    y = scratch("y", shape.outputs, dtype).reshape(shape)
    y.fill(0.0)
    weights = _weights(experiment)(experiment, index, w_stream)
    x_squares, x_fourths = 0.0, 0.0
    for length in _slice_lengths(experiment):
        count = shape.groups * shape.rows * length
        x = _draw("x", x_stream, experiment.x_entries, count, dtype)
        w = weights.rows(length)
        if fixed_x:
            squares = np.square(x, dtype=np.float64)
            x_squares += float(squares.sum())
            x_fourths += float(squares @ squares)
        _add_products(y, x, w)
    weights.finish(y)
    return Block(
        Moments.of(y),
        (x_squares, x_fourths) if fixed_x else None,
        None if bins is None else bins.counts(y),
    )


def batch_size(experiment: Experiment) -> int:
    """Return the number of consecutive blocks per batch: more than one if blocks are small."""
    block = experiment.block
    if experiment.init is not None or block.outputs > _FEW_OUTPUTS:
        return 1
    if next(_slice_lengths(experiment)) < experiment.dim:
        return 1
    numbers = block.groups * (block.rows + block.columns) * experiment.dim
    return max(1, _NUMBERS_PER_BATCH // (numbers + block.outputs))


def sample_blocks(experiment: Experiment, indices: range, bins: Bins | None = None) -> list[Block]:
    """Return consecutive blocks, equal to those of :func:`sample_block` to the last bit.

    Small blocks are drawn, multiplied and reduced together, each from its stream.
    """
    if batch_size(experiment) == 1:
        return [sample_block(experiment, index, bins) for index in indices]
    e, count = experiment, len(indices)
    groups, rows, columns = e.block
    rngs = generators(e.key, e.seed, e.block_family, indices)
    names, numbers = (e.x_dist, e.w_entries[0]), (groups * rows * e.dim, groups * columns * e.dim)
    x_sums = None
    if DESIGNS[e.design].fixed_x:
        one = _draw("x", generator(e.key, e.seed), e.x_entries, numbers[0], np.dtype(e.dtype))
        squares = np.square(one, dtype=np.float64)
        x_sums = float(squares.sum()), float(squares @ squares)
        x = np.broadcast_to(one, (count, one.size))
        (w,) = fill_blocks(names[1:], numbers[1:], rngs, count, np.dtype(e.dtype))
    else:
        x, w = fill_blocks(names, numbers, rngs, count, np.dtype(e.dtype))
        _shift(x, *e.x_entries[1:])
    _shift(w, *_divided_entries(e)[1:])
    if rows == columns == 1:
        w *= x
        y = w.reshape(count, e.dim, groups).sum(axis=1)
    else:
        y = scratch("y", count * e.block.outputs, x.dtype).reshape(count, groups, rows, columns)
        shaped = x.reshape(count, groups, rows, e.dim), w.reshape(count, groups, e.dim, columns)
        np.matmul(*shaped, out=y)
    y = y.reshape(count, -1)
    return [
        Block(moments, x_sums, None if bins is None else bins.counts(values))
        for moments, values in zip(Moments.of_each(y), y, strict=True)
    ]


class _SlicedWeights:
    """Weights with independent entries, drawn in slices of D from the stream of the block."""

    def __init__(self, experiment: Experiment, index: int, rng: Generator) -> None:  # noqa: ARG002
        self._entries = _divided_entries(experiment)
        self._rng, self._dtype = rng, np.dtype(experiment.dtype)
        self._columns = experiment.block.groups * experiment.block.columns

    def rows(self, count: int) -> FloatArray:
        """Return the next ``count`` rows of W, divided by k."""
        return _draw("w", self._rng, self._entries, self._columns * count, self._dtype)

    def finish(self, y: FloatArray) -> None:
        """Leave the outputs unchanged: there is no bias."""

    @staticmethod
    def widest(shape: BlockShape) -> int:
        """Return the largest number of entries per draw, group and unit of D."""
        return max(shape.rows, shape.columns)

    @staticmethod
    def numbers(experiment: Experiment, length: int) -> int:
        """Return the number of entries of W in memory per worker, for slices of this length."""
        return length * experiment.block.groups * experiment.block.columns


class _WholeWeights:
    """The whole W of an initializer, with its bias if it has one."""

    def __init__(self, experiment: Experiment, index: int, rng: Generator) -> None:  # noqa: ARG002
        self._experiment, self._start = experiment, 0
        self._drawn = whole(experiment, index)

    def rows(self, count: int) -> FloatArray:
        """Return the next ``count`` rows of W."""
        self._start += count
        rows: FloatArray = self._drawn.weights[self._start - count : self._start]
        return rows

    def finish(self, y: FloatArray) -> None:
        """Add the bias, and check that the outputs are within the safe range of the dtype.

        Raises:
            InputError: An output is beyond that range.
        """
        if self._drawn.bias is not None:
            y += self._drawn.bias
        e = self._experiment
        most = FLOAT_TYPES[e.dtype].largest
        if not (-most <= y.min() and y.max() <= most):
            raise InputError(
                f"{e.init} takes x@W above {most:g}, and {e.dtype} is safe up to there; give "
                "smaller arguments"
            )

    @staticmethod
    def widest(shape: BlockShape) -> int:
        """Return the largest number of entries per draw, group and unit of D: those of x."""
        return shape.rows

    @staticmethod
    def numbers(experiment: Experiment, length: int) -> int:  # noqa: ARG004
        """Return the number of entries in memory per worker: W and an orthogonal W's workspace."""
        return 4 * experiment.dim * experiment.n


def _weights(experiment: Experiment) -> type[_SlicedWeights | _WholeWeights]:
    return _SlicedWeights if experiment.init is None else _WholeWeights


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
    """Return the number of random numbers per block."""
    shape = experiment.block
    return shape.groups * (shape.rows + shape.columns) * experiment.dim


def block_bytes(experiment: Experiment) -> int:
    """Return the approximate bytes of arrays per worker.

    These are the outputs, the products of a slice and the float64 deviations; W or a slice of it,
    and a slice of x; and the samplers' workspace for the longer slice, at most float64 uniforms and
    signs. A batch of blocks holds all of its numbers and the random words behind them.
    """
    shape, itemsize = experiment.block, np.dtype(experiment.dtype).itemsize
    if (batch := batch_size(experiment)) > 1:
        words = 2 * block_numbers(experiment) * itemsize
        return batch * (shape.outputs * (itemsize + 8) + words)
    weights, length = _weights(experiment), next(_slice_lengths(experiment))
    numbers = weights.numbers(experiment, length) + length * shape.groups * shape.rows
    drawn = length * shape.groups * weights.widest(shape)
    return shape.outputs * (2 * itemsize + 8) + numbers * itemsize + drawn * (8 + itemsize)


def _whole_stream(experiment: Experiment, index: int) -> Generator:
    e = experiment
    return generator(e.key, e.seed, *e.block_family, index, _STREAM_OF_W)


def _slice_lengths(experiment: Experiment) -> Iterator[int]:
    """Yield the lengths of nearly equal slices of D, a function of the experiment alone."""
    dim, shape = experiment.dim, experiment.block
    longest = max(1, _NUMBERS_PER_DRAW // (shape.groups * _weights(experiment).widest(shape)))
    length = -(-dim // -(-dim // longest))
    # Box-Muller makes numbers in pairs, so an even count spares a copy.
    length += length % 2
    for start in range(0, dim, length):
        yield min(length, dim - start)


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
    SAMPLERS[distribution](rng, out)
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


def _add_products(y: FloatArray, x: FloatArray, w: FloatArray) -> None:
    """Add the products of a slice of D to the outputs y (groups, rows, columns)."""
    groups, rows, columns = y.shape
    if rows == columns == 1:
        x *= w.reshape(-1)
        y += x.reshape(-1, groups).sum(axis=0).reshape(y.shape)
        return
    product = scratch("product", y.size, y.dtype).reshape(y.shape)
    if groups == 1:
        np.matmul(x.reshape(rows, -1), w.reshape(-1, columns), out=product[0])
    else:
        np.matmul(x.reshape(groups, rows, -1), w.reshape(groups, -1, columns), out=product)
    y += product

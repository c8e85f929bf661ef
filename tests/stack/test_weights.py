"""Theory of stacks with weights that are not normal, against simulated values.

The values are of the brute force in ``test_theory.py``, which shares no code with the program:
NETWORKS networks with a batch of BATCH and the seed SEED. ``python -m tests.stack.test_weights``
prints them again. A cell of theory has to lie within its allowance and 4.5 standard errors of it:
two-sided p = 7e-6 for each of about 60 cells.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.stack.test_theory import SIGMAS, Config, Measured, asked, brute_force, check
from varsim import layers as simulate_layers
from varsim.activations import find_activation
from varsim.stack.question import Network
from varsim.stack.theory import predict
from varsim.stack.theory.cumulants import fluctuations

NETWORKS, BATCH, SEED = 60_000, 4, 1

REFERENCE: dict[Config, list[list[float]]] = {
    Config(activation="relu", norm="rms", residual=None, law="laplace", width=48, depth=4): [
        [0.99962, 0.49948, 0.49942, 0.49973],
        [0.00062774, 0.00037595, 0.0004742, 0.00052661],
        [0.59149, 1.1733, 1.1157, 1.0001],
        [0.0012031, 0.0020671, 0.0016025, 0.00041513],
    ],
    Config(activation="relu", norm="rms", residual=None, law="rademacher", width=32, depth=4): [
        [0.99969, 0.49958, 0.50011, 0.50052],
        [0.0007153, 0.00040972, 0.00051536, 0.00057884],
        [0.62412, 1.2109, 1.1329, 1.0001],
        [0.0015671, 0.002607, 0.0019247, 0.00051307],
    ],
    Config(activation="silu", norm="rms", residual=None, law="rademacher", width=48, depth=4): [
        [0.99989, 0.35305, 0.35113, 0.35108],
        [0.00058666, 0.00023712, 0.00025137, 0.00026866],
        [0.49113, 1.3003, 1.1817, 0.99996],
        [0.00085381, 0.0019509, 0.0013868, 0.00041742],
    ],
    Config(
        activation="identity", norm="rms", residual=None, law="exponential", width=48, depth=4
    ): [
        [1.0002, 0.99987, 0.99966, 0.9999],
        [0.00065672, 0.00051587, 0.00052683, 0.00054052],
        [1.1284, 1.0552, 1.0296, 1.0001],
        [0.0016179, 0.0011839, 0.00089123, 0.00041817],
    ],
    Config(activation="identity", norm="rms", residual=None, law="laplace", width=24, depth=4): [
        [1.0011, 0.99959, 1.0003, 1.0001],
        [0.00094837, 0.00075573, 0.00078525, 0.00081054],
        [1.2755, 1.1138, 1.059, 0.99994],
        [0.0029453, 0.0019294, 0.0013755, 0.0005869],
    ],
    Config(activation="abs", norm="rms", residual=None, law="rademacher", width=24, depth=4): [
        [0.99963, 1.0008, 0.99955, 0.99961],
        [0.00082565, 0.00085849, 0.00094271, 0.00099163],
        [1.2288, 1.0807, 1.0376, 1.0005],
        [0.0028091, 0.0019692, 0.0013959, 0.00058867],
    ],
    Config(activation="tanh", norm="layer", residual=None, law="laplace", width=24, depth=4): [
        [1.0011, 0.39461, 0.39739, 0.39724],
        [0.00094837, 0.00029791, 0.00030859, 0.00031491],
        [0.87193, 1.6055, 1.2737, 0.99994],
        [0.0024789, 0.0033133, 0.0018342, 0.0005869],
    ],
    Config(activation="identity", norm="layer", residual=None, law="laplace", width=24, depth=4): [
        [1.0011, 0.99989, 0.99995, 1.0003],
        [0.00094837, 0.000756, 0.00078738, 0.00081061],
        [1.2815, 1.1171, 1.0613, 0.99994],
        [0.0030148, 0.0019708, 0.0014026, 0.0005869],
    ],
    Config(activation="relu", norm="layer", residual=None, law="rademacher", width=24, depth=4): [
        [0.99963, 0.50037, 0.50018, 0.50012],
        [0.00082565, 0.00033272, 0.00037709, 0.00041879],
        [0.63255, 1.1047, 1.0465, 1.0005],
        [0.0017653, 0.002247, 0.0014861, 0.00058867],
    ],
    Config(activation="relu", norm="layer", residual=None, law="uniform", width=24, depth=4): [
        [0.99968, 0.50017, 0.49992, 0.50023],
        [0.00084701, 0.00034945, 0.00039859, 0.00043585],
        [0.63632, 1.1144, 1.0545, 1.0005],
        [0.0018085, 0.0023262, 0.0015382, 0.00058867],
    ],
}
"""E h², its error, E (∂h)², and its error, by layer."""


def simulated(config: Config, networks: int, seed: int) -> Measured:
    """Simulate a configuration by brute force."""
    return brute_force(asked(config, batch=BATCH), networks, seed)


def off_by(config: Config) -> list[tuple[str, float, float, float]]:
    """Return name, deviation from theory, allowance and error of every cell, relative to theory."""
    square, square_error, gradient, gradient_error = REFERENCE[config]
    found = []
    for place, layer in enumerate(predict(asked(config, batch=BATCH))):
        if layer.variance is not None:
            deviation, error = square[place] / layer.variance - 1, square_error[place]
            found.append((f"h{place}", deviation, layer.variance_slack, error / layer.variance))
        if layer.gradient is not None and place < config.depth - 1:
            deviation, error = gradient[place] / layer.gradient - 1, gradient_error[place]
            found.append((f"∂h{place}", deviation, layer.gradient_slack, error / layer.gradient))
    return found


@pytest.mark.parametrize("config", REFERENCE, ids=str)
def test_theory_is_within_its_allowance_of_the_simulated_values(config: Config) -> None:
    """Of every cell that has a theory, and at least four cells of seven have one."""
    found = off_by(config)
    assert len(found) >= 4
    for name, deviation, slack, error in found:
        assert slack <= 0.01
        assert abs(deviation) <= slack + SIGMAS * error, name


@pytest.mark.parametrize("config", REFERENCE, ids=str)
def test_the_simulated_values_are_repeatable(config: Config) -> None:
    """A small share of the networks, with another seed, gives them within 4.5 standard errors."""
    again = simulated(config, 200, SEED + 1)
    square, square_error, gradient, gradient_error = np.array(REFERENCE[config])
    for value, error, known, known_error in (
        (again.square, again.square_error, square, square_error),
        (again.gradient, again.gradient_error, gradient, gradient_error),
    ):
        # The errors of few networks are rough, so those of many are scaled.
        scaled = np.maximum(error, known_error * math.sqrt(NETWORKS / 200))
        assert np.all(np.abs(value - known) < SIGMAS * np.hypot(scaled, known_error))


@pytest.mark.parametrize(
    ("activation", "slope", "ratio", "inverse"),
    [("relu", (1, -2), (1, -2), (1, 0)), ("abs", (1, -2), (0, 0), (0, 0)),
     ("identity", (1, -2), (0, 0), (0, 0))],
)  # fmt: skip
def test_fluctuations_have_the_coefficients_of_the_derivation(
    activation: str, slope: tuple[int, int], ratio: tuple[int, int], inverse: tuple[int, int]
) -> None:
    """Those of κ₄ and κ₂₂ below RMS norm that weights.md works out by hand."""
    found = fluctuations(find_activation(activation), 10, "rms", 1.0)
    for array, by_hand in ((found.slope, slope), (found.ratio, ratio), (found.inverse, inverse)):
        assert array[[1, 3]] * 10 == pytest.approx(by_hand, abs=1e-9)
    assert found.square[1] == pytest.approx(0.0, abs=1e-12)


def test_the_scale_of_units_that_are_not_normal_fluctuates_more() -> None:
    """E 1/ρ² of n Laplace units is about 1 + κ₄/n times that of normal ones."""
    n, networks = 200, 20_000
    rng = np.random.default_rng(1)
    laplace = rng.laplace(size=(networks, n)) / math.sqrt(2)
    inverse = [1 / (h**2).mean(axis=1) for h in (laplace, rng.standard_normal((networks, n)))]
    ratio = inverse[0].mean() / inverse[1].mean()
    error = math.hypot(*(each.std() / math.sqrt(networks) for each in inverse))
    change = fluctuations(find_activation("identity"), n, "rms", 1.0).slope[1] * 3
    assert abs(ratio - 1 - change) < SIGMAS * error + change**2
    assert change > 2 * SIGMAS * error


def test_powers_of_units_with_few_large_values_have_honest_cells() -> None:
    """Σr⁴/(Σr²)² of squares of ReLU is half of its leading term at width 64: no cell is wrong."""
    check(Config("relu2", "layer", None, "uniform", 64, 10), 300)


def test_narrow_stacks_far_from_normal_have_no_theory() -> None:
    """Where the series does not converge: its next terms were 4 % and its allowance 1 %."""
    layers = predict(
        Network(widths=(32,) * 9, activation="softplus", scale="he", w_dist="exponential")
    )
    assert all(layer.gradient is None and layer.gap is not None for layer in layers[:-1])
    assert layers[-1].gradient == pytest.approx(1.0)


# Weights of unknown law.


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
    """Right weights."""
    return rng.standard_normal(shape) / math.sqrt(shape[0])


def large(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
    """Weights that are 2 % too large."""
    return 1.02 * normal(rng, shape)


def test_weights_of_unknown_law_that_are_too_large_are_found_in_most_layers() -> None:
    """By 2 %, at width 64 and depth 10; right weights are not, and the caveat says what is."""
    network = Network(
        widths=(64,) * 11, activation="tanh", scale="lecun", init=f"{__name__}:large", batch=16,
        networks=64,
    )  # fmt: skip
    rows = simulate_layers(network)
    assert sum(not row.agrees for row in rows) > 5
    assert "unknown-law" in {caveat.id for caveat in rows[5].caveats}
    right = simulate_layers(replace(network, init=f"{__name__}:normal"))
    assert all(row.agrees for row in right)


if __name__ == "__main__":
    for each in REFERENCE:
        rows = [[float(f"{v:.5g}") for v in row] for row in simulated(each, NETWORKS, SEED)]
        print(f"    {each!r}: {rows},")  # noqa: T201  # the program's output

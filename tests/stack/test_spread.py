"""The spread of mean squares between networks: theory against closed forms and a brute force."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.stack.test_theory import Config, asked, some_networks
from varsim import layers as simulate_layers
from varsim.stack.question import Network
from varsim.stack.theory import predict

pytestmark = pytest.mark.usefixtures("one_blas_thread")


@pytest.mark.parametrize(("activation", "growth"), [("identity", 2.0), ("relu", 5.0)])
def test_homogeneous_stacks_have_their_closed_forms(activation: str, growth: float) -> None:
    """For one input, a layer multiplies 1 + spread by 1 + 2/n (linear) or 1 + 5/n (ReLU)."""
    widths = (48, 24, 64, 32, 40)
    network = Network(widths=widths, activation=activation, scale="lecun", batch=1)
    for place, layer in enumerate(predict(network)):
        assert layer.gradient_spread is not None
        factors = [1 + growth / n for n in widths[place + 1 : -1]] + [1 + 2 / widths[-1]]
        assert 1 + layer.gradient_spread == pytest.approx(math.prod(factors))


CONFIGS = [
    Config("tanh", width=48, depth=5),
    Config("silu", width=48, depth=5),
    Config("relu", "rms", width=48, depth=5),
    Config("gelu", "layer", width=48, depth=5),
    Config("relu", "none", 1.0, width=48, depth=5),
    Config("gelu", "rms", 1.0, width=48, depth=5),
    Config("tanh", law="orthogonal", width=32, depth=4),
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_spread_is_that_of_many_networks(config: Config) -> None:
    """Of the mean over a batch that shares W, for signals and for gradients.

    Theory leaves out terms of the relative order L/n, here 10 %. Beyond that, the measured variance
    of 1,500 networks lies within 4.5 of its standard errors (a right theory fails in one run of
    two thousand). The spread of one input is rejected.
    """
    networks = 1500
    measured = some_networks(asked(config, batch=4), np.random.default_rng(7), networks)
    theory, alone = (predict(asked(config, batch=batch)) for batch in (4, 1))
    for layer, *squares in zip(theory, *measured, strict=True):
        for spread, values in zip(
            (layer.batch_spread, layer.gradient_spread), squares, strict=True
        ):
            relative = (values / values.mean() - 1) ** 2
            error = 4.5 * relative.std() / math.sqrt(networks)
            assert spread is not None
            assert abs(relative.mean() - spread) < 0.1 * spread + error
    relative = (measured[1][0] / measured[1][0].mean() - 1) ** 2
    error = 4.5 * relative.std() / math.sqrt(networks)
    assert alone[0].gradient_spread is not None
    assert alone[0].gradient_spread - relative.mean() > error


def test_the_spread_below_batch_norm_is_that_of_many_networks() -> None:
    """Of signals, in a batch of 16: as above; without the inputs' correlation it is rejected."""
    config, networks = Config("leaky_relu", "batch", width=48, depth=5), 1500
    squares, _ = some_networks(asked(config, batch=16), np.random.default_rng(7), networks)
    for place, (layer, values) in enumerate(
        zip(predict(asked(config, batch=16)), squares, strict=True)
    ):
        relative = (values / values.mean() - 1) ** 2
        error = 4.5 * relative.std() / math.sqrt(networks)
        assert layer.batch_spread is not None
        assert abs(relative.mean() - layer.batch_spread) < 0.1 * layer.batch_spread + error
        if place:
            assert relative.mean() - 2 / (48 * 16) > error


def test_gradients_that_rare_networks_carry_are_no_alarm() -> None:
    """The sample's error gives p = 1e-41; by theory's spread a few networks carry the mean."""
    rows = simulate_layers(
        Network(widths=(48,) * 21, activation="silu", scale="he", batch=4, seed=0)
    )
    assert all(row.agrees for row in rows)
    assert "heavy-tailed-gradients" in [caveat.id for caveat in rows[0].caveats]
    misled = [
        row.back.p
        for row in rows
        if row.back is not None and row.gradient_spread is not None and row.gradient_spread < 1.0
    ]
    assert min(p for p in misled if p is not None) < 1e-12
    assert all(row.gradient_z is None or abs(row.gradient_z) < 4.0 for row in rows[:-1])
    assert rows[0].gradient_z is None


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "norm"), [("gelu", "rms")])
def test_z_of_gradients_has_unit_spread(activation: str, norm: str) -> None:
    """Of 60 tables of 64 networks: skewed means neither widen z nor give it a tail."""
    network = Network(
        widths=(32,) * 9, activation=activation, scale="lecun", norm=norm, batch=8, networks=64
    )
    z = np.array(
        [
            [row.gradient_z for row in simulate_layers(replace(network, seed=seed))[:-1]]
            for seed in range(60)
        ],
        float,
    )
    assert 0.8 < np.nanstd(z) < 1.1
    assert np.nanmax(np.abs(z)) < 4.5


@pytest.mark.parametrize("norm", ["none", "rms", "layer", "batch"])
@pytest.mark.parametrize("residual", [None, 0.5])
def test_a_single_layer_has_a_theory(norm: str, residual: float | None) -> None:
    """E h² is 1; it has no branch, and its gradient is given."""
    network = Network(
        widths=(24, 32), scale="lecun", norm=norm, residual=residual, batch=8, correlation=0.5
    )
    (layer,) = predict(network)
    assert layer.variance == pytest.approx(1.0)
    assert layer.gradient == pytest.approx(1.0)

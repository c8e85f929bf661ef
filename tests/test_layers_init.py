"""Deep stacks whose weights come from initializers.

Verdicts are at alpha = 1e-6, so that a right program fails one of them with a chance under 1e-5 in
all. Seeds are fixed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from varsim.stack.records import record_of, result_of

from tests.program import here, needs
from varsim import InputError
from varsim.stack.network import Network
from varsim.stack.result import simulate_layers
from varsim.stack.sampling import _Sample, sample_network
from varsim.stack.theory import predict

RIGHT = [
    ("orthogonal", "tanh", "sqrt"),
    ("orthogonal", "sin", "lecun"),
    ("orthogonal(gain=1.4142135623730951)", "relu", "he"),
    ('truncated_normal(std="he")', "relu", "he"),
    ('trunc_normal(std="xavier")', "gelu", "xavier"),
    ("torch.nn.init.xavier_uniform_", "tanh", "xavier"),
    ("torch.nn.Linear", "tanh", "torch-linear"),
    ("jax.nn.initializers.he_normal", "relu", "he"),
]


def stack(init: str, activation: str, scale: str, width: int = 48, **fields: Any) -> Network:
    return Network(
        widths=(width,) * 9, activation=activation, scale=scale, init=needs(init), **fields
    )


@pytest.mark.parametrize(("init", "activation", "scale"), RIGHT)
@pytest.mark.parametrize("width", [24, 96])
def test_a_right_claim_is_not_called_wrong(
    init: str, activation: str, scale: str, width: int
) -> None:
    """Whatever a finite width does: forward and backward, with 256 networks a stack."""
    rows = simulate_layers(stack(init, activation, scale, width, networks=256), alpha=1e-6)
    assert all(row.agrees for row in rows)
    assert all(row.w is None and row.init == str(rows[0].init) for row in rows)


@pytest.mark.parametrize(("init", "activation", "scale"), RIGHT[:4])
def test_a_wrong_claim_is_found(init: str, activation: str, scale: str) -> None:
    """5 % more variance in every layer than W has, at a width where theory is sharp."""
    del scale
    claimed = {"sqrt": 1.05, "lecun": 1.05, "he": 2.1}[dict(zip(*_columns(), strict=True))[init]]
    network = Network(
        widths=(256,) * 7, activation=activation, scale="lecun", gain=claimed**0.5, init=init
    )
    assert not all(row.agrees for row in simulate_layers(network))


def _columns() -> tuple[list[str], list[str]]:
    return [init for init, _, _ in RIGHT], [scale for _, _, scale in RIGHT]


def test_orthogonal_stacks_without_an_activation_keep_every_norm() -> None:
    """Nothing fluctuates between networks beyond their inputs; normal weights would by 2/n a layer.

    A reference that needs no theory: h of the last layer has the norm of x.
    """
    network = stack("orthogonal", "identity", "sqrt", networks=16)
    for index in range(16):
        moments = sample_network(network, index).moments
        assert np.allclose(moments[:, 1], moments[0, 1], rtol=1e-5)
        assert np.allclose(moments[:, -1], moments[-1, -1], rtol=1e-5)


@pytest.mark.parametrize("init", ["orthogonal", "torch.nn.init.kaiming_normal_"])
def test_the_way_back_has_the_weights_of_the_way_here(init: str) -> None:
    """Drawn again or kept, and every layer its own."""
    network = stack(init, "tanh", "sqrt")
    sample = _Sample(network, 0)
    first = [sample._weights(place).copy() for place in range(network.depth)]
    list(sample.forward())
    for place, weights in enumerate(first):
        assert np.array_equal(sample._weights(place), weights)
    assert len({weights.tobytes() for weights in first}) == network.depth


def test_workers_do_not_matter_and_rows_are_read_again() -> None:
    """The same records for one thread and two."""
    network = stack("orthogonal", "tanh", "sqrt", networks=8)
    one, two = (simulate_layers(network, workers=workers) for workers in (1, 2))
    assert [record_of(row) for row in one] == [record_of(row) for row in two]
    assert result_of(record_of(one[0])) == one[0]
    for change in ({"init": None}, {"w": "normal"}):
        with pytest.raises(InputError, match="initializer and a distribution"):
            result_of(record_of(one[0]) | change)


def test_theory_allows_for_what_it_does_not_know_and_no_more() -> None:
    """All of the correction and 1/n a layer; without an initializer, nothing changes."""
    plain = predict(Network(widths=(64,) * 6, scale="xavier"))
    allowing = predict(Network(widths=(64,) * 6, scale="xavier", init="orthogonal"))
    limit = predict(Network(widths=(64,) * 6, scale="xavier"), infinite_width=True)
    for place, (a, b, c) in enumerate(zip(plain, allowing, limit, strict=True)):
        assert a.variance == b.variance
        more = b.variance_slack - a.variance_slack
        assert more == pytest.approx(abs(a.variance / c.variance - 1) + place / 64, rel=1e-9)


@pytest.mark.parametrize(
    ("init", "sentence"),
    [
        ("torch.nn.Linear(bias=True)", "makes a bias"),
        ("orthogonl", "did you mean orthogonal"),
        ("sparse(sparsity=0.999)", "which zeroes all"),
    ],
)
def test_what_cannot_be_is_refused(init: str, sentence: str) -> None:
    """Before anything runs."""
    with pytest.raises(InputError, match=sentence):
        Network(widths=(8, 8), init=init)


def test_the_key_is_as_it_was_without_an_initializer() -> None:
    """So are the streams, and all that was published."""
    assert Network(widths=(8, 8, 8)).key == "79e1403a8d52a12153410e9257ef9b51"


def test_the_command_takes_initializers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Swept, of one's own, printing or wrong; data stay on stdout."""
    source = (
        "def init(rng, shape):\n    print('hello')\n    return rng.standard_normal(shape) / 8\n"
        "def turned(rng, shape):\n    return rng.standard_normal((shape[1] + 1, shape[0]))\n"
        "def late(rng, shape):\n    w = rng.standard_normal(shape) / 8\n    assert w[0, 0] < 0.2\n"
        "    return w\n"
    )
    (tmp_path / "stackinit.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    args = ("layers", "--width", "64", "--depth", "3", "-s", "lecun", "--networks", "16")
    done = here(*args, "-i", "stackinit:init,orthogonal", "--check", "-f", "csv")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 7
    assert "hello" in done.stderr
    assert "init orthogonal" in here(*args, "-i", "orthogonal", "-q").stdout
    wrong = here(*args, "-i", "stackinit:turned")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "not (fan-in, fan-out) = (64, 64); return that shape" in " ".join(wrong.stderr.split())
    late = here(*args, "-i", "orthogonal,stackinit:late", "-f", "csv")
    assert late.returncode == 1
    assert len(late.stdout.splitlines()) == 4
    assert "AssertionError" in late.stderr

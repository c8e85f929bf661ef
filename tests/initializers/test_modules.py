"""Modules of frameworks: their weights, held to the frameworks' own forward and backward pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng

from tests.program import here, needs, rows
from varsim import InputError
from varsim.initializers import ModuleWeight, OpenSizes, find, share, weights
from varsim.initializers.layouts import Taps

REPLICATES = 40

LIMIT = 5.0
"""In standard errors: one in two million tests fails by chance."""


def weight(text: str) -> ModuleWeight:
    """The weight of a text."""
    found = find(needs(text))
    assert isinstance(found, ModuleWeight)
    return found


def within(values: list[float], expected: float) -> None:
    """Whether the mean of independent values is as expected, within five standard errors."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    assert abs(float(np.mean(values)) - expected) < LIMIT * error, (
        np.mean(values),
        expected,
        error,
    )


def convolutions(count: int) -> list[tuple[str, tuple[int, ...]]]:
    """Random convolutions of one to three dimensions, with the sizes of an input."""
    rng, made = default_rng(5), []
    for _ in range(count):
        dimensions = int(rng.integers(1, 4))
        groups = int(rng.choice([1, 2, 4]))
        inputs, outputs = (groups * int(rng.integers(1, 4)) for _ in range(2))
        kernel, stride, dilation = (
            tuple(map(int, rng.integers(1, high, dimensions))) for high in (4, 3, 3)
        )
        padding = tuple(int(rng.integers(0, k)) for k in kernel)
        name = "ConvTranspose" if rng.random() < 0.5 else "Conv"
        lengths = tuple(map(int, rng.integers(7, 10, dimensions)))
        made.append((
            f"torch.nn.{name}{dimensions}d({inputs}, {outputs}, {kernel}, bias=False, "
            f"dilation={dilation}, groups={groups}, padding={padding}, stride={stride})",
            lengths,
        ))  # fmt: skip
    return made


@pytest.mark.slow
@pytest.mark.parametrize(("text", "lengths"), convolutions(24))
def test_convolutions_act_as_the_framework_does(text: str, lengths: tuple[int, ...]) -> None:
    """Forward and backward, over all outputs and inputs of a padded convolution."""
    found = weight(f"{text}[weight, {'x'.join(map(str, lengths))}]")
    import torch

    forward, backward = [], []
    torch.manual_seed(7)
    for _ in range(REPLICATES):
        module = eval(text, {"torch": torch})  # noqa: S307
        x = torch.randn(4, module.in_channels, *lengths, requires_grad=True)
        y = module(x)
        y.backward(torch.randn_like(y))
        forward.append(float(y.detach().square().mean()))
        assert x.grad is not None
        backward.append(float(x.grad.square().mean()))
    piece = found.piece
    assert piece.documented is not None
    taps, backward_taps = map(share, piece.masks)
    within(forward, piece.dim * taps * piece.documented[1])
    within(backward, piece.fan_out * backward_taps * piece.documented[1])


INSIDE = [
    "torch.nn.Conv1d(3, 4, 5, stride=2)",
    "torch.nn.Conv2d(4, 8, 3, groups=2, dilation=2)",
    "torch.nn.ConvTranspose1d(4, 6, 3, stride=2)",
    "torch.nn.ConvTranspose2d(4, 2, (4, 3), stride=(2, 3))",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", INSIDE)
def test_by_default_a_convolution_is_far_from_its_borders(text: str) -> None:
    """Without the sizes of an input, as in the middle of a large one."""
    piece = weight(text).piece
    import torch

    forward: list[float] = []
    backward: list[float] = []
    torch.manual_seed(8)
    for _ in range(REPLICATES):
        module = eval(text, {"torch": torch})  # noqa: S307
        lengths = (48,) * len(module.kernel_size)
        x = torch.randn(1, module.in_channels, *lengths, requires_grad=True)
        y = module(x) - (0 if module.bias is None else module.bias.reshape(-1, *[1] * len(lengths)))
        y.backward(torch.randn_like(y))
        assert x.grad is not None
        for values, tensor, stride in ((forward, y, 6), (backward, x.grad, 6)):
            cut = tuple(slice(6, 6 + (n - 12) // stride * stride) for n in tensor.shape[2:])
            middle = tensor.detach()[(slice(None), slice(None), *cut)]
            values.append(float(middle.square().mean()))
    assert piece.documented is not None
    taps, backward_taps = map(share, piece.masks)
    within(forward, piece.dim * taps * piece.documented[1])
    within(backward, piece.fan_out * backward_taps * piece.documented[1])


def gates(module: Any, x: Any) -> dict[str, Any]:
    """The part of each gate's input that comes from x, from the parameters' documented order."""
    import torch

    names = {"LSTM": "ifgo", "GRU": "rzn"}[type(module).__name__]
    y = torch.nn.functional.linear(x, module.weight_ih_l0)
    return {f"{name} of x": part for name, part in zip(names, y.chunk(len(names), -1), strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("text", ["torch.nn.LSTM(24, 16)", "torch.nn.GRU(24, 16)"])
def test_gates_are_parts_of_one_matrix(text: str) -> None:
    """Each has the variance of its own weight; F is the hidden size, not the fan-in."""
    needs(text)
    import torch

    torch.manual_seed(3)
    values: dict[str, list[float]] = {}
    for _ in range(REPLICATES):
        module = eval(text, {"torch": torch})  # noqa: S307
        for name, part in gates(module, torch.randn(16, 24)).items():
            values.setdefault(name, []).append(float(part.detach().square().mean()))
    for name, of_gate in values.items():
        within(of_gate, 24 / (3 * 16))
        assert weight(f"{text}[{name}]").piece.documented == ("1/(3·16)", 1 / 48)


@pytest.mark.slow
def test_the_projections_of_attention_are_its_own() -> None:
    """Packed, q has half of the variance of a separate projection; so it is in its outputs."""
    needs("torch.nn.MultiheadAttention")
    import torch

    torch.manual_seed(4)
    packed, separate = [], []
    for _ in range(REPLICATES):
        x = torch.randn(16, 32)
        module = torch.nn.MultiheadAttention(32, 4)
        packed.append(float((x @ module.in_proj_weight[:32].T).detach().square().mean()))
        module = torch.nn.MultiheadAttention(32, 4, kdim=8, vdim=8)
        separate.append(float((x @ module.q_proj_weight.T).detach().square().mean()))
    within(packed, 0.5)
    within(separate, 1.0)
    args = ("init", "torch.nn.MultiheadAttention(32,4)", "torch.nn.MultiheadAttention(32,4,kdim=8)")
    shown = {row["init"]: row["forward_theory"] for row in rows(*args)}
    assert shown["torch.nn.MultiheadAttention(32, 4)[q]"] == 0.5
    assert shown["torch.nn.MultiheadAttention(32, 4, kdim=8)[q_proj_weight]"] == 1.0


MODULES = [
    "torch.nn.Conv2d(8, 16, 3, groups=4)", "torch.nn.Conv1d(8, 8, 5, stride=2)",
    "torch.nn.ConvTranspose2d(8, 4, 3, stride=2)", "torch.nn.Bilinear(6, 5, 8)",
    "torch.nn.LSTM(16, 16)", "torch.nn.RNNCell(16, 8)", "torch.nn.Embedding(32, 8)",
    "torch.nn.MultiheadAttention(16, 2)", "torch.nn.Linear({dim}, {fan_out}, bias=True)",
]  # fmt: skip


@pytest.mark.slow
def test_rows_of_modules_agree_with_their_documentation() -> None:
    """Every weight of every module; a wrong claim is noticed by the same numbers."""
    needs("torch.nn.Linear")
    table = rows("init", *MODULES, "--dim", "24", "--fan-out", "12")
    assert len(table) == 20
    assert all(row["agrees"] for row in table)
    for row in table:
        assert abs(row["mean"]) < 5 * math.sqrt(row["mean_square"] / (64 * row["dim"]))
        expected = row["inputs"] * row["claimed"] + row["acts"]["bias"]
        assert row["forward_theory"] == pytest.approx(expected)
        if row["acts"]["bias"] == 0.0:
            assert abs(row["forward"] - 1.1 * expected) > 3 * row["forward_error"]


@pytest.mark.slow
def test_a_module_is_an_initializer_of_one_layer() -> None:
    """D is read from the module, and the scheme is held to it."""
    needs("torch.nn.Linear")
    text = "torch.nn.Conv2d(64,64,3,groups=8)"
    (row,) = rows("--init", text, "--scale", "he", "--samples", "1e5")
    assert (row["dim"], row["fan_out"], row["agrees"]) == (72, 64, False)
    assert row["ratio"] == pytest.approx(1 / 6, rel=0.05)
    (row,) = rows("--init", text, "--scale", "torch-linear", "--samples", "1e5")
    assert row["agrees"]


FACTORY = """
import torch

def net(width=8):
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, width, 3), torch.nn.ReLU(), torch.nn.Conv2d(width, width, 3, groups=2),
        torch.nn.Flatten(), torch.nn.Linear(width, 4),
    )
    torch.nn.init.kaiming_normal_(layers[2].weight, mode="fan_out")
    return layers

def nothing():
    return 3
"""


@pytest.mark.slow
def test_a_module_of_one_s_own_has_its_weights_by_name(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without claims, since its function may have changed them; backward 1 / groups of fan_out."""
    needs("torch.nn.Linear")
    (tmp_path / "mynet.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    table = rows("init", "mynet:net(width=16)")
    names = [row["init"].partition("[")[2] for row in table]
    assert names == ["0.weight]", "2.weight]", "4.weight]"]
    assert all(row["claim"] is row["agrees"] is None for row in table)
    grouped = table[1]
    assert (grouped["inputs"], grouped["outputs"]) == (8 * 9, 8 * 9)
    assert abs(grouped["backward"] - 1.0) < 5 * grouped["backward_error"]
    done = here("init", "mynet:nothing")
    assert done.returncode == 2
    assert "returns int, and not a module of a framework" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("torch.nn.Conv2d(3)", "torch.nn.Conv2d(3) cannot be built: TypeError"),
        ("torch.nn.LSTM(8,8)[q]", "has no weight 'q' that acts as a matrix; "),
        ("torch.nn.Conv2d(3,4,3)[weight, big]", "'big' is no size; write sizes after the name"),
        ("torch.nn.LayerNorm(8)[weight]", "has no weights that varsim knows"),
    ],
)
def test_a_mistake_in_a_module_is_one_sentence(text: str, sentence: str) -> None:
    """What is wrong, and what to write."""
    needs("torch.nn.Linear")
    done = here("init", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_several_weights_need_a_name() -> None:
    """Where one matrix is asked for."""
    with pytest.raises(InputError, match=r"has several weights; name one, as in .*\[q\]: q, k, v"):
        find("torch.nn.MultiheadAttention(256, 4)")
    assert find("torch.nn.Conv2d(3, 4, 3)").text == "torch.nn.Conv2d(3, 4, 3)[weight]"
    assert weights("orthogonal", OpenSizes()) is None


@pytest.mark.parametrize("transposed", [False, True])
def test_masks_count_what_a_loop_counts(transposed: bool) -> None:
    """Every tap of every position, by its definition."""
    rng = default_rng(11)
    for _ in range(200):
        kernel, stride, dilation, length = (int(rng.integers(1, high)) for high in (5, 4, 4, 12))
        before, after = (int(rng.integers(0, kernel)) for _ in range(2))
        reach = dilation * (kernel - 1)
        if transposed:
            gathering = length
            spreading = (length - 1) * stride - before - after + reach + 1
        else:
            gathering = (length + before + after - reach - 1) // stride + 1
            spreading = length
        if gathering < 1 or spreading < 1:
            continue
        taps = Taps((kernel,), (stride,), (dilation,), ((before, after),), transposed)
        gather, spread = np.zeros((gathering, kernel)), np.zeros((spreading, kernel))
        for place in range(gathering):
            for tap in range(kernel):
                other = place * stride + tap * dilation - before
                if 0 <= other < spreading:
                    gather[place, tap] = spread[other, tap] = 1.0
        expected = (spread, gather) if transposed else (gather, spread)
        for masks, each in zip(taps.masks((length,)), expected, strict=True):
            assert np.array_equal(masks[0], each)


LAYERS = [
    ("Dense(6)", ()), ("Conv1D(6, 3, strides=2, padding='same')", (9,)),
    ("Conv1D(4, 3, dilation_rate=2, padding='causal')", (9,)),
    ("Conv2D(4, (3, 2), groups=2, padding='same')", (7, 6)),
    ("Conv2D(4, 3, data_format='channels_first')", (7, 6)),
    ("Conv2DTranspose(4, 3, strides=2)", (5, 4)),
    ("Conv1DTranspose(4, 3, strides=2, padding='same')", (6,)),
    ("DepthwiseConv2D(3, depth_multiplier=2, padding='same')", (6, 5)),
    ("EinsumDense('abc,cde->abde', output_shape=(None, 2, 3))", ()),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "lengths"), LAYERS)
def test_layers_of_keras_act_as_the_framework_does(text: str, lengths: tuple[int, ...]) -> None:
    """Forward, over all outputs of a padded convolution; 4 inputs or channels."""
    needs("keras.layers.Dense")
    sizes = f", {'x'.join(map(str, lengths))}" if lengths else ""
    found = weight(f"keras.layers.{text}[kernel{sizes}, 4 inputs]")
    piece = found.piece
    import keras

    rng, values = default_rng(9), []
    for _ in range(REPLICATES):
        layer = eval(f"keras.layers.{text}", {"keras": keras})  # noqa: S307
        shape = (8, 3, 4) if "Einsum" in text else (8, *lengths, 4)
        if "channels_first" in text:
            shape = (8, 4, *lengths)
        y = layer(rng.standard_normal(shape, np.float32))
        values.append(float(np.square(keras.ops.convert_to_numpy(y)).mean()))
    assert piece.documented is not None
    within(values, piece.dim * share(piece.masks[0]) * piece.documented[1])


KERAS = [
    "keras.layers.LSTM(16)", "keras.layers.GRU(8)", "keras.layers.MultiHeadAttention(2, 8)",
    "keras.layers.SeparableConv1D(8, 3)", "keras.layers.Embedding(32, 8)",
    "keras.layers.Dense(8, kernel_initializer='he_normal')",
]  # fmt: skip


@pytest.mark.slow
def test_rows_of_layers_of_keras_agree_with_their_documentation() -> None:
    """The number of inputs is that of --dim; fans are those that Keras takes from a shape."""
    needs("keras.layers.Dense")
    table = rows("init", *KERAS, "--dim", "24")
    assert len(table) == 8 + 6 + 4 + 2 + 1 + 1
    assert all(row["agrees"] for row in table)
    claims = {row["init"]: row["claim"] for row in table}
    assert claims["keras.layers.LSTM(16)[f of h, 24 inputs]"] == "1/max(16,64)"
    assert claims["keras.layers.SeparableConv1D(8, 3)[depthwise_kernel, 24 inputs]"] == "2/(72+3)"


@pytest.mark.slow
def test_rows_of_modules_resume_and_are_drawn(tmp_path: Any) -> None:
    """With more draws, to the bytes of an uninterrupted run; for any number of workers."""
    needs("torch.nn.Linear")
    file = tmp_path / "modules.jsonl"
    names = ("torch.nn.Conv2d(8, 6, 3, groups=2)", "torch.nn.GRUCell(8, 4)")
    whole = here("init", *names, "--draws", "16", "--format", "jsonl", "--workers", "1").stdout
    for draws in ("8", "16"):
        done = here("init", *names, "--draws", draws, "-o", str(file), "--resume", "-j", "2")
        assert done.returncode == 0
    assert file.read_text() == whole
    assert here("plot", str(file), "-o", str(tmp_path / "modules.svg")).returncode == 0
    assert "14 of 14 pairs agree: 14 identical." in here("compare", str(file), str(file)).stderr


FLAX = [
    ("Linear(4, 6)", ""), ("Conv(4, 6, (3,), strides=2)", "9"),
    ("Conv(4, 6, (3, 2), feature_group_count=2)", "7x6"), ("Embed(10, 6)", ""),
    ("Conv(4, 6, (3, 3), padding='VALID', kernel_dilation=2)", "8x7"),
    ("MultiHeadAttention(2, 8)", ""),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "lengths"), FLAX)
def test_modules_of_flax_act_as_the_framework_does(text: str, lengths: str) -> None:
    """Forward, over all outputs; attention by its projection of queries."""
    needs("flax.nnx.Linear")
    name = {"M": "query.kernel", "E": "embedding"}.get(text[0], "kernel")
    found = weight(f"flax.nnx.{text}[{name}{lengths and ', '}{lengths}]")
    piece = found.piece
    from flax import nnx

    rng, values = default_rng(10), []
    for seed in range(REPLICATES):
        opened = f"{text[:-1]}, rngs=nnx.Rngs({seed}))"
        module = eval(f"nnx.{opened}", {"nnx": nnx})  # noqa: S307
        if text.startswith("Embed"):
            y = module(rng.integers(0, 10, 64))
        elif text.startswith("Multi"):
            y = module.query(rng.standard_normal((32, 8), np.float32))
        else:
            shape = (4, *map(int, lengths.split("x")), 4) if lengths else (32, 4)
            y = module(rng.standard_normal(shape, np.float32))
        values.append(float(np.square(np.asarray(y)).mean()))
    assert piece.documented is not None
    within(values, piece.dim * share(piece.masks[0]) * piece.documented[1])


FLAX_FACTORY = """
from flax import nnx

class Net(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(8, 16, rngs=rngs)
        self.second = nnx.Conv(4, 8, (3,), rngs=rngs)

def net(rngs):
    return Net(rngs)
"""


@pytest.mark.slow
def test_rows_of_modules_of_flax_agree_with_their_documentation(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a function that returns a module gets its streams as rngs."""
    needs("flax.nnx.Linear")
    (tmp_path / "flaxnet.py").write_text(FLAX_FACTORY)
    monkeypatch.chdir(tmp_path)
    texts = (
        "flax.nnx.MultiHeadAttention(2, 16)",
        "flax.nnx.ConvTranspose(4, 6, (3, 3), strides=2)",
    )
    table = rows("init", *texts, "flaxnet:net()", "--draws", "32")
    assert [row["agrees"] for row in table] == [True] * 5 + [None] * 2
    names = [row["init"] for row in table[5:]]
    assert names == ["flaxnet:net[first.kernel]", "flaxnet:net[second.kernel]"]
    assert table[5]["mean_square_error"] > 0.0


MORE_FACTORIES = """
def attention():
    import keras
    x = keras.layers.Input((5, 8))
    y = keras.layers.MultiHeadAttention(2, 4)(x, x)
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Dense(6)(y)))

def late():
    import torch
    return torch.nn.Linear(8, 4)

def wrapped(*args, **more):
    rng, shape = args
    return rng.standard_normal(shape)
"""


@pytest.mark.slow
def test_factories_are_told_from_initializers(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of layers do not depend on earlier builds; a function may import its framework."""
    needs("keras.layers.Dense")
    (tmp_path / "morenets.py").write_text(MORE_FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")  # as its function would need by itself
    table = rows("init", "morenets:attention", "morenets:wrapped", "--draws", "8", "--dim", "8")
    names = [row["init"].partition("[")[2].rstrip("]") for row in table]
    assert sorted(names) == ["", "attention_output", "dense", "dense_1", "key", "query", "value"]
    (row,) = rows("init", "morenets:late", "--draws", "8")
    assert (row["inputs"], row["init_package"].partition(" ")[0]) == (8, "torch")


@pytest.mark.slow
def test_the_first_operand_of_a_bilinear_map_has_both_others_in_its_gradient() -> None:
    """Its gradient sums over outputs and over the second operand."""
    piece = weight("torch.nn.Bilinear(5, 4, 6)").piece
    import torch

    values = []
    torch.manual_seed(6)
    for _ in range(REPLICATES):
        module = torch.nn.Bilinear(5, 4, 6)
        x = torch.randn(16, 5, requires_grad=True)
        y = module(x, torch.randn(16, 4))
        y.backward(torch.randn_like(y))
        assert x.grad is not None
        values.append(float(x.grad.square().mean()))
    assert piece.documented is not None
    assert piece.fan_out == 24
    within(values, 24 * piece.documented[1])

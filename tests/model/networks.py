"""Networks of torch, which is loaded when one is built."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np


def he(scale: float = 1.0, layers: int = 6, width: int = 32) -> Any:
    """Convolutions with He's initialization and ReLU; the fourth is scaled."""
    from torch import nn

    modules: list[Any] = []
    for layer in range(layers):
        fan = width if layer else 3
        conv = nn.Conv2d(fan, width, 3, padding=1, padding_mode="circular", bias=False)
        nn.init.kaiming_normal_(conv.weight)
        conv.weight.data *= scale if layer == 3 else 1.0
        modules += [conv, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def faulty() -> Any:
    """The same with one layer of ten times the weights."""
    return he(10.0)


def perceptron() -> Any:
    """Three layers without biases, of normal weights of variance 2 / 24."""
    return _layers()


def longer() -> Any:
    """The same with another module before it, and the same names."""
    from torch import nn

    return nn.Sequential(OrderedDict([("first", nn.Identity()), *_layers().named_children()]))


def _layers() -> Any:
    from torch import nn

    modules: list[Any] = []
    for _ in range(3):
        linear = nn.Linear(24, 24, bias=False)
        nn.init.kaiming_normal_(linear.weight)
        modules += [linear, nn.ReLU(inplace=True)]
    return nn.Sequential(*modules[:-1])


def biased() -> Any:
    """Weights with a mean, and inputs with one."""
    from torch import nn

    linear = nn.Linear(24, 24)
    nn.init.uniform_(linear.weight)
    return nn.Sequential(nn.ReLU(), linear)


def translator() -> Any:
    """Attention, whose weights are no module that is called, norms, dropout and tied weights."""
    from torch import nn

    class Translator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(50, 16)
            self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
            self.unused = nn.Linear(16, 16)
            self.head = nn.Linear(16, 50, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, ids: Any) -> Any:
            return {"ids": ids, "logits": (self.head(self.block(self.embedding(ids))), None)}

    return Translator()


def mixed() -> Any:
    """A module that is called twice, one without gradients, and one of other weights."""
    import torch
    from torch import nn

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Linear(24, 24)
            self.twice = nn.Linear(24, 24)
            self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(24, 24))

        def forward(self, x: Any) -> Any:
            with torch.no_grad():
                y = self.frozen(x)
            return self.normed(self.twice(self.twice(x) + y).relu_())

    return Mixed()


def unstable() -> Any:
    """Another number of layers each time."""
    import torch

    return he(layers=1 + int(torch.rand(()) < 0.5))


def unseeded() -> Any:
    """Weights of a stream that is not torch's."""
    import torch
    from torch import nn

    linear = nn.Linear(24, 24)
    linear.weight.data = torch.from_numpy(np.random.default_rng().random((24, 24)))
    return linear


def nothing() -> None:
    """No model."""


def exploding() -> Any:
    """Weights whose outputs overflow."""
    from torch import nn

    linear = nn.Linear(24, 24)
    nn.init.constant_(linear.weight, 3e38)
    return nn.Sequential(linear)

"""Theory of a model: E y² of a linear map or a convolution, given its inputs x.

Let an output be y = Σ w x + b over the entries that it sums. Given the inputs, and given the
multiset of the magnitudes |w|, let every assignment of these magnitudes and their signs to the
entries of the weight be equally likely, as for independent entries of one symmetric law. Then
E w² of each entry is mean w² over the drawn weight, E w w′ of two entries is 0, and so is E w b.
With S, the mean over outputs of the sum of x² over the entries that an output sums,

    E y² = mean w² · S + mean b²,

where the bias may have any law. Zeros around the input are not among the entries. Orthogonal
weights fulfil it too: a rotation of W changes no law, so that E y² is a multiple of ‖x‖².

Given the inputs and the magnitudes, the right side is a constant. So the measured mean of y² over
it has mean 1 in every single initialization, whatever its inputs are. The mean of that ratio over
initializations is tested, and heavy tails of signals do not matter to it.

S is computed by the same map with ones in place of its weight and without a bias, applied to x²:
strides, groups, dilation and padding of every kind are then exact. Every group has as many outputs
as any other, so that one output of ones per group is enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from varsim.compute import lazy

torch = lazy("torch")


def _linear(_: Any, square: Any) -> Any:
    return square.sum(-1)


def _convolution(module: Any, square: Any) -> Any:
    weight = module.weight
    ones = torch.ones((module.groups, *weight.shape[1:]), dtype=square.dtype)
    return module._conv_forward(square, ones, None)


def _transposed(module: Any, square: Any) -> Any:
    kernel = module.kernel_size
    ones = torch.ones((module.in_channels, 1, *kernel), dtype=square.dtype)
    function = getattr(torch.nn.functional, f"conv_transpose{len(kernel)}d")
    return function(
        square, ones, None, module.stride, module.padding, module.output_padding, module.groups,
        module.dilation,
    )  # fmt: skip


_SUMS: Mapping[str, Callable[[Any, Any], Any]] = {
    "Linear": _linear,
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d"), _convolution),
    **dict.fromkeys(("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"), _transposed),
}
"""The sum of squares in every output, by the name of a class in torch.nn."""


def ratio_variance(module_type: str, shape: Sequence[int]) -> float:
    """Return the largest variance of the ratio in one initialization, for normal weights: 2 / c.

    The outputs of the c units or channels are independent, given the inputs. In each the mean of y²
    over R inputs has the relative variance 2 Σ (x · x′)² / (Σ x · x)², over all pairs and over all
    inputs, which is between 2/R for orthogonal inputs and 2 for parallel ones, as are those of
    deep layers. A ratio of few units has a skewed law, of which a sample with a small mean has a
    small spread, too: so the verdict takes the larger of the measured error and this one.

    Args:
        module_type: A class in torch.nn with a theory.
        shape: Shape of its outputs.

    >>> ratio_variance("Linear", (16, 10)), ratio_variance("Conv2d", (16, 4, 8, 8))
    (0.2, 0.5)
    """
    axis = 1 if module_type == "Linear" else 1 + int(module_type[-2])
    return 2.0 / shape[-axis]


def expected_square(module: Any, x: Any, y: Any) -> float | None:
    """Return E y² of a module's outputs, given its inputs; None where the theory does not hold.

    Args:
        module: A module of torch, whose parameters no other module has.
        x: Its inputs.
        y: Its outputs.
    """
    kind = type(module)
    sums_of = _SUMS.get(kind.__name__)
    if sums_of is None or kind is not getattr(torch.nn, kind.__name__):  # a subclass may differ
        return None
    if "weight" not in module._parameters:  # it is computed from others
        return None
    sums = sums_of(module, x.square())
    outputs = y.shape[:-1] if kind.__name__ == "Linear" else y.shape[2:]
    if (sums.shape if kind.__name__ == "Linear" else sums.shape[2:]) != outputs:
        return None  # a transposed convolution with sizes of its call
    expected = float(module.weight.double().square().mean()) * float(sums.double().mean())
    if module.bias is not None:
        expected += float(module.bias.double().square().mean())
    return expected

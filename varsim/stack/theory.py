"""Theory of deep stacks: variances of signals and gradients, layer by layer, by quadrature.

In a plain stack with the leading correction for finite width, else in the limit of infinite width;
with an allowance where more than the leading correction is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation, FloatArray
from varsim.activations.quadrature import gaussian_mean
from varsim.catalog.distributions import DISTRIBUTIONS, Distribution
from varsim.layer.theory import Entries
from varsim.parsing import InputError
from varsim.stack.network import Layer, Network


class LayerTheory(NamedTuple):
    """What theory says of one layer.

    Attributes:
        variance: E h², over inputs, networks and units.
        variance_slack: Relative allowance for what is left out of it.
        spread: Relative variance of Σh²/n between networks, for one input; None in stacks with
            norms or residuals, where it is not known here.
        gradient: E (∂h)², from a cotangent of variance 1 on top; None where it is not known.
        gradient_slack: Relative allowance for what is left out of it.
    """

    variance: float
    variance_slack: float
    spread: float | None
    gradient: float | None
    gradient_slack: float


class _Averages(NamedTuple):
    """Gaussian averages at a variance K of h.

    Attributes:
        second: <φ²>.
        fourth: <φ⁴>.
        slope: <φ′²>.
        both: <φ² φ′²>.
        susceptibility: d<φ²>/dK = <φ² (z² - K)> / 2K².
        curvature: d²<φ²>/dK² = <φ² (z⁴ - 6Kz² + 3K²)> / 4K⁴.
        slope_tilt: d<φ′²>/dK.
        slope_curvature: d²<φ′²>/dK².
        third: <φ³>.
        skew: d<φ²>/dκ₃ = <φ² (z³ - 3Kz)> / 6K³, κ₃ the third cumulant of h.
        slope_skew: d<φ′²>/dκ₃.
        slope_first: <(φ′²)′> = <φ′² z> / K.
        across: <φ φ′²>.
    """

    second: float
    fourth: float
    slope: float
    both: float
    susceptibility: float
    curvature: float
    slope_tilt: float
    slope_curvature: float
    third: float
    skew: float
    slope_skew: float
    slope_first: float
    across: float


class _Signal(NamedTuple):
    """What is known of a layer's h.

    Attributes:
        kernel: K, its variance at infinite width.
        shift: What finite width adds to it.
        fluctuation: Variance between networks of its variance.
        cumulant: Fourth cumulant of h that weights of another kurtosis than 3 leave.
        third: Third cumulant of h that skewed weights leave, of order 1/√n.
    """

    kernel: float
    shift: float
    fluctuation: float
    cumulant: float
    third: float


def predict(network: Network, *, infinite_width: bool = False) -> list[LayerTheory]:
    """Return what theory says of every layer.

    Forward: Roberts, Yaida & Hanin (2022), The Principles of Deep Learning Theory, chapter 4, with
    every layer's own width, and the cumulants of weights that are not normal beside it: the fourth
    is of order 1/n, the third of order 1/√n. Backward: Schoenholz et al. (2017), eq. 9, and Yang &
    Schoenholz (2017) for residual stacks.

    What comes after the leading correction is allowed for by that correction's square.

    Args:
        network: What is asked.
        infinite_width: Whether to leave the correction for finite width out.

    Raises:
        InputError: A variance, or its square, is beyond what a float holds, or φ is not finite.
    """
    try:
        return _predict(network, infinite_width)
    except ArithmeticError:
        raise InputError(
            f"theory for {network.depth:,} layers of {network.activation} with scale "
            f"{network.scale} leaves the floats, which hold variances from 1e-154 to 1e154; take "
            "fewer layers, another scale or gain, or an activation that is finite"
        ) from None


def _predict(network: Network, infinite_width: bool) -> list[LayerTheory]:
    plain = network.norm == "none" and network.residual is None
    corrected = plain and not infinite_width
    signals = list(_forward(network))
    gradients = _backward(network, [signal.kernel for signal in signals])
    shifts = _gradient_shifts(network, signals) if corrected else [0.0] * len(signals)
    made = float(network.init is not None)
    return [
        LayerTheory(
            signal.kernel + (signal.shift if corrected else 0.0),
            (signal.shift / signal.kernel) ** 2 * corrected
            + made * _initializer_allowance(network, place, signal.shift / signal.kernel)
            if plain
            else _forward_allowance(network, place),
            signal.fluctuation / signal.kernel**2 + 2 / width if plain else None,
            None if gradient is None else gradient * (1.0 + shift),
            _backward_allowance(network, place) + shift**2 + made * abs(shift),
        )
        for place, (width, signal, gradient, shift) in enumerate(
            zip(network.widths[1:], signals, gradients, shifts, strict=True)
        )
    ]


def _forward(network: Network) -> Iterator[_Signal]:
    x, w = Entries.of(network.x_dist, 0.0, 1.0), DISTRIBUTIONS[network.w_dist or "normal"]
    first, *others = network.layers
    weight = _weight_variance(first)
    fourth = x.square_variance + x.mean_square**2
    base = DISTRIBUTIONS[network.x_dist]
    third = base.skewness * base.variance**1.5 + 3 * base.mean * base.variance + base.mean**3
    signal = _Signal(
        weight * x.mean_square + network.bias_std**2,
        0.0,
        weight**2 * x.square_variance / first.fan_in,
        (w.kurtosis - 3.0) * weight**2 * fourth / first.fan_in,
        w.skewness * weight**1.5 * third / math.sqrt(first.fan_in),
    )
    yield signal
    for layer in others:
        signal = _next(network, layer, signal, w)
        yield signal


def _next(network: Network, layer: Layer, h: _Signal, w: Distribution) -> _Signal:
    at = _averages(network.phi, _seen(network, h.kernel))
    weight = _weight_variance(layer)
    branch = weight * at.second + network.bias_std**2
    if network.residual is not None:
        return _Signal(h.kernel + network.residual**2 * branch, 0.0, 0.0, 0.0, 0.0)
    if network.norm != "none":
        return _Signal(branch, 0.0, 0.0, 0.0, 0.0)
    chi = weight * at.susceptibility
    return _Signal(
        branch,
        chi * h.shift
        + weight * (h.fluctuation / 2 + h.cumulant / 6) * at.curvature
        + weight * h.third * at.skew,
        weight**2 * (at.fourth - at.second**2) / layer.fan_in + chi**2 * h.fluctuation,
        (w.kurtosis - 3.0) * weight**2 * at.fourth / layer.fan_in,
        w.skewness * weight**1.5 * at.third / math.sqrt(layer.fan_in),
    )


def _backward(network: Network, kernels: list[float]) -> list[float | None]:
    """Return E (∂h)² of every layer.

    Batch norm mixes the gradients of a batch by how its inputs are correlated, of which nothing is
    known here: below it there is no number.
    """
    gradients: list[float | None] = [1.0]
    for kernel, layer in zip(kernels[-2::-1], network.layers[:0:-1], strict=True):
        above = gradients[-1]
        if above is None or network.norm == "batch":
            gradients.append(None)
            continue
        factor = layer.fan_out / layer.k_squared
        factor *= _averages(network.phi, _seen(network, kernel)).slope
        if network.norm != "none":
            factor /= kernel
        branch = 1.0 if network.residual is None else network.residual**2
        gradients.append(above * (branch * factor + (network.residual is not None)))
    return gradients[::-1]


def _gradient_shifts(network: Network, signals: list[_Signal]) -> list[float]:
    """Return the leading relative correction of E (∂h)² for finite width, of every layer.

    With s = <φ′²> and r = s'/s, the factors s of the layers above vary with the kernels K:

    * each by its own kernel, r G + s"/s V / 2 with the shift G and the fluctuation V of K;
    * together, r_a r_b V_a Π χ, since a fluctuation of K at a is handed up to b;
    * the units of layer a give both φ′² and the next K: r_b C/n (<φ²φ′²>/s - <φ²>) Π χ;
    * the weights between carry the signal up and the gradient down: r_b C/n 2 <φ²φ′²>/s Π χ²/χ⊥,
      from Stein's lemma, E W_ij W_ik g_j g_k = δ_jk C/n E g_j² + (C/n)² φ_i² E ∂_j∂_k g_j g_k:
      each of the two divergences is passed on by χ, and E g² by χ⊥ = C s;
    * skewed weights of third moment γ, by κ₃ of h, and by E W³ φ_i (g²)′ = γ (C/n)^1.5 φ_i (g²)′.

    Products run over the layers between. Derived here; simulations agree to O(1/n²).
    """
    shifts, total, handed, once, twice = [0.0], 0.0, 0.0, 0.0, 0.0
    above = 0.0  # r of the layer above; none on top, where the gradient is given
    chi_above = first_above = relative = 0.0
    gamma = DISTRIBUTIONS[network.w_dist or "normal"].skewness
    for signal, layer in zip(signals[-2::-1], network.layers[:0:-1], strict=True):
        at, weight = _averages(network.phi, signal.kernel), _weight_variance(layer)
        once, twice = above + chi_above * once, above + relative * twice
        if at.slope == 0.0:
            return [0.0] * len(signals)  # no gradient passes: there is nothing to correct
        # Of a homogeneous φ all of it is rounding, which products of χ would blow up.
        tilt = 0.0 if network.phi.homogeneous else at.slope_tilt / at.slope
        both = at.both / at.slope
        chi = weight * at.susceptibility
        handed = chi * (above + handed)
        total += (
            tilt * signal.shift
            + at.slope_curvature / at.slope * signal.fluctuation / 2
            + tilt * handed * signal.fluctuation
            + weight / layer.fan_in * ((both - at.second) * once + 2 * both * twice)
            + signal.third * at.slope_skew / at.slope
            + gamma * math.sqrt(weight / layer.fan_in) * at.across / at.slope * first_above
        )
        shifts.append(total)
        above, chi_above, first_above = tilt, chi, at.slope_first / at.slope
        relative = chi**2 / (weight * at.slope)
    return shifts[::-1]


def _forward_allowance(network: Network, place: int) -> float:
    """Return what finite width may do with norms or residuals, relatively, and a finite batch.

    What batch norm hands to φ is a point on a sphere in as many dimensions as the batch has
    inputs: E u⁴ is 3 (B - 1) / (B + 1).
    """
    batch = 2 / network.batch if network.norm == "batch" and place else 0.0
    return batch + sum(1 / n for n in network.widths[1 : place + 1])


def _initializer_allowance(network: Network, place: int, shift: float) -> float:
    """Return what a finite width may do otherwise than with independent normal entries, relatively.

    All of the correction may be missing, as with orthogonal weights, and kurtosis adds terms of
    order 1/n per layer.
    """
    return abs(shift) + sum(1 / n for n in network.widths[1 : place + 1])


def _backward_allowance(network: Network, place: int) -> float:
    """Return what finite width may do to gradients, relatively.

    A norm divides by the measured variance, whose inverse has a mean above 1: 1 + 3/n, about.
    """
    norm = 1.0 if network.norm == "none" else 3.0
    return norm * sum(1 / n for n in network.widths[place + 2 :])


def _seen(network: Network, kernel: float) -> float:
    """Return the variance that the activation sees."""
    return kernel if network.norm == "none" else 1.0


def _weight_variance(layer: Layer) -> float:
    """C_W: the variance of an entry of W, of variance 1 before its division by k, times fan-in."""
    return layer.fan_in / layer.k_squared


@cache
def _averages(activation: Activation, variance: float) -> _Averages:
    def values(h: FloatArray) -> FloatArray:
        u = h * h / variance
        phi = activation.phi(h)
        squares, slopes = phi**2, activation.derivative(h) ** 2
        once, twice = (u - 1) / (2 * variance), (u * u - 6 * u + 3) / (4 * variance**2)
        plain = [squares, squares**2, slopes, squares * slopes]
        by_kernel = [f * by for f in (squares, slopes) for by in (once, twice)]
        thrice = (u - 3) * h / (6 * variance**2)
        skewed = [phi**3, squares * thrice, slopes * thrice, slopes * h / variance, phi * slopes]
        return np.stack(plain + by_kernel + skewed)

    # Users' functions may compute in float32, and nothing here is compared to so many digits.
    means = gaussian_mean(
        values, variance, activation.kinks, name=activation.formula, tolerance=1e-4
    )
    return _Averages(*map(float, means))

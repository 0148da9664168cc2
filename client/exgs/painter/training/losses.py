"""What a painted picture is judged by while training: squares, structure, and the latent.

Of squares the logarithm is taken crop by crop, as PSNR does: one that is far off moves the weights
less than one that is nearly right, which is the one that painting may spoil.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from exgs.painter.inputs import PROXIES, RAW, REACH, gate_of

SSIM_WINDOW = 7  # pixels, uniform: cheap, and close to the Gaussian one of 11
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_SMALL = 3e-4  # 35 dB: below, crops count less and less


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The share of each term."""

    squares: float = 0.1
    structure: float = 0.2
    latent: float = 0.02


def painted(stack: Tensor, restored: Tensor) -> Tensor:
    """What the client would show: the render [B, 3, H, W], painted as far as the gate is open."""
    raw = stack[:, RAW]
    gate = gate_of(stack[:, PROXIES], stack[:, REACH])[:, None]
    shown: Tensor = raw + gate * (restored - raw)
    return shown


def loss_of(
    shown: Tensor, target: Tensor, latent: Tensor, wanted: Tensor, weights: LossWeights
) -> Tensor:
    """The weighted sum; `wanted` is the latent of the target, by whose size its term is divided.

    Undivided, that term feeds on itself: latents grow until they drown everything else.
    """
    away = functional.l1_loss(latent, wanted) / wanted.abs().mean()
    return unlikeness(shown, target, weights) + weights.latent * away


def unlikeness(shown: Tensor, target: Tensor, weights: LossWeights) -> Tensor:
    """Of pictures [B, 3, H, W]: squares and structure, weighted."""
    squares = (shown - target).square().mean(dim=(1, 2, 3))
    return weights.squares * (squares + _SMALL).log10().mean() + weights.structure * (
        1 - similarity(shown, target)
    )


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM (Wang et al. 2004) over uniform windows."""

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, SSIM_WINDOW, stride=2)

    mean_a, mean_b = mean(a), mean(b)
    variance = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    return (likeness / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (variance + _SSIM_C2))).mean()

"""What a painted picture is judged by while training: L1, squares, structure, and the latent."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from exgs.client.painter.inputs import ADDED, FILLED, MAP, gate_of

_SSIM_WINDOW = 7  # pixels, uniform: cheap, and close to the Gaussian one of 11
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The share of each term."""

    l1: float = 1.0
    squares: float = 10.0
    structure: float = 0.1
    latent: float = 0.02


def painted(stack: Tensor, restored: Tensor) -> Tensor:
    """What the client would show: the render [B, 3, H, W], painted as far as the gate is open."""
    raw = stack[:, FILLED] - stack[:, ADDED]
    _, proxies, missing, pending = stack[:, MAP].unbind(dim=1)
    gate = gate_of(proxies, missing, pending)[:, None]
    shown: Tensor = raw + gate * (restored - raw)
    return shown


def loss_of(
    shown: Tensor, target: Tensor, latent: Tensor, wanted: Tensor, weights: LossWeights
) -> Tensor:
    """The weighted sum; `wanted` is the latent of the target, by whose size its term is divided.

    Undivided, that term feeds on itself: latents grow until they drown everything else.
    """
    difference = shown - target
    return (
        weights.l1 * difference.abs().mean()
        + weights.squares * difference.square().mean()
        + weights.structure * (1 - similarity(shown, target))
        + weights.latent * functional.l1_loss(latent, wanted) / wanted.abs().mean()
    )


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM (Wang et al. 2004) over uniform windows."""

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, _SSIM_WINDOW, stride=2)

    mean_a, mean_b = mean(a), mean(b)
    variance = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    return (likeness / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (variance + _SSIM_C2))).mean()

"""Losses: logarithm of the mean squared error, SSIM, and distance of latents.

The logarithm is taken for each crop, as in PSNR. So a crop with a small error, which painting may
make worse, has a larger gradient than a crop with a large error.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from exgs.painter.inputs import PROXIES, RAW, REACH, gate_of

SSIM_WINDOW = 7  # pixels; a uniform window is fast and close to the Gaussian window of 11 pixels
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_SMALL = 3e-4  # added to squared errors: above 35 dB the gradient falls


@dataclass(frozen=True, slots=True)
class LossWeights:
    """The weights of the terms."""

    log_mse: float = 0.1
    ssim: float = 0.2
    latent: float = 0.02


def painted(stack: Tensor, restored: Tensor) -> Tensor:
    """The picture [B, 3, H, W] that the client shows: render and output, blended by the gate."""
    raw = stack[:, RAW]
    gate = gate_of(stack[:, PROXIES], stack[:, REACH])[:, None]
    shown: Tensor = raw + gate * (restored - raw)
    return shown


def loss_of(
    shown: Tensor, target: Tensor, latent: Tensor, wanted: Tensor, weights: LossWeights
) -> Tensor:
    """The weighted sum of all terms. `wanted` is the latent of the target.

    The latent term is divided by the mean magnitude of `wanted`. Without this division, latents
    grow until the term dominates the loss.
    """
    distance = functional.l1_loss(latent, wanted) / wanted.abs().mean()
    return picture_loss(shown, target, weights) + weights.latent * distance


def picture_loss(shown: Tensor, target: Tensor, weights: LossWeights) -> Tensor:
    """The weighted sum of log MSE and 1 - SSIM of pictures [B, 3, H, W]."""
    mse = (shown - target).square().mean(dim=(1, 2, 3))
    return weights.log_mse * (mse + _SMALL).log10().mean() + weights.ssim * (
        1 - mean_ssim(shown, target)
    )


def mean_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM (Wang et al. 2004) over uniform windows."""

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, SSIM_WINDOW, stride=2)

    mean_a, mean_b = mean(a), mean(b)
    variance = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    return (numerator / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (variance + _SSIM_C2))).mean()

"""FLIP as a loss (Andersson et al. 2020): errors that people see when two pictures alternate.

For pictures with values in [0, 1] at 67 pixels per degree, like `exgs.scene.metrics.flip`.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_PIXELS_PER_DEGREE = 67.0
_SMALL = 1e-6

# Spatial filters of the eye for YyCxCz: weights and widths of Gaussians
_FILTERS = (((1.0, 0.0047),), ((1.0, 0.0053),), ((34.1, 0.04), (13.5, 0.025)))
_TO_XYZ = (
    (0.4123907993, 0.3575843394, 0.1804807884),
    (0.2126390059, 0.7151686788, 0.0721923154),
    (0.0193308187, 0.1191947798, 0.9505321522),
)
_COLOUR_POWER, _COLOUR_KNEE, _KNEE_VALUE = 0.7, 0.4, 0.95
_FEATURE_DEGREES, _FEATURE_POWER = 0.082, 0.5
_LAB_KNEE = 6 / 29


def flip_means(pictures: Tensor, targets: Tensor) -> Tensor:
    """Mean FLIP of pictures [B, 3, H, W], as one value for each."""
    with torch.no_grad():
        wanted = _seen(targets)
    colours, edges, points = _seen(pictures)
    apart = (colours - wanted[0]).abs()[:, :1]
    apart = apart + _length(colours[:, 1:] - wanted[0][:, 1:])
    most = _most_colour()
    raised = (apart + _SMALL) ** _COLOUR_POWER
    knee = _COLOUR_KNEE * most
    above = _KNEE_VALUE + (raised - knee) / (most - knee) * (1 - _KNEE_VALUE)
    colour = torch.where(raised < knee, raised * _KNEE_VALUE / knee, above)
    changed = torch.maximum((edges - wanted[1]).abs(), (points - wanted[2]).abs())
    feature = (changed / math.sqrt(2) + _SMALL) ** _FEATURE_POWER
    return (colour.clamp(_SMALL, 1) ** (1 - feature.clamp(0, 1))).mean(dim=(1, 2, 3))


def _seen(pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Perceived colours [B, 3, H, W], and the strengths of edges and points [B, 1, H, W]."""
    opponent = _opponent(_linear(pictures.clamp(0, 1)))
    parts = []
    for number, gaussians in enumerate(_FILTERS):
        channel = opponent[:, number : number + 1]
        weights = [weight * math.sqrt(width) for weight, width in gaussians]
        blurred = [
            share / sum(weights) * _convolved(channel, _gaussian(width), _gaussian(width))
            for share, (_, width) in zip(weights, gaussians, strict=True)
        ]
        parts.append(torch.stack(blurred).sum(dim=0))
    colours = _hunt(_lab(_from_opponent(torch.cat(parts, dim=1))))
    grey = (opponent[:, :1] + 16) / 116
    smooth, first, second = _feature_kernels()
    strengths = []
    for kernel in (first, second):
        pair = [_convolved(grey, smooth, kernel), _convolved(grey, kernel, smooth)]
        strengths.append(_length(torch.cat(pair, dim=1)))
    return colours, strengths[0], strengths[1]


def _linear(pictures: Tensor) -> Tensor:
    bright = ((pictures.clamp(0.04) + 0.055) / 1.055) ** 2.4
    return torch.where(pictures > 0.04045, bright, pictures / 12.92)


def _white() -> Tensor:
    return torch.tensor(_TO_XYZ).sum(dim=1)[:, None, None]


def _mixed(pictures: Tensor, matrix: Tensor) -> Tensor:
    return torch.einsum("ij,bjhw->bihw", matrix, pictures)


def _opponent(linear: Tensor) -> Tensor:
    return _differences(_mixed(linear, torch.tensor(_TO_XYZ)) / _white())


def _differences(xyz: Tensor) -> Tensor:
    """Lightness and the two differences of colours, as in CIELAB and YyCxCz."""
    x, y, z = xyz.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def _from_opponent(opponent: Tensor) -> Tensor:
    """XYZ relative to white, of the nearest colours that a screen has."""
    y = (opponent[:, 0] + 16) / 116
    xyz = torch.stack([y + opponent[:, 1] / 500, y, y - opponent[:, 2] / 200], dim=1) * _white()
    matrix = torch.tensor(_TO_XYZ)
    return _mixed(_mixed(xyz, torch.linalg.inv(matrix)).clamp(0, 1), matrix) / _white()


def _lab(xyz: Tensor) -> Tensor:
    root = xyz.clamp(_LAB_KNEE**3) ** (1 / 3)
    dark = xyz / (3 * _LAB_KNEE**2) + 4 / 29
    return _differences(torch.where(xyz > _LAB_KNEE**3, root, dark))


def _hunt(lab: Tensor) -> Tensor:
    """CIELAB with the Hunt effect: darker colours look less saturated."""
    return torch.cat([lab[:, :1], 0.01 * lab[:, :1] * lab[:, 1:]], dim=1)


@cache
def _most_colour() -> float:
    """The distance of pure green and pure blue, raised to the power."""
    pair = torch.zeros(2, 3, 1, 1)
    pair[0, 1] = pair[1, 2] = 1
    green, blue = _hunt(_lab(_mixed(pair, torch.tensor(_TO_XYZ)) / _white()))[..., 0, 0]
    apart = (green[0] - blue[0]).abs() + (green[1:] - blue[1:]).norm()
    return float(apart**_COLOUR_POWER)


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(dim=1, keepdim=True) + _SMALL**2).sqrt()


def _gaussian(width: float) -> Tensor:
    deviation = math.sqrt(width / (2 * math.pi**2)) * _PIXELS_PER_DEGREE
    reach = math.ceil(3 * deviation)
    values = (-0.5 * (torch.arange(-reach, reach + 1) / deviation) ** 2).exp()
    return values / values.sum()


def _feature_kernels() -> tuple[Tensor, Tensor, Tensor]:
    """A Gaussian, its first and its second derivative; positive and negative weights add to 1."""
    deviation = 0.5 * _FEATURE_DEGREES * _PIXELS_PER_DEGREE
    reach = math.ceil(3 * deviation)
    places = torch.arange(-reach, reach + 1, dtype=torch.float32)
    smooth = (-0.5 * (places / deviation) ** 2).exp()
    first, second = -places * smooth, ((places / deviation) ** 2 - 1) * smooth
    derived = []
    for kernel in (first, second):
        up, down = kernel.clamp(0), (-kernel).clamp(0)
        derived.append(up / up.sum() - down / down.sum())
    return smooth / smooth.sum(), derived[0], derived[1]


def _convolved(channel: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """`channel` [B, 1, H, W] after a vertical and a horizontal filter; its edges are repeated."""
    reaches = [len(kernel) // 2 for kernel in (across, across, down, down)]
    padded = functional.pad(channel, reaches, mode="replicate")
    rows = functional.conv2d(padded, down[None, None, :, None])
    return functional.conv2d(rows, across[None, None, None, :])

"""The network of `exgs.painter.detail` as a torch module, for training."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from exgs.painter.bands import BANDS, CELL, DERIVED, FILTERS, LEVELS
from exgs.painter.detail import (
    DETAIL_SCALE,
    DILATIONS,
    ENERGY_MIDDLE,
    ENERGY_OCTAVES,
    FAINT_MIDDLE,
    FAINT_OCTAVES,
    FEATURES,
    FIRST_GAINS,
    FLAT_BEFORE,
    LEAST_ENERGY,
    LEAST_FAINT,
    LUMINANCE,
    MOST_CHANGE,
    MOST_PATTERN,
    NEGATIVE_SLOPE,
    OUTPUT_SCALE,
    PATTERN,
)


class _Block(nn.Sequential):
    def __init__(self, width: int, dilation: int) -> None:
        super().__init__(
            *(nn.Conv2d(width, width, 3, padding=s, dilation=s) for s in (dilation, 1))
        )
        nn.init.zeros_(self[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self[1](_rectified(self[0](_rectified(x))))  # type: ignore[no-any-return]


class DetailModule(nn.Module):
    """Its state dict is what `DetailNetwork` takes. Untrained, it is an unsharp mask."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.enter = nn.Conv2d(FEATURES, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(width, dilation) for dilation in DILATIONS))
        self.leave = nn.Conv2d(width, BANDS + PATTERN, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor, maps: Tensor) -> Tensor:
        """What to add to pictures [B, 3, H, W]; sides are multiples of CELL."""
        copies = blurred_copies(pictures)
        stack = features(pictures, copies, maps)
        gains, pattern = self.outputs(stack)
        gains, around = (
            functional.interpolate(x, scale_factor=CELL, mode="bilinear")
            for x in (gains, contrast(stack))
        )
        bands = torch.stack(bands_of(pictures, copies), dim=1)
        added: Tensor = (gains[:, :, None] * bands).sum(dim=1)
        return added + around * functional.pixel_shuffle(pattern, CELL)

    def outputs(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Gains [B, BANDS, h, w] and pattern [B, PATTERN, h, w] of cells with these features."""
        out = OUTPUT_SCALE * self.leave(_rectified(self.blocks(self.enter(stack))))
        change = MOST_CHANGE * torch.tanh(out[:, :BANDS] / MOST_CHANGE)
        pattern = MOST_PATTERN * torch.tanh(out[:, BANDS:] / MOST_PATTERN)
        return change + change.new_tensor(FIRST_GAINS)[:, None, None], pattern


def contrast(stack: Tensor) -> Tensor:
    """The contrast of the surroundings of each cell [B, 1, h, w], from the features."""
    energies = stack[:, PATTERN : PATTERN + LEVELS] * ENERGY_OCTAVES + ENERGY_MIDDLE
    return energies.exp2().sum(dim=1, keepdim=True) - LEVELS * LEAST_ENERGY


def features(pictures: Tensor, copies: list[Tensor], maps: Tensor) -> Tensor:
    """The input of the network [B, FEATURES, h, w]."""
    grey = pictures.new_tensor(LUMINANCE)[:, None, None]
    levels = [(level * grey).sum(dim=1, keepdim=True) for level in (pictures, *copies)]
    detail = DETAIL_SCALE * (levels[0] - levels[1 + FLAT_BEFORE])
    bands = [(finer - coarser).abs() for finer, coarser in pairwise(levels)]
    means = functional.avg_pool2d(torch.cat(bands, dim=1), CELL)
    energies = ((means + LEAST_ENERGY).log2() - ENERGY_MIDDLE) / ENERGY_OCTAVES
    faint = ((means + LEAST_FAINT).log2() - FAINT_MIDDLE) / FAINT_OCTAVES
    brightness = functional.avg_pool2d(levels[0], CELL) - 0.5
    split = functional.pixel_unshuffle(detail, CELL)
    parts = [split, energies, faint, brightness, maps]
    return torch.cat(parts, dim=1)


def blurred_copies(pictures: Tensor) -> list[Tensor]:
    """Pictures [B, C, H, W] after the first, the first two, … of the filters."""
    copies = []
    for weights, spacing in FILTERS:
        reach, channels = spacing * (len(weights) // 2), pictures.shape[1]
        pictures = functional.pad(pictures, (reach,) * 4, mode="replicate")
        for shape in ((1, 1, -1, 1), (1, 1, 1, -1)):
            kernel = pictures.new_tensor(weights).reshape(shape)
            kernel = kernel.expand(channels, -1, -1, -1)
            pictures = functional.conv2d(pictures, kernel, groups=channels, dilation=spacing)
        copies.append(pictures)
    return copies


def bands_of(pictures: Tensor, copies: list[Tensor]) -> list[Tensor]:
    """The bands of pictures [B, C, H, W]."""
    bands = [a - b for a, b in zip([pictures, *copies], copies, strict=False)]
    for number, step in DERIVED:
        edge = functional.pad(copies[number], (step,) * 4, mode="replicate")
        low, mid, high = (slice(k, k - 2 * step or None) for k in (0, step, 2 * step))
        along = edge[..., mid, low] + edge[..., mid, high]
        bands.append(0.5 * (along - edge[..., low, mid] - edge[..., high, mid]))
        falling = edge[..., low, low] + edge[..., high, high]
        bands.append(0.5 * (falling - edge[..., low, high] - edge[..., high, low]))
    return bands


def _rectified(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, NEGATIVE_SLOPE)

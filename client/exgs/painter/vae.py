"""The lightweight autoencoder of GaussPainter.

All convolutions run at a quarter of the picture's resolution or less (PixelUnshuffle 4). The latent
has an eighth of the resolution. Features at a quarter bypass the latent and enter the decoder.

The decoder starts from the picture of the spread leaves. For each pixel it returns a residual and
the shares of three alternatives: the bare render, the render in front of the spread leaves, and
more of the colours for gaps. An untrained decoder returns the picture of the spread leaves.
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn import functional

from exgs.painter.inputs import (
    GAPS,
    LEAVES,
    PLANES,
    PROXIES,
    RAW,
    REACH,
    SPREAD,
)

_UNSHUFFLE = 4
LATENT_STRIDE = 8  # pixels
_OUTPUTS = 6  # RGB of the residual, and the shares of three alternatives


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(functional.silu(self.first(functional.silu(x))))
        return x + y


class PixelVae(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Encodes stacks of planes [B, PLANES, H, W] to latents and features, and decodes pictures."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        planes: int = PLANES,
        width: int = 48,
        latent_channels: int = 32,
        encoder_blocks: int = 1,
        decoder_blocks: int = 3,
    ) -> None:
        super().__init__()
        pixels = _UNSHUFFLE**2
        self.enter = nn.Conv2d(planes * pixels, width, 3, padding=1)
        self.encoder = nn.Sequential(*(_Residual(width) for _ in range(encoder_blocks)))
        self.to_latent = nn.Conv2d(width, latent_channels, 3, padding=1, stride=2)
        self.from_latent = nn.Conv2d(latent_channels, 4 * width, 3, padding=1)
        self.join = nn.Conv2d(2 * width, width, 1)
        self.decoder = nn.Sequential(*(_Residual(width) for _ in range(decoder_blocks)))
        self.leave = nn.Conv2d(width, _OUTPUTS * pixels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def encode(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latent [B, C, H/8, W/8] and the features [B, width, H/4, W/4]."""
        features = self.encoder(self.enter(functional.pixel_unshuffle(stack - 0.5, _UNSHUFFLE)))
        return self.to_latent(functional.silu(features)), features

    def decode(self, latent: Tensor, features: Tensor, stack: Tensor) -> Tensor:
        """Return the picture [B, 3, H, W]: the spread leaves of `stack` with corrections."""
        context = functional.pixel_shuffle(self.from_latent(latent), 2)
        joined = self.join(torch.cat([context, features], dim=1))
        answer = self.leave(functional.silu(self.decoder(joined)))
        planes = functional.pixel_shuffle(answer, _UNSHUFFLE)
        picture = stack[:, SPREAD]
        nothing = 1 - stack[:, LEAVES, None] - stack[:, PROXIES, None]
        in_front = stack[:, RAW] + nothing * picture
        more = stack[:, REACH, None] * stack[:, GAPS]
        changes = (stack[:, RAW] - picture, in_front - picture, more)
        for number, change in enumerate(changes, start=3):
            picture = picture + planes[:, number, None] * change
        return picture + planes[:, :3]

    def forward(self, stack: Tensor) -> Tensor:
        """Encode and decode without the U-Net."""
        latent, features = self.encode(stack)
        return self.decode(latent, features, stack)

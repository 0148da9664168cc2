"""The lightweight autoencoder of GaussPainter: cheap where pictures are large.

All convolutions run at a quarter of the picture's resolution or below (PixelUnshuffle 4), the
latent lies at an eighth. Features of the quarter are handed past the latent to the decoder, which
answers pixel by pixel with how much of the spread leaves' picture gives way to each of its
alternatives (the bare render, the same before the spread leaves, more of what may be a gap) and
with a residual: an untrained decoder answers with the spread leaves.
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
_ANSWERS = 6  # RGB of the residual, and the shares of three alternatives


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
    """Stack of planes [B, PLANES, H, W] to latent [B, C, H/8, W/8] and features, and back."""

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
        self.leave = nn.Conv2d(width, _ANSWERS * pixels, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def encode(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Latent [B, C, H/8, W/8] and features [B, width, H/4, W/4]."""
        features = self.encoder(self.enter(functional.pixel_unshuffle(stack - 0.5, _UNSHUFFLE)))
        return self.to_latent(functional.silu(features)), features

    def decode(self, latent: Tensor, features: Tensor, stack: Tensor) -> Tensor:
        """The picture [B, 3, H, W]: that of the spread leaves of `stack`, corrected."""
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
        """Encode and decode, without restoring."""
        latent, features = self.encode(stack)
        return self.decode(latent, features, stack)

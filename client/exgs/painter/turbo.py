"""A one-step Stable Diffusion model (layout of SD-Turbo) as the painter's network.

The picture of the spread leaves is encoded and treated as a sample late in the diffusion, without
added noise. One prediction of the noise gives the clean latent, as in Difix3D+ (Wu et al. 2025).
The network does not see the confidence map; only the gate protects certain pixels.
"""

from __future__ import annotations

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    UNet2DConditionModel,
)
from torch import Tensor

from exgs.painter.inputs import SPREAD

TIMESTEP = 199  # of 1000: the noise level that such renders resemble


class TurboPainterPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Restores pictures with one step of a text-conditioned latent diffusion model."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    scheduler: EulerDiscreteScheduler

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        scheduler: EulerDiscreteScheduler,
        prompt_embeds: Tensor,
    ) -> None:
        super().__init__()
        self.register_modules(vae=vae, unet=unet, scheduler=scheduler)
        self.prompt_embeds = prompt_embeds  # [1, T, D]

    @property
    def multiple(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        stride = 1 << (len(self.vae.config.block_out_channels) - 1)
        return int(stride << (len(self.unet.config.block_out_channels) - 1))

    @torch.inference_mode()
    def __call__(self, stack: Tensor) -> Tensor:
        """Restore pictures [B, 3, H, W] from stacks [B, PLANES, H, W]."""
        scale = self.vae.config.scaling_factor
        noisy = self.vae.encode(2 * stack[:, SPREAD].clamp(0, 1) - 1).latent_dist.mode() * scale
        kept = float(self.scheduler.alphas_cumprod[TIMESTEP])
        prompt = self.prompt_embeds.to(noisy).expand(len(noisy), -1, -1)
        predicted = self.unet(noisy, TIMESTEP, encoder_hidden_states=prompt).sample
        match self.scheduler.config.prediction_type:
            case "epsilon":
                clean = (noisy - (1 - kept) ** 0.5 * predicted) / kept**0.5
            case "v_prediction":
                clean = kept**0.5 * noisy - (1 - kept) ** 0.5 * predicted
            case _:
                clean = predicted
        picture: Tensor = self.vae.decode(clean / scale).sample
        return (picture / 2 + 0.5).clamp(0, 1)

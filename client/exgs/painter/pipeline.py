"""GaussPainter as a `diffusers` pipeline: encode, one step of the U-Net, decode.

One step of flow matching from sigma 1 to 0 without noise is z - v. The velocity v of the U-Net is
the residual from the degraded to the restored latent. The pipeline is deterministic.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler, UNet2DModel
from torch import Tensor
from torch.nn import functional

from exgs.painter.inputs import MAP
from exgs.painter.vae import LATENT_STRIDE, PixelVae


class GaussPainterPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Restores pictures from stacks of planes; see `inputs.planes`."""

    vae: PixelVae
    unet: UNet2DModel
    scheduler: FlowMatchEulerDiscreteScheduler

    def __init__(
        self, vae: PixelVae, unet: UNet2DModel, scheduler: FlowMatchEulerDiscreteScheduler
    ) -> None:
        super().__init__()
        self.register_modules(vae=vae, unet=unet, scheduler=scheduler)

    @property
    def multiple(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        return LATENT_STRIDE << (len(self.unet.config.block_out_channels) - 1)

    @torch.inference_mode()
    def __call__(self, stack: Tensor) -> Tensor:
        """Restore pictures [B, 3, H, W] from stacks [B, PLANES, H, W]."""
        return self.restore(stack)[0]

    def restore(self, stack: Tensor) -> tuple[Tensor, Tensor]:
        """Restore pictures; also return their latents. Keeps gradients, for training."""
        latent, features = self.vae.encode(stack)
        confidence = functional.avg_pool2d(stack[:, MAP], LATENT_STRIDE)
        self.scheduler.set_timesteps(sigmas=[1.0], device=stack.device)
        timestep = self.scheduler.timesteps[0]
        velocity = self.unet(torch.cat([latent, confidence], dim=1), timestep).sample
        restored = self.scheduler.step(velocity, timestep, latent, return_dict=False)[0]
        return self.vae.decode(restored, features, stack), restored


def build_pipeline(vae: dict[str, Any], unet: dict[str, Any]) -> GaussPainterPipeline:
    """Build an untrained pipeline. Its output is the picture of the spread leaves."""
    autoencoder = PixelVae(**vae)
    latent_channels = autoencoder.config.latent_channels
    network = UNet2DModel(
        in_channels=latent_channels + MAP.stop - MAP.start, out_channels=latent_channels, **unet
    )
    torch.nn.init.zeros_(network.conv_out.weight)
    torch.nn.init.zeros_(network.conv_out.bias)
    bound_shortcuts(network)
    return GaussPainterPipeline(autoencoder, network, FlowMatchEulerDiscreteScheduler())


@torch.no_grad()
def bound_shortcuts(unet: UNet2DModel) -> None:
    """Scale down the convolutions outside the residual blocks so that their gain is at most 1.

    Activations on this path are normalised only at the end, so training does not bound them.
    Without the limit they grow tenfold per block and hide what the residual blocks add.
    """
    for name, module in unet.named_modules():
        beside = name.endswith("conv_shortcut") or "sampler" in name
        if beside and isinstance(module, torch.nn.Conv2d):
            sums = module.weight.abs().sum(dim=(1, 2, 3), keepdim=True)
            module.weight /= sums.clamp(min=1)

"""Renders with a known confidence map, and small models, for tests of the painter."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from exgs.painter.confidence import Confidence
from exgs.painter.gaps import Gaps
from exgs.painter.pipeline import GaussPainterPipeline, build_pipeline
from exgs.scene.rasterizer import Render

VAE: dict[str, Any] = {"width": 8, "latent_channels": 4, "decoder_blocks": 1}
UNET: dict[str, Any] = {
    "sample_size": 16,
    "layers_per_block": 1,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
}


def frame(height: int = 40, width: int = 56, seed: int = 0) -> tuple[Render, Confidence]:
    """A noisy render: leaves in the left third, proxies in the middle, a grey gap on the right."""
    rng = np.random.default_rng(seed)
    kind = np.minimum(3 * np.arange(width) // width, 2)
    leaves, proxies, nothing = (
        np.broadcast_to(kind == k, (height, width)).astype(np.float32) for k in range(3)
    )
    rgb = rng.uniform(0, 1, (height, width, 3)).astype(np.float32) * (1 - nothing)[..., None]
    depth = np.ones((height, width), np.float32)
    layer = np.concatenate([rgb + 0.5 * nothing[..., None], np.ones_like(rgb[..., :1])], axis=2)
    gaps = Gaps(nothing, nothing, np.full((height, width, 3), 0.5, np.float32), layer, layer)
    confidence = Confidence(leaves, proxies, nothing, np.zeros_like(leaves), gaps)
    return Render(rgb, 1 - nothing, depth), confidence


def small_pipeline(seed: int = 0, *, untrained: bool = False) -> GaussPainterPipeline:
    """A pipeline of a few thousand weights, untrained or random in all layers."""
    torch.manual_seed(seed)
    pipeline = build_pipeline(VAE, UNET)
    if not untrained:
        with torch.no_grad():
            for module in (pipeline.vae, pipeline.unet):
                for weight in module.parameters():
                    weight.add_(0.1 * torch.randn_like(weight))
    pipeline.vae.eval()
    pipeline.unet.eval()
    return pipeline

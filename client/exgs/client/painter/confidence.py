"""The confidence map: how much of each pixel comes from leaves, from proxies, from nothing.

The rasterizer itself measures it: one more render in which each Gaussian's colour says what it
is, so that the channels are sums of blending weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.client.painter.reach import Mask, reach
from exgs.codec.build import DrawnScene
from exgs.codec.index import SceneFacts
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterize import Rasterizer

# A pixel counts as covered when what shines through can't change its 8-bit value by one step.
COVERED_WEIGHT = 1 - 0.5 / 255


@dataclass(frozen=True, slots=True, eq=False)
class Confidence:
    """Blending weights per pixel, float32 in [0, 1]; leaves + proxies + nothing = 1."""

    leaves: FloatArray  # [H, W] true Gaussians
    proxies: FloatArray  # [H, W] merged or stretched Gaussians that stand for what has not come
    nothing: FloatArray  # [H, W] what shines through to the background
    sh_pending: FloatArray  # [H, W] the part of `leaves` whose view dependence has not come
    reach: Mask  # [H, W] where something may be missing; elsewhere nothing is no gap

    @property
    def gaps(self) -> Mask:
        """Pixels that something should cover and that shine through visibly."""
        return self.reach & (self.nothing > 1 - COVERED_WEIGHT)


def measure_confidence(
    rasterizer: Rasterizer, drawn: DrawnScene, facts: SceneFacts, camera: Camera
) -> Confidence:
    """Render which kind of Gaussian covers each pixel of `camera`'s picture."""
    stands_in = drawn.is_proxy | _are_leaves_stretched(drawn, facts)
    kinds = np.zeros((len(drawn.gaussians), 3), np.float32)
    kinds[:, 0] = ~stands_in
    kinds[:, 1] = stands_in
    kinds[:, 2] = drawn.sh_pending
    render = rasterizer.render(drawn.gaussians, camera, colors=kinds)
    leaves, proxies, sh_pending = np.clip(np.moveaxis(render.rgb, 2, 0), 0.0, 1.0)
    nothing = np.clip(1.0 - leaves - proxies, 0.0, 1.0)
    if any(layer.proxy_count for layer in facts.layers):
        # Proxies stand for all that is missing: what they leave open is open in the scene too.
        within_reach = np.zeros(nothing.shape, bool)
    else:
        within_reach = reach(facts, camera)
    return Confidence(leaves, proxies, nothing, sh_pending, within_reach)


def _are_leaves_stretched(drawn: DrawnScene, facts: SceneFacts) -> bool:
    """Whether leaves are drawn larger than they are, to stand for others too.

    Files without proxies do so until all leaves are there; then none can be trusted as it is.
    """
    stretches = any(layer.amplification != 1 for layer in facts.layers)
    return stretches and int(np.count_nonzero(~drawn.is_proxy)) < facts.leaf_count

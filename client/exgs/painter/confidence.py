"""The confidence map: how much of each pixel comes from leaves, from proxies, from nothing.

The rasterizer itself measures it: one more render in which each Gaussian's colour says what it
is, so that the channels are sums of blending weights. In files without proxies, `gaps` tells what
is missing from what is open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.codec.format.facts import SceneFacts
from exgs.painter.gaps import FEW, Gaps, find_gaps, widened
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Rasterizer, Render

# A pixel counts as covered when what shines through can't change its 8-bit value by one step.
COVERED_WEIGHT = 1 - 0.5 / 255


@dataclass(frozen=True, slots=True, eq=False)
class Confidence:
    """Blending weights per pixel, float32 in [0, 1]; leaves + proxies + nothing = 1."""

    leaves: FloatArray  # [H, W] true Gaussians
    proxies: FloatArray  # [H, W] what stands for what has not come
    nothing: FloatArray  # [H, W] what shines through to the background
    sh_pending: FloatArray  # [H, W] the part of `leaves` whose view dependence has not all come
    gaps: Gaps | None  # in `nothing`; None where proxies stand for what is missing, or it is little


def measure_confidence(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    facts: SceneFacts,
    camera: Camera,
    *,
    spread: bool = False,
) -> Confidence:
    """Render which kind of Gaussian covers each pixel of `camera`'s picture.

    With `spread` its gaps have the layer of leaves that a network has spread.
    """
    missing = _missing(drawn, facts)
    stands_in = np.where(drawn.is_proxy, 1.0, missing if _stretches(facts) else 0.0)
    kinds = np.stack([1 - stands_in, stands_in, drawn.sh_pending], axis=1).astype(np.float32)
    render = rasterizer.render(drawn.gaussians, camera, colors=kinds)
    leaves, proxies, sh_pending = np.clip(np.moveaxis(render.rgb, 2, 0), 0.0, 1.0)
    nothing = np.clip(1.0 - leaves - proxies, 0.0, 1.0)
    gaps = None
    if _has_gaps(missing, facts):
        gaps = find_gaps(rasterizer, drawn, missing, nothing, camera, spread=spread)
    return Confidence(leaves, proxies, nothing, sh_pending, gaps)


def look_at_scene(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    facts: SceneFacts,
    camera: Camera,
    *,
    spread: bool = False,
) -> tuple[Render, Confidence]:
    """What a painter is given of a view: the picture over black, and how far to trust it."""
    render = rasterizer.render(drawn.gaussians, camera)
    return render, measure_confidence(rasterizer, drawn, facts, camera, spread=spread)


def prepare_to_look(drawn: DrawnScene, facts: SceneFacts, *, spread: bool) -> None:
    """Do now what looking at a scene for the first time needs besides the rasterizer."""
    missing = _missing(drawn, facts)
    if _has_gaps(missing, facts):
        widened(drawn, missing, spread=spread)


def _missing(drawn: DrawnScene, facts: SceneFacts) -> float:
    return 1 - int(np.count_nonzero(~drawn.is_proxy)) / facts.leaf_count


def _has_gaps(missing: float, facts: SceneFacts) -> bool:
    return missing > FEW and not facts.has_proxies


def _stretches(facts: SceneFacts) -> bool:
    """Whether leaves are drawn larger than they are while others are missing.

    Files without proxies do so; then a leaf counts as one that stands for the missing, too.
    """
    return any(layer.amplification != 1 for layer in facts.layers)

"""The confidence map: the shares of leaves, proxies and background in each pixel.

A second render measures it: each Gaussian's colour encodes its kind, so the channels of the picture
are sums of blending weights. In files without proxies, `gaps` separates pixels that miss leaves
from pixels that are empty in the whole scene too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.codec.format.facts import SceneFacts
from exgs.painter.gaps import FEW, Gaps, find_gaps, widened_leaves
from exgs.painter.sizes import measure_proxy_sizes
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Rasterizer, Render

# A pixel counts as covered if the background can't change its 8-bit value.
COVERED_WEIGHT = 1 - 0.5 / 255


@dataclass(frozen=True, slots=True, eq=False)
class Confidence:
    """Blending weights per pixel, float32 in [0, 1]. leaves + proxies + nothing = 1.

    `proxies` also counts leaves that are amplified because other leaves are missing.
    """

    leaves: FloatArray  # [H, W] Gaussians of the source scene
    proxies: FloatArray  # [H, W] Gaussians that stand in for missing leaves
    nothing: FloatArray  # [H, W] the background
    sh_pending: FloatArray  # [H, W] the part of `leaves` whose SH has not arrived completely
    gaps: Gaps | None  # None if the file has proxies or few leaves are missing
    proxy_sizes: FloatArray | None = None  # [H, W] in pixels; None unless proxies are drawn
    proxy_lengths: FloatArray | None = None  # the same along their longest axis


def measure_confidence(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    facts: SceneFacts,
    camera: Camera,
    *,
    spread: bool = False,
) -> Confidence:
    """Measure the confidence map of `camera`'s picture.

    With `spread`, its gaps include the layer of spread leaves.
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
    shares = leaves, proxies, nothing, sh_pending
    if not drawn.is_proxy.any():
        return Confidence(*shares, gaps)
    return Confidence(*shares, gaps, *measure_proxy_sizes(rasterizer, drawn, camera))


def look_at_scene(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    facts: SceneFacts,
    camera: Camera,
    *,
    spread: bool = False,
) -> tuple[Render, Confidence]:
    """Return the inputs of a painter for a view: the render over black and its confidence map."""
    render = rasterizer.render(drawn.gaussians, camera)
    return render, measure_confidence(rasterizer, drawn, facts, camera, spread=spread)


def prepare_to_look(drawn: DrawnScene, facts: SceneFacts, *, spread: bool) -> None:
    """Compute now what the first `look_at_scene` of `drawn` needs besides the rasterizer."""
    missing = _missing(drawn, facts)
    if _has_gaps(missing, facts):
        widened_leaves(drawn, missing, spread=spread)


def _missing(drawn: DrawnScene, facts: SceneFacts) -> float:
    return 1 - int(np.count_nonzero(~drawn.is_proxy)) / facts.leaf_count


def _has_gaps(missing: float, facts: SceneFacts) -> bool:
    return missing > FEW and not facts.has_proxies


def _stretches(facts: SceneFacts) -> bool:
    """Whether leaves are amplified while others are missing, as in files without proxies.

    An amplified leaf counts partly as a stand-in for missing leaves.
    """
    return any(layer.amplification != 1 for layer in facts.layers)

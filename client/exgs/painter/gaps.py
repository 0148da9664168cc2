"""Finds gaps: pixels that show background only because leaves are missing.

Stretched leaves cover the gaps between leaves. They also extend beyond the outline of an object in
front of empty background, so three rules decide how far to trust them:

- If leaves already cover most of the interior of the stretched leaves, the remaining background
  belongs to the scene.
- If the stretched leaves cover the whole picture, the camera is inside a closed scene, and all
  background is a gap.
- If few leaves are missing, nothing is a gap, since real scenes are seldom completely closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.painter.push_pull import push_pull
from exgs.painter.spread import shipped
from exgs.painter.stretch import find_candidates, stretched
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer, Render

# Tuned on separate scenes and views: `python -m bench.painter.gaps`.
_INTERIOR_POWER = 8  # power of the stretched leaves' alpha that selects their interior
_SPARSE, _DENSE = 0.5, 0.8  # coverage of the interior: all gaps below, no gaps above
_OUTLINE = 0.5  # alpha of the stretched leaves at which a gap begins
_OPEN_ALPHA = 0.1  # alpha of the stretched leaves below which a pixel is certainly background
_OPEN_SHARE = 0.04  # share of such pixels from which the scene is not closed
FEW, _MANY = 0.3, 0.35  # share of missing leaves: no gaps below FEW, full weight above _MANY


_CACHE: WeakKeyDictionary[DrawnScene, dict[bool, tuple[Gaussians, Gaussians | None]]] = (
    WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """The gaps of one picture, float32. Layers hold premultiplied RGB and alpha."""

    weight: FloatArray  # [H, W] in [0, 1], the share of a pixel that should be filled
    reach: FloatArray  # [H, W] in [0, 1], the share that may be a gap; at least `weight`
    colors: FloatArray  # [H, W, 3] colours of the surrounding leaves
    stretched: FloatArray  # [H, W, 4] layer of leaves stretched to their neighbours
    spread: FloatArray | None  # [H, W, 4] layer of leaves that a network has spread, if requested


def find_gaps(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    missing: float,
    nothing: FloatArray,
    camera: Camera,
    *,
    spread: bool = False,
) -> Gaps:
    """Find the gaps of a picture whose background has the weights `nothing` [H, W].

    `missing` is the share of leaves that have not arrived. `spread` requests the layer `spread`.
    """
    stretched_leaves, spread_leaves = widened_leaves(drawn, missing, spread=spread)
    over = rasterizer.render(stretched_leaves, camera)
    cover = 1 - nothing
    alpha = np.maximum(over.alpha, cover)
    open_share = float((alpha < _OPEN_ALPHA).mean())
    closed = max(1 - open_share / _OPEN_SHARE, 0.0)
    interior = alpha**_INTERIOR_POWER
    density = float((cover * interior).sum() / max(interior.sum(), 1e-6))
    trust = np.clip((_DENSE - density) / (_DENSE - _SPARSE), 0.0, 1.0)
    within = np.clip((alpha - _OUTLINE) / (1 - _OUTLINE), 0.0, 1.0)
    background = nothing * np.clip((missing - FEW) / (_MANY - FEW), 0.0, 1.0)
    weight = background * np.maximum(trust * within, closed)
    reach = background * np.maximum(alpha, closed)
    colors = push_pull(np.clip(over.rgb, 0.0, 1.0), np.clip(over.alpha, 0.0, 1.0))
    return Gaps(
        weight.astype(np.float32),
        reach.astype(np.float32),
        colors,
        _layer(over),
        None if spread_leaves is None else _layer(rasterizer.render(spread_leaves, camera)),
    )


def _layer(render: Render) -> FloatArray:
    layer: FloatArray = np.concatenate([render.rgb, render.alpha[..., None]], axis=2)
    return layer.clip(0.0, 1.0)


def widened_leaves(
    drawn: DrawnScene, missing: float, *, spread: bool
) -> tuple[Gaussians, Gaussians | None]:
    """Return the stretched leaves, and with `spread` also the leaves spread by the network.

    The result is cached for the lifetime of `drawn`, since a scene is usually drawn from many
    cameras before more of it arrives.
    """
    kept = _CACHE.setdefault(drawn, {})
    if spread not in kept:
        leaves = drawn.gaussians
        candidates = find_candidates(leaves.means) if len(leaves) else None
        spread_leaves = shipped()(leaves, missing, candidates) if spread else None
        kept[spread] = stretched(leaves, candidates), spread_leaves
    return kept[spread]

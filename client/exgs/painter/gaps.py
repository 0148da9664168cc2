"""Gaps: which of the pixels where nothing is should show something, and what.

Leaves stretched to their neighbours reach over the gaps between them, but also beyond the outline
of a thing before nothing. How far to believe them follows from the picture: where leaves already
cover most of what lies deep within the stretched ones, the rest is open; and a picture that the
stretched ones leave open nowhere is one from inside a closed scene, so that all of it is missing.
When most leaves have come, what is still open stays so: real scenes are seldom quite closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.painter.push_pull import push_pull
from exgs.painter.spread import shipped
from exgs.painter.stretch import candidates, stretched
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer, Render

# Set on scenes and views of their own: `python -m bench.painter_gaps`.
_DEEP = 8  # power of the stretched leaves' alpha that leaves only what lies deep within them
_SPARSE, _DENSE = 0.5, 0.8  # cover deep within: gaps are believed below, not at all above
_OUTLINE = 0.5  # alpha of the stretched leaves at which a believed gap begins
_OPEN_ALPHA = 0.1  # of the stretched leaves: below, a pixel is surely open
_OPEN_SHARE = 0.04  # of the pixels surely open: the scene is
FEW, _MANY = 0.3, 0.35  # share of the leaves missing: with few, what is open may well be so


_WIDENED: WeakKeyDictionary[DrawnScene, dict[bool, tuple[Gaussians, Gaussians | None]]] = (
    WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True, eq=False)
class Gaps:
    """What is missing in one picture, float32."""

    weight: FloatArray  # [H, W] in [0, 1], the part of a pixel that should be filled
    reach: FloatArray  # [H, W] in [0, 1], that where something may be missing; at least `weight`
    colors: FloatArray  # [H, W, 3] what the leaves around would show there
    wide: FloatArray  # [H, W, 4] of leaves stretched to their neighbours, RGB times A, and A
    spread: FloatArray | None  # [H, W, 4] of leaves spread by a network, where that was asked for


def find_gaps(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    missing: float,
    nothing: FloatArray,
    camera: Camera,
    *,
    spread: bool = False,
) -> Gaps:
    """The gaps of a picture of which `nothing` [H, W] shines through to the background.

    `missing` is the share of the scene's leaves that has not come; `spread` asks for that layer.
    """
    stretched_leaves, spread_leaves = widened(drawn, missing, spread=spread)
    over = rasterizer.render(stretched_leaves, camera)
    cover = 1 - nothing
    alpha = np.maximum(over.alpha, cover)
    open_share = float((alpha < _OPEN_ALPHA).mean())
    closed = max(1 - open_share / _OPEN_SHARE, 0.0)
    deep = alpha**_DEEP
    dense = float((cover * deep).sum() / max(deep.sum(), 1e-6))
    believed = np.clip((_DENSE - dense) / (_DENSE - _SPARSE), 0.0, 1.0)
    within = np.clip((alpha - _OUTLINE) / (1 - _OUTLINE), 0.0, 1.0)
    open_to = nothing * np.clip((missing - FEW) / (_MANY - FEW), 0.0, 1.0)
    weight = open_to * np.maximum(believed * within, closed)
    reach = open_to * np.maximum(alpha, closed)
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


def widened(
    drawn: DrawnScene, missing: float, *, spread: bool
) -> tuple[Gaussians, Gaussians | None]:
    """The leaves stretched to their neighbours, and spread by the network if that is asked for.

    Kept as long as `drawn` lives: a scene is looked at from many places before more of it comes.
    """
    kept = _WIDENED.setdefault(drawn, {})
    if spread not in kept:
        leaves = drawn.gaussians
        near_by = candidates(leaves.means) if len(leaves) else None
        further = shipped()(leaves, missing, near_by) if spread else None
        kept[spread] = stretched(leaves, near_by), further
    return kept[spread]

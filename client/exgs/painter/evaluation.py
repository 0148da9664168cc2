"""Measures painters: picture quality per byte budget, over whole pictures and inside the mask.

Painted pictures are compared with pictures of the whole scene. The mask consists of the pixels
where the gate is more than half open. For files with proxies, the best unsharp mask is measured as
well, if ST-LPIPS is there to choose it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from exgs.codec.decoding.build import is_complete
from exgs.codec.decoding.decode import decode, read_facts
from exgs.codec.errors import TruncatedError
from exgs.codec.measuring.pictures import clipped_pictures
from exgs.painter.confidence import Confidence, look_at_scene
from exgs.painter.flicker import flicker
from exgs.painter.inputs import gate
from exgs.painter.interface import Painter
from exgs.painter.unsharp import best_unsharp
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import Mask, can_flip, flip, psnr, ssim
from exgs.scene.rasterizer import Rasterizer, Render

Meter = Callable[[FloatArray], float]  # the distance of a picture from a fixed target

_MASKED = 0.5
_PSNR_LIMIT_DB = 60.0  # PSNR of equal pictures, so that means are finite


@dataclass(frozen=True, slots=True)
class PaintedQuality:
    """Means over the views.

    NaN: FLIP if flip-evaluator is not installed, ST-LPIPS if stlpips-pytorch or torch is not,
    figures of the mask if no view has a mask, flicker if no walk was given.
    """

    budget_bytes: int
    painter: str
    psnr_db: float
    ssim: float
    flip: float
    masked_psnr_db: float
    masked_share: float  # share of the pixels in the mask
    flicker: float  # mean change between pictures after warping by depth, [0, 1]
    stlpips: float  # perceptual distance with AlexNet features


COLUMNS = tuple(field.name for field in fields(PaintedQuality))


def evaluate(
    path: Path,
    reference: Gaussians,
    rasterizer: Rasterizer,
    cameras: Sequence[Camera],
    budgets: Sequence[int],
    painters: Mapping[str, Painter | None],
    walk: Sequence[Camera] = (),
    begin: Callable[[int], None] = lambda _: None,
) -> list[PaintedQuality]:
    """Measure each painter at each budget of the file at `path`. Skips budgets that are too small.

    `walk` are consecutive cameras for the flicker. `begin` is called with the number of each budget
    before it is measured. Raises FormatError, OSError.
    """
    facts = read_facts(path)
    targets = clipped_pictures(reference, cameras, rasterizer)
    steps = [rasterizer.render(reference, camera) for camera in walk]
    meters = stlpips_meters(targets)
    spread = any(painter is not None and painter.spreads for painter in painters.values())
    rows = []
    for number, budget in enumerate(budgets):
        begin(number)
        try:
            drawn = decode(path, max_bytes=budget)
        except TruncatedError:
            continue
        look = partial(look_at_scene, rasterizer, drawn, facts, spread=spread)
        views = [look(camera) for camera in cameras]
        path_views = [look(camera) for camera in walk]
        whole = is_complete(drawn, facts)
        measured = {name: None if whole else painter for name, painter in painters.items()}
        if meters is not None and facts.has_proxies and not whole:
            raw = [_shown(None, *view) for view in views]
            mask = best_unsharp(raw, targets, meters)
            measured[f"unsharp {mask.radius:g} px {mask.amount:.0%}"] = mask
        for name, painter in measured.items():
            shown = [_shown(painter, *view) for view in views]
            figures = [
                _figures(picture, target, gate(confidence) > _MASKED)
                for picture, target, (_, confidence) in zip(shown, targets, views, strict=True)
            ]
            moving = [_shown(painter, *view) for view in path_views]
            change = flicker(moving, [step.depth for step in steps], walk) if walk else np.nan
            psnr_db, ssim_, flip_, masked, share = _means(figures)
            far = [meter(image) for meter, image in zip(meters or (), shown, strict=bool(meters))]
            looks = float(np.mean(far)) if far else float("nan")
            rows.append(
                PaintedQuality(
                    budget, name, psnr_db, ssim_, flip_, masked, share, float(change), looks
                )
            )
    return rows


def stlpips_meters(targets: Sequence[FloatArray]) -> list[Meter] | None:
    """Functions that return the ST-LPIPS of a picture for each target; None if it can't be had."""
    if importlib.util.find_spec("torch") is None:
        return None
    from exgs.painter.stlpips import StLpips, StLpipsMeter, stlpips_weights

    if stlpips_weights() is None:
        return None
    metric = StLpips()
    return [StLpipsMeter(metric, target) for target in targets]


def _shown(painter: Painter | None, render: Render, confidence: Confidence) -> FloatArray:
    picture = render.rgb if painter is None else painter.paint(render, confidence)
    return np.clip(picture, 0, 1)


def _figures(picture: FloatArray, target: FloatArray, mask: Mask) -> tuple[float, ...]:
    inside = min(psnr(picture, target, mask), _PSNR_LIMIT_DB) if mask.any() else np.nan
    return (
        min(psnr(picture, target), _PSNR_LIMIT_DB),
        ssim(picture, target),
        flip(picture, target) if can_flip() else np.nan,
        inside,
        float(mask.mean()),
    )


def _means(figures: Sequence[tuple[float, ...]]) -> list[float]:
    columns = np.array(figures, np.float64)
    return [
        float(column[np.isfinite(column)].mean()) if np.isfinite(column).any() else float("nan")
        for column in columns.T
    ]

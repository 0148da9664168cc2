"""Pictures of a scene that is still arriving: render, then fill the gaps."""

from __future__ import annotations

import numpy as np

from exgs.codec.decoding.build import DrawnScene, is_complete
from exgs.codec.format.facts import SceneFacts
from exgs.painter.confidence import Confidence, look_at_scene
from exgs.painter.interface import Painter
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Rasterizer

Color = tuple[float, float, float]


def draw_picture(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    facts: SceneFacts,
    camera: Camera,
    *,
    painter: Painter | None = None,
    background: Color = (0.0, 0.0, 0.0),
) -> FloatArray:
    """The picture [H, W, 3] of the arrived part of a scene. A complete scene is not painted."""
    if painter is None or is_complete(drawn, facts):
        return rasterizer.render(drawn.gaussians, camera, background=background).rgb
    render, confidence = look_at_scene(rasterizer, drawn, facts, camera, spread=painter.spreads)
    return over_background(painter.paint(render, confidence), confidence, background)


def over_background(image: FloatArray, confidence: Confidence, background: Color) -> FloatArray:
    """A painted picture [H, W, 3], with the background where no leaves are missing."""
    behind = confidence.nothing
    if confidence.gaps is not None:
        behind = behind - confidence.gaps.weight
    shown: FloatArray = image + behind[..., None] * np.array(background, np.float32)
    return shown

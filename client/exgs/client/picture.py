"""From a scene that is arriving to 8-bit pixels: render, mask the gaps, round, pack as PNG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from exgs.client.painter import Painter
from exgs.client.painter.confidence import Confidence, look_at_scene
from exgs.codec.build import DrawnScene
from exgs.codec.index import SceneFacts
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterize import Rasterizer

Pixels = npt.NDArray[np.uint8]
Color = tuple[float, float, float]


def is_complete(drawn: DrawnScene, facts: SceneFacts) -> bool:
    """Whether every Gaussian of the file is drawn with all its detail."""
    leaf_count = int(np.count_nonzero(~drawn.is_proxy))
    return leaf_count == facts.leaf_count and not drawn.sh_pending.any()


def draw_picture(
    rasterizer: Rasterizer,
    drawn: DrawnScene,
    facts: SceneFacts,
    camera: Camera,
    *,
    painter: Painter | None = None,
    background: Color = (0.0, 0.0, 0.0),
) -> FloatArray:
    """The picture [H, W, 3] of what has arrived; a complete scene is never painted over."""
    if painter is None or is_complete(drawn, facts):
        return rasterizer.render(drawn.gaussians, camera, background=background).rgb
    render, confidence = look_at_scene(rasterizer, drawn, facts, camera, spread=painter.spreads)
    return over_background(painter.paint(render, confidence), confidence, background)


def over_background(image: FloatArray, confidence: Confidence, background: Color) -> FloatArray:
    """A painted picture [H, W, 3] with the background where nothing is missing."""
    behind = confidence.nothing
    if confidence.gaps is not None:
        behind = behind - confidence.gaps.weight
    shown: FloatArray = image + behind[..., None] * np.array(background, np.float32)
    return shown


def to_pixels(image: FloatArray) -> Pixels:
    """8-bit values, of the same shape, of a picture in which 1.0 is white, clamped."""
    return np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)


def encode_png(pixels: Pixels) -> bytes:
    """The PNG of pixels, packed quickly: frames wait to be drawn meanwhile."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "png", compress_level=1)
    return data.getvalue()


def read_png(path: Path) -> Pixels:
    """Pixels [H, W, 3] of a picture in a PNG file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))

"""8-bit pictures: rounding, PNG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from exgs.scene.gaussians import FloatArray

Pixels = npt.NDArray[np.uint8]


def to_pixels(image: FloatArray) -> Pixels:
    """Convert a picture in which 1.0 is white to 8-bit values of the same shape, clamped."""
    return np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)


def encode_png(pixels: Pixels) -> bytes:
    """Encode pixels as PNG with fast compression, since drawing waits for it."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "png", compress_level=1)
    return data.getvalue()


def read_png(path: Path) -> Pixels:
    """Read the pixels [H, W, 3] of a PNG file."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))

"""Photographs as pictures of a pinhole camera: scaled, and without lens distortion.

Distortion is OpenCV's (k1, k2, p1, p2), as a transforms.json of instant-ngp gives it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray


def photograph(folder: Path, camera: Camera) -> FloatArray:
    """The picture [H, W, 3] of `camera` in `folder`, at the size of the camera."""
    lens = json.loads((folder / "transforms.json").read_text())
    k1, k2, p1, p2 = (float(lens[name]) for name in ("k1", "k2", "p1", "p2"))
    size = (camera.width, camera.height)
    with Image.open(folder / camera.name) as image:
        small = image.convert("RGB").resize(size, Image.Resampling.BOX)
    source = np.asarray(small, np.float32) / np.float32(255)
    K = camera.K
    x, y = np.meshgrid(
        (np.arange(camera.width) + 0.5 - K[0, 2]) / K[0, 0],
        (np.arange(camera.height) + 0.5 - K[1, 2]) / K[1, 1],
    )
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    seen_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    seen_y = y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)
    place = [seen_y * K[1, 1] + K[1, 2] - 0.5, seen_x * K[0, 0] + K[0, 2] - 0.5]
    channels = [map_coordinates(source[:, :, c], place, order=1, mode="nearest") for c in range(3)]
    return np.stack(channels, axis=-1)

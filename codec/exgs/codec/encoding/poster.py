"""The poster: a small WebP of the home view, to be shown before anything can be decoded."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.format.facts import HomeView, Vector
from exgs.scene.gaussians import Gaussians
from exgs.scene.pictures import to_pixels
from exgs.scene.rasterizer import Rasterizer

_WIDTH, _HEIGHT = 320, 180
_OVERSAMPLING = 2  # drawn larger, then shrunk: small pictures show what the screen filter adds
_MOST_BYTES = 3 << 10  # of the format's 8 KiB: the poster delays the first chunk
_QUALITIES = (60, 50, 40, 30, 20, 10, 5, 1)


def draw_poster(scene: Gaussians, home: HomeView, up: Vector, rasterizer: Rasterizer) -> bytes:
    """The WebP of `scene` from its home view, 320 x 180 pixels on black, about 3 KiB."""
    camera = home_camera(home, up, _OVERSAMPLING * _WIDTH, _OVERSAMPLING * _HEIGHT)
    image = np.clip(rasterizer.render(scene, camera).rgb, 0, 1)
    blocks = image.reshape(_HEIGHT, _OVERSAMPLING, _WIDTH, _OVERSAMPLING, 3)
    picture = Image.fromarray(to_pixels(blocks.mean(axis=(1, 3)).astype(np.float32)))
    packed = b""
    for quality in _QUALITIES:
        data = io.BytesIO()
        picture.save(data, "webp", quality=quality, method=6)
        packed = data.getvalue()
        if len(packed) <= _MOST_BYTES:
            break
    return packed

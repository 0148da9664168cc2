"""The poster: a small WebP of the home view, which can be shown before any chunk is decoded."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.format.facts import HomeView, SceneFacts, Vector
from exgs.codec.format.frame import content_hash
from exgs.scene.gaussians import Gaussians
from exgs.scene.pictures import to_pixels
from exgs.scene.rasterizer import Rasterizer

_WIDTH, _HEIGHT = 320, 180
_OVERSAMPLING = 2  # per axis: the screen filter would blur a small picture
POSTER_BYTES = 3 << 10  # less than the 8 KiB of the format: a poster delays the first chunk
_QUALITIES = (60, 50, 40, 30, 20, 10, 5, 1)


def with_poster(facts: SceneFacts, poster: bytes) -> SceneFacts:
    """`facts` with the hash of `poster`, if there is one."""
    return replace(facts, poster_hash=content_hash(poster)) if poster else facts


def draw_poster(
    scene: Gaussians, home: HomeView, up: Vector, rasterizer: Rasterizer
) -> Image.Image:
    """The picture of `scene` from its home view: 320 x 180 pixels, black background."""
    camera = home_camera(home, up, _OVERSAMPLING * _WIDTH, _OVERSAMPLING * _HEIGHT)
    image = np.clip(rasterizer.render(scene, camera).rgb, 0, 1)
    blocks = image.reshape(_HEIGHT, _OVERSAMPLING, _WIDTH, _OVERSAMPLING, 3)
    return Image.fromarray(to_pixels(blocks.mean(axis=(1, 3)).astype(np.float32)))


def pack_poster(picture: Image.Image, most_bytes: int) -> bytes:
    """A WebP of the best quality that fits into `most_bytes`; empty if none does."""
    for quality in _QUALITIES:
        data = io.BytesIO()
        picture.save(data, "webp", quality=quality, method=6)
        if data.tell() <= most_bytes:
            return data.getvalue()
    return b""

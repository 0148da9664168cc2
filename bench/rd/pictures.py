"""Pictures of the sample scene at small numbers of bytes, in exgs and in other formats.

`python -m bench.rd.pictures` draws a held-out view, and needs node. The picture is written to
docs/progressive.jpg.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.common.encoded import CACHE
from bench.common.scenes import load_scene
from bench.rd.peers import PEERS
from exgs.present.contact import sheet_of
from exgs.scene.backends import default_rasterizer
from exgs.scene.metrics import psnr
from exgs.scene.pictures import to_pixels

_PICTURE = Path(__file__).parents[2] / "docs" / "progressive.jpg"
_VIEW = 1  # of the held-out views
_SIZE = (400, 225)
_BUDGETS = (20_000, 60_000, 200_000, 800_000)
_ROWS = {
    "exgs": "exgs",
    "SPZ decimated adaptively": "SPZ of a decimated scene",
    "exgs without proxies": "exgs without proxies",
    ".splat prefix": ".splat",
}


def main() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    scene = load_scene("sample", CACHE)
    rasterizer = default_rasterizer()
    camera = scene.held_out[_VIEW].resized(*_SIZE)
    whole = np.clip(rasterizer.render(scene.gaussians, camera).rgb, 0, 1)
    frames, captions = [], []
    for peer, word in _ROWS.items():
        points = [p for p in PEERS[peer](scene, _BUDGETS, CACHE) if p.note != "whole file"]
        points.sort(key=lambda point: point.bytes)
        for budget, point in zip(_BUDGETS, points, strict=True):
            picture = np.clip(rasterizer.render(point.load(), camera).rgb, 0, 1)
            frames.append(Image.fromarray(to_pixels(picture)))
            captions.append(f"{word}, {budget // 1000} kB, {psnr(picture, whole):.1f} dB")
    _PICTURE.parent.mkdir(parents=True, exist_ok=True)
    sheet_of(frames, captions, len(_BUDGETS)).save(_PICTURE, quality=88)


if __name__ == "__main__":
    main()

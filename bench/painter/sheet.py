"""The contact sheet of the painter: docs/painter.webp."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.painter.held_out import KINDS, SCENES, held_out_file, load
from exgs.codec.decoding.decode import decode, open_scene
from exgs.painter.interface import Painter
from exgs.present.contact import sheet_of
from exgs.present.picture import draw_picture
from exgs.scene.backends import default_rasterizer
from exgs.scene.metrics import psnr
from exgs.scene.pictures import to_pixels

_BUDGETS = (32_000, 64_000, 128_000, 256_000)
_WORDS = {"none": "raw", "fill": "filled", "gauss": "painted"}
_PICTURE_SIZE = (288, 162)  # pixels
_QUALITY = 75  # of WebP: about 250 kB


def write_sheet(path: Path, painters: dict[str, Painter | None]) -> None:
    """Write a sheet of pictures, one row per scene and budget.

    Columns: raw, filled and painted without proxies; raw with proxies; the whole scene.
    """
    rasterizer = default_rasterizer()
    frames: list[Image.Image] = []
    captions: list[str] = []
    for name in SCENES:
        held_out = load(name)
        camera = held_out.views[1].resized(*_PICTURE_SIZE)
        whole = np.clip(rasterizer.render(held_out.gaussians, camera).rgb, 0, 1)
        files = {kind: held_out_file(name, kind, held_out) for kind in KINDS}
        for budget in _BUDGETS:
            shown = [("plain", word, painters[painter]) for painter, word in _WORDS.items()]
            for kind, word, painter in (*shown, ("proxies", "with proxies", None)):
                drawn = decode(files[kind], max_bytes=budget)
                facts = open_scene(files[kind]).facts
                picture = draw_picture(rasterizer, drawn, facts, camera, painter=painter)
                frames.append(Image.fromarray(to_pixels(picture)))
                captions.append(f"{word}, {psnr(np.clip(picture, 0, 1), whole):.1f} dB")
            captions[-len(shown) - 1] = f"{name}, {budget // 1000} kB: " + captions[-len(shown) - 1]
            frames.append(Image.fromarray(to_pixels(whole)))
            captions.append("whole")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet_of(frames, captions, len(_WORDS) + 2).save(path, quality=_QUALITY, method=6)

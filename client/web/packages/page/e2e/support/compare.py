"""PSNR of a picture of the browser against the CPU rasterizer: python compare.py < JSON > JSON.

The input is a list of {"file", "bytes", "view", "picture"}: the first `bytes` of an .exgs file are
decoded and drawn in `view`, with "sharpen": true sharpened as well, and held against the PNG
`picture`. The output is a list of dB.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exgs.codec.decoding.decode import decode, read_facts
from exgs.painter.confidence import look_at_scene
from exgs.painter.sharpen import SharpenPainter
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera


def main() -> None:
    """Compare all pairs."""
    json.dump([round(psnr(pair), 2) for pair in json.load(sys.stdin)], sys.stdout)


def psnr(pair: dict[str, Any]) -> float:
    """PSNR of one picture, dB."""
    view = pair["view"]
    camera = Camera(
        np.array(view["viewmat"]).reshape(4, 4),
        np.array(view["K"]).reshape(3, 3),
        view["width"],
        view["height"],
    )
    drawn = decode(pair["file"], max_bytes=pair["bytes"])
    facts = read_facts(pair["file"])
    render, confidence = look_at_scene(default_rasterizer(), drawn, facts, camera)
    painted = SharpenPainter().paint(render, confidence) if pair.get("sharpen") else render.rgb
    wanted = np.clip(painted, 0, 1)
    picture = np.asarray(Image.open(Path(pair["picture"])).convert("RGB")).astype(np.float64) / 255
    return float(-10 * np.log10(max(np.mean((picture - wanted) ** 2), 1e-12)))


if __name__ == "__main__":
    main()

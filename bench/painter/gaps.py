"""Measures how well gaps are separated from empty background: `python -m bench.painter.gaps`.

    python -m bench.painter.gaps [--held-out]

Prints the PSNR of raw pictures of files without proxies, the gain of filling, and the gain of an
oracle that knows the alpha of the whole scene. The constants of exgs.painter.gaps are tuned on
these sources, which are validation sources of the recipe and similar ones. `--held-out` prints the
figures of the held-out scenes, which are not used for tuning.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from bench.common.data import data_dir
from bench.common.encoded import encoded
from bench.painter.held_out import BUDGETS, SCENES, held_out_file, load
from exgs.codec.decoding.decode import decode, open_scene
from exgs.codec.encoding.encode import EncodeOptions
from exgs.painter.confidence import look_at_scene
from exgs.painter.fill import FillPainter
from exgs.painter.training.scenes import load_source
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import psnr

SOURCES = (
    "cutout:22",
    "cutout:25",
    "playbot.ply:20",
    "playbot.ply:21",
    "photo-cutout:193",
    "photo-cutout:198",
    "room:23",
    "room:24",
    "photo:195",
)
_SHARES = (0.06, 0.12, 0.25, 0.5, 0.85)  # of a file's bytes
_VIEWS = 3
_ENCODE_VIEWS = 16
_HEIGHT = 216


def measure(
    name: str, path: Path, scene: Gaussians, cameras: tuple[Camera, ...], budgets: list[int]
) -> None:
    """Print the PSNR of raw pictures and the gains of fill and oracle in dB, for each budget."""
    rasterizer, painter = default_rasterizer(), FillPainter()
    facts = open_scene(path).facts
    whole = [rasterizer.render(scene, camera) for camera in cameras]
    for budget in budgets:
        drawn = decode(path, max_bytes=budget)
        if not len(drawn.gaussians):
            continue
        figures = []
        for camera, full in zip(cameras, whole, strict=True):
            render, confidence = look_at_scene(rasterizer, drawn, facts, camera)
            if confidence.gaps is None:  # few or no leaves are missing
                continue
            missing = np.clip(full.alpha - render.alpha, 0, 1)[..., None]
            pictures = (
                render.rgb,
                painter.paint(render, confidence),
                render.rgb + missing * confidence.gaps.colors,
            )
            target = np.clip(full.rgb, 0, 1)
            figures.append([psnr(np.clip(picture, 0, 1), target) for picture in pictures])
        if not figures:
            continue
        raw, fill, oracle = np.mean(figures, axis=0)
        print(
            f"| {name} | {budget:,} | {raw:.2f} | {fill - raw:+.2f} | {oracle - raw:+.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    print("| scene | first bytes | raw dB | fill | oracle |\n|---|---:|---:|---:|---:|")
    if options.held_out:
        for name in SCENES:
            held_out = load(name)
            path = held_out_file(name, "plain", held_out)
            budgets = [budget for budget in BUDGETS if budget < path.stat().st_size]
            measure(name, path, held_out.gaussians, held_out.views, budgets)
        return
    for source in SOURCES:
        scene = load_source(source, data_dir(), _VIEWS + _ENCODE_VIEWS, (320, 180))
        cameras = CameraSet(scene.cameras[_VIEWS:])
        choice = EncodeOptions(views=_ENCODE_VIEWS, cameras=cameras, proxies=False)
        path = encoded(source.replace(":", "-"), scene.gaussians, choice)
        views = [camera.resized(_HEIGHT * 16 // 9, _HEIGHT) for camera in scene.cameras[:_VIEWS]]
        budgets = [int(share * path.stat().st_size) for share in _SHARES]
        measure(source, path, scene.gaussians, tuple(views), budgets)


if __name__ == "__main__":
    main()

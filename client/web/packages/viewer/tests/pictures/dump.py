"""Test scenes for the renderer: splats, cameras and the CPU rasterizer's pictures, as raw files.

    python dump.py OUT NAME=SCENE[:COUNT] ...

SCENE is any file that exgs reads, or `sample` for the scene of `exgs demo`. COUNT takes that many
of its splats. Each scene gives OUT/NAME.bin (u32 count, u32 K, then f32 means, quats, scales,
opacities, sh0, shN) and OUT/NAME.json (cameras), and for each view OUT/NAME.V.f32 (the reference)
and a .png to look at.
NAME ending in `-aa` is drawn as an antialiased scene.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from exgs.sample import sample_scene
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import synthesise_views

WIDTH, HEIGHT, VIEWS = 640, 360, 2
BLUR = 0.3  # squared pixels


def main(out: Path, scenes: list[str]) -> None:
    """Dump every scene."""
    out.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        name, _, source = scene.partition("=")
        path, _, count = source.partition(":")
        gaussians = sample_scene() if path == "sample" else read_scene(Path(path)).gaussians
        if count and int(count) < len(gaussians):
            chosen = np.random.default_rng(0).choice(len(gaussians), int(count), replace=False)
            gaussians = gaussians.select(np.sort(chosen))
        _dump(out, name, gaussians)


def _dump(out: Path, name: str, scene: Gaussians) -> None:
    antialiased = name.endswith("-aa")
    cameras = synthesise_views(scene, VIEWS, width=WIDTH, height=HEIGHT)
    with (out / f"{name}.bin").open("wb") as file:
        file.write(np.array([len(scene), scene.shN.shape[1]], np.uint32).tobytes())
        for field in ("means", "quats", "scales", "opacities", "sh0", "shN"):
            file.write(getattr(scene, field).tobytes())
    for view, camera in enumerate(cameras):
        drawn = _compensated(scene, camera) if antialiased else scene
        rgb = default_rasterizer().render(drawn, camera).rgb
        (out / f"{name}.{view}.f32").write_bytes(rgb.astype(np.float32).tobytes())
        Image.fromarray((rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(
            out / f"{name}.{view}.png"
        )
    facts = {
        "name": name,
        "antialiased": antialiased,
        "views": [
            {
                "viewmat": camera.viewmat.ravel().tolist(),
                "K": camera.K.ravel().tolist(),
                "width": camera.width,
                "height": camera.height,
            }
            for camera in cameras
        ],
    }
    (out / f"{name}.json").write_text(json.dumps(facts))
    print(f"{name}: {len(scene)} splats, K = {scene.shN.shape[1]}", flush=True)


def _compensated(scene: Gaussians, camera: Camera) -> Gaussians:
    """The scene with the opacities that screen-space compensation gives it in this view."""
    R, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    focal = np.array([camera.K[0, 0], camera.K[1, 1]])
    center = np.array([camera.K[0, 2], camera.K[1, 2]])
    size = np.array([camera.width, camera.height])
    p = scene.means.astype(np.float64) @ R.T + t
    z = np.where(p[:, 2] > 1e-6, p[:, 2], 1e-6)
    margin = 0.15 * size / focal
    toward = np.clip(
        p[:, :2] / z[:, None], -center / focal - margin, (size - center) / focal + margin
    )
    w, x, y, zq = scene.quats.astype(np.float64).T
    axes = np.array(
        [
            [1 - 2 * (y * y + zq * zq), 2 * (x * y - w * zq), 2 * (x * zq + w * y)],
            [2 * (x * y + w * zq), 1 - 2 * (x * x + zq * zq), 2 * (y * zq - w * x)],
            [2 * (x * zq - w * y), 2 * (y * zq + w * x), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    axes = np.einsum("ij,njk->nik", R, axes) * scene.scales[:, None, :].astype(np.float64)
    on_screen = (focal / z[:, None])[:, :, None] * (axes[:, :2] - toward[:, :, None] * axes[:, 2:3])
    covariance = on_screen @ on_screen.transpose(0, 2, 1)
    bare = np.maximum(np.linalg.det(covariance), 0)
    factor = np.sqrt(bare / np.linalg.det(covariance + BLUR * np.eye(2)))
    return replace(scene, opacities=(scene.opacities * factor).astype(np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

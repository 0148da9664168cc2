"""Reads every scene and camera file of a folder, and prints the results.

    python -m bench.formats.cases FOLDER

A row per scene: the Gaussians, or the reason of refusal; warnings, those of writing an .spz
included; the share of covered pixels of the home view; the PSNR of the encoded scene in held-out
views. A row per camera file: the cameras, their faults for the scene in the same folder, and the
PSNR of that scene encoded with them, in these cameras where they fit, else in held-out views.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exgs.cli.view import one_view
from exgs.codec.decoding.decode import as_scene, decode, read_facts
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.errors import ExgsError
from exgs.codec.measuring.camera_check import camera_faults
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet, read_cameras
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.formats import READABLE, read_scene, write_scene
from exgs.scene.metrics import psnr
from exgs.scene.scene import Scene
from exgs.scene.views.made_up import synthesise_views

_SIZE = (320, 180)
_VIEWS, _SEED = 8, 77


def scene_row(path: Path) -> list[str]:
    """The results of reading, drawing and encoding a scene file."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            scene = read_scene(path)
        except (ExgsError, OSError) as error:
            return [f"refused: {error}", "", "", ""]
        drawer = CpuRasterizer(antialiased=scene.antialiased)
        camera = one_view(None, scene, None, _SIZE)
        covered = float((drawer.render(scene.gaussians, camera).alpha > 0.5).mean())
        quality = encoded_quality(scene)
        with tempfile.TemporaryDirectory() as folder:
            write_scene(Path(folder) / "written.spz", scene)
    notes = "; ".join(dict.fromkeys(_without_path(str(w.message)) for w in said))
    degree = scene.gaussians.sh_degree
    what = f"{len(scene):,} Gaussians, SH degree {degree}"
    return [what, notes, f"{covered:.0%}", quality]


def _without_path(message: str) -> str:
    return re.sub(r"^\S*/(?=[^/\s]+\.\w+: )", "", message)


def encoded_quality(
    scene: Scene, cameras: CameraSet | None = None, views: Sequence[Camera] = ()
) -> str:
    """PSNR of the encoded scene, or the refusal.

    In `views`, or else in views of another seed than the encoder's.
    """
    drawer = CpuRasterizer(antialiased=scene.antialiased)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.exgs"
        try:
            encode(scene, file, EncodeOptions(quality="low", cameras=cameras))
        except ExgsError as error:
            return f"refused: {error}"
        after = as_scene(decode(file), read_facts(file))
    shift = np.subtract(after.origin, scene.origin)
    errors = []
    width, height = _SIZE
    for camera in views or synthesise_views(
        scene.gaussians, _VIEWS, width=width, height=height, seed=_SEED
    ):
        wanted = np.clip(drawer.render(scene.gaussians, camera).rgb, 0, 1)
        got = np.clip(drawer.render(after.gaussians, camera.relative_to(shift)).rgb, 0, 1)
        errors.append(10 ** (-psnr(got, wanted) / 10))
    return f"{-10 * np.log10(np.mean(errors)):.1f}"


def camera_row(path: Path) -> list[str]:
    """The cameras of a file, and their faults."""
    try:
        cameras = read_cameras(path)
    except (ExgsError, OSError) as error:
        return [f"refused: {error}", "", "", ""]
    found = [other for other in path.parent.iterdir() if other.suffix == ".ply"]
    faults, quality = [], ""
    if found:
        scene = read_scene(found[0])
        placed = cameras.relative_to(scene.origin).cameras
        faults = camera_faults(scene.gaussians, placed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are the faults
            quality = encoded_quality(scene, cameras, () if faults else placed)
    return [f"{len(cameras.cameras)} cameras", "; ".join(faults), "", quality]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print("| file | read as | warned of | covered | PSNR of the .exgs, dB |")
    print("|---|---|---|---:|---:|")
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".json":
            row = camera_row(path)
        elif path.suffix in READABLE:
            row = scene_row(path)
        else:
            continue
        print(f"| {path.relative_to(folder)} | {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()

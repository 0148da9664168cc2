"""Reads every scene and camera file of a folder, and prints the results.

    python -m bench.formats.cases FOLDER

A row per scene: the Gaussians, or the reason of refusal; warnings; the share of covered pixels of
the home view; the PSNR of the encoded scene in held-out views. A row per camera file: the cameras,
and their faults for the scene in the same folder.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import numpy as np

from exgs.cli.view import one_view
from exgs.codec.decoding.decode import as_scene, decode, read_facts
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.errors import ExgsError
from exgs.codec.measuring.camera_check import camera_faults
from exgs.scene.cameras import read_cameras
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.formats import READABLE, read_scene
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
        try:
            quality = f"{encoded_db(scene, drawer):.1f}"
        except ExgsError as error:
            quality = f"refused: {error}"
    notes = "; ".join(dict.fromkeys(str(w.message).replace(f"{path}: ", "") for w in said))
    degree = scene.gaussians.sh_degree
    what = f"{len(scene):,} Gaussians, SH degree {degree}"
    return [what, notes, f"{covered:.0%}", quality]


def encoded_db(scene: Scene, drawer: CpuRasterizer) -> float:
    """PSNR of the encoded scene, dB, from views of another seed than the encoder's."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.exgs"
        encode(scene, file, EncodeOptions(quality="low"))
        after = as_scene(decode(file), read_facts(file))
    shift = np.subtract(after.origin, scene.origin)
    errors = []
    for camera in synthesise_views(
        scene.gaussians, _VIEWS, width=_SIZE[0], height=_SIZE[1], seed=_SEED
    ):
        wanted = np.clip(drawer.render(scene.gaussians, camera).rgb, 0, 1)
        got = np.clip(drawer.render(after.gaussians, camera.relative_to(shift)).rgb, 0, 1)
        errors.append(10 ** (-psnr(got, wanted) / 10))
    return float(-10 * np.log10(np.mean(errors)))


def camera_row(path: Path) -> list[str]:
    """The cameras of a file, and their faults."""
    try:
        cameras = read_cameras(path)
    except (ExgsError, OSError) as error:
        return [f"refused: {error}", "", "", ""]
    found = [other for other in path.parent.iterdir() if other.suffix == ".ply"]
    faults = []
    if found:
        scene = read_scene(found[0])
        faults = camera_faults(scene.gaussians, cameras.relative_to(scene.origin).cameras)
    return [f"{len(cameras.cameras)} cameras", "; ".join(faults), "", ""]


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

"""A contact sheet of home views.

    python -m bench.encoder.home_views SHEET.png SCENE... [--cameras SCENE=CAMERAS ...]
        [--size 320x180]

A scene is a file or folder that `exgs encode` reads. Each line has the processor seconds of the
choice, and the up direction.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from PIL import Image

from exgs.cli.arguments import picture_size
from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.measuring.home_view import find_home
from exgs.present.contact import sheet_of
from exgs.scene.cameras import read_cameras
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.formats import read_scene
from exgs.scene.pictures import to_pixels

_COLUMNS = 3


def look(path: str, cameras: str | None, size: tuple[int, int]) -> tuple[Image.Image, str]:
    """The picture from the home view of a scene, and a caption."""
    scene = read_scene(path)
    given = read_cameras(cameras).relative_to(scene.origin).cameras if cameras else ()
    start_s = time.process_time()
    home = find_home(scene.gaussians, given, antialiased=scene.antialiased)
    spent_s = time.process_time() - start_s
    camera = home_camera(home.view, home.up, *size)
    image = CpuRasterizer(antialiased=scene.antialiased).render(scene.gaussians, camera).rgb
    where = Path(path)
    name = where.parent.name if where.suffix == ".json" else where.stem
    up = " ".join(f"{value:.1f}" for value in home.up)
    caption = f"{name}{' with cameras' if cameras else ''}, up {up}, {spent_s:.1f} s"
    return Image.fromarray(to_pixels(image)), caption


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sheet", type=Path)
    parser.add_argument("scenes", nargs="+", metavar="SCENE")
    parser.add_argument("--cameras", nargs="*", default=[], metavar="SCENE=CAMERAS")
    parser.add_argument("--size", type=picture_size, default=(320, 180))
    arguments = parser.parse_args()
    wanted = [(scene, None) for scene in arguments.scenes]
    wanted += [tuple(pair.split("=", 1)) for pair in arguments.cameras]
    pictures, captions = [], []
    for scene, cameras in wanted:
        picture, caption = look(scene, cameras, arguments.size)
        print(caption, flush=True)
        pictures.append(picture)
        captions.append(caption)
    sheet_of(pictures, captions, _COLUMNS).save(arguments.sheet)


if __name__ == "__main__":
    main()

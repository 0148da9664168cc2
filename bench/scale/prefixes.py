"""PSNR of prefixes of several files of one scene, mean and worst view, as a Markdown table.

    python -m bench.scale.prefixes SCENE FILE.exgs [FILE.exgs ...] [--kilobytes 20 200 2000]
        [--views whole|street] [--count 8] [--cameras cameras.json]

Views of the whole scene come from no generator seed that an encoder uses; those of the street are
near and low. With --cameras, the held-out cameras of that file are the views. PSNR is that of the
mean squared error over all views; the worst view is in brackets. If SCENE is a streamed SOG, its
levels are a column, and their sizes are the default sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.scale.street import street_views
from exgs.codec.decoding.decode import decode
from exgs.codec.measuring.pictures import clipped_pictures, scaled
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.cameras import read_cameras
from exgs.scene.formats import read_scene
from exgs.scene.formats.sog_lod import META_NAME, read_sog_level, sog_level_folders, sog_levels
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import synthesise_views

_SEED = 1_000_003  # of views; encoders use small ones
_WIDTH, _HEIGHT = 480, 270
VIEWS = {"whole": synthesise_views, "street": street_views}


def views_of(scene: Gaussians, kind: str, count: int) -> list[Camera]:
    """Views of one of the kinds of VIEWS that no encoder uses."""
    return VIEWS[kind](scene, count, width=_WIDTH, height=_HEIGHT, seed=_SEED)


class Comparison:
    """Errors of scenes against a reference in several views."""

    def __init__(self, scene: Gaussians, cameras: Sequence[Camera], *, antialiased: bool) -> None:
        self._rasterizer = default_rasterizer(antialiased=antialiased)
        self._cameras = cameras
        self._references = clipped_pictures(scene, cameras, self._rasterizer)

    def errors(self, drawn: Gaussians) -> list[float]:
        """The mean squared error of each view."""
        pictures = clipped_pictures(drawn, self._cameras, self._rasterizer)
        pairs = zip(pictures, self._references, strict=True)
        return [float(np.mean((picture - reference) ** 2)) for picture, reference in pairs]

    def cell(self, drawn: Gaussians) -> str:
        """The PSNR over all views, and that of the worst."""
        errors = self.errors(drawn)
        with np.errstate(divide="ignore"):  # infinite where the pictures are equal
            mean, worst = (-10 * np.log10(e) for e in (np.mean(errors), max(errors)))
        return f"{mean:.1f} ({worst:.1f})"


def level_sizes(path: Path) -> dict[int, int]:
    """The bytes of each level of a streamed SOG of which all folders are there."""
    sizes: dict[int, int] = {}
    for level in range(sog_levels(path)):
        folders = sog_level_folders(path, level)
        if not all(folder.exists() for folder in folders):
            continue
        size = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
        if size not in sizes.values():  # a missing level is replaced by the next
            sizes[level] = size
    return sizes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.exgs")
    parser.add_argument("--kilobytes", type=float, nargs="+", metavar="KB", default=[])
    parser.add_argument("--views", choices=VIEWS, default="whole")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--cameras", type=Path)
    arguments = parser.parse_args()
    scene = read_scene(arguments.scene)
    meta = arguments.scene / META_NAME
    sizes = level_sizes(meta) if meta.exists() else {}
    if arguments.cameras:
        cameras = [scaled(camera, _WIDTH) for camera in read_cameras(arguments.cameras).held_out]
    else:
        cameras = views_of(scene.gaussians, arguments.views, arguments.count)
    comparison = Comparison(scene.gaussians, cameras, antialiased=scene.antialiased)
    at = {size: level for level, size in sizes.items()}
    budgets = sorted({*at, *(round(1000 * kilobytes) for kilobytes in arguments.kilobytes)})
    names = [path.name for path in arguments.files] + ["SOG level"] * bool(sizes)
    print(f"{len(cameras)} views\n\n| kB |", " | ".join(names), "|")
    print("|---:|" + "---:|" * len(names))
    for budget in budgets:
        cells = [comparison.cell(decode(p, max_bytes=budget).gaussians) for p in arguments.files]
        if sizes:
            level = at.get(budget)
            cells.append(
                "" if level is None else comparison.cell(read_sog_level(meta, level).gaussians)
            )
        print(f"| {budget / 1000:g} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()

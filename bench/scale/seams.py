"""Pictures across the bounds of blocks, at several prefixes of a file, with their PSNR.

    python -m bench.scale.seams SCENE FILE.exgs OUT.png --level 3

Blocks are the tiles of a level. Each row of the picture looks at the bound between two of them:
prefixes of 1, 3, 10, 30, 60 and 100% of the file, then the scene.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from exgs.codec.decoding.decode import ExgsFile, decode, open_scene
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import Gaussians
from exgs.scene.pictures import to_pixels

_SHARES = (0.01, 0.03, 0.1, 0.3, 0.6, 1.0)
_WIDTH, _HEIGHT, _FOV_Y_DEG = 320, 200, 55.0
_ROWS = 4
_REACH = 0.15  # distance of the eye, relative to the diagonal of a block

Box = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def block_boxes(file: ExgsFile, level: int) -> dict[int, Box]:
    """The boxes of the tiles of `level`."""
    boxes: dict[int, Box] = {}
    for row in (file.table[number] for number in file.table):
        own = file.facts.layers[row.layer].tile_level
        if row.box is None or own < level or not any((*row.box.low, *row.box.high)):
            continue
        tile, low, high = row.tile >> (own - level), np.array(row.box.low), np.array(row.box.high)
        before = boxes.get(tile, (low, high))
        boxes[tile] = np.minimum(before[0], low), np.maximum(before[1], high)
    return boxes


def bound_cameras(
    boxes: dict[int, Box], scene: Gaussians, up: tuple[float, float, float]
) -> Iterator[Camera]:
    """Cameras that look at matter on the bound of two blocks, from above."""
    K = pinhole(_WIDTH, _HEIGHT, _FOV_Y_DEG)
    for tile in sorted(boxes)[:-1:2]:
        if tile + 1 not in boxes:
            continue
        low = np.maximum(boxes[tile][0], boxes[tile + 1][0])
        high = np.minimum(boxes[tile][1], boxes[tile + 1][1])
        size = float(np.linalg.norm(boxes[tile][1] - boxes[tile][0]))
        thin = np.maximum(high - low, 0.02 * size)
        middle = (low + high) / 2
        near = scene.means[np.all(np.abs(scene.means - middle) < thin / 2, axis=1)]
        if len(near):
            target = near[np.argsort(np.linalg.norm(near - middle, axis=1))[len(near) // 2]]
            eye = target + _REACH * size * (np.array([0.5, 0.0, 0.6]) + 0.6 * np.array(up))
            yield look_at(eye, target, up, K, _WIDTH, _HEIGHT)


def main() -> None:
    """Write the picture and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--level", type=int, required=True)
    arguments = parser.parse_args()
    scene = read_scene(arguments.scene)
    file = open_scene(arguments.file)
    rasterizer = default_rasterizer(antialiased=scene.antialiased)
    boxes = block_boxes(file, arguments.level)
    cameras = list(bound_cameras(boxes, scene.gaussians, file.facts.up))[:_ROWS]
    whole = [np.clip(rasterizer.render(scene.gaussians, c).rgb, 0, 1) for c in cameras]
    columns = []
    for share in _SHARES:
        drawn = decode(arguments.file, max_bytes=int(share * file.file_bytes)).gaussians
        pictures = [np.clip(rasterizer.render(drawn, c).rgb, 0, 1) for c in cameras]
        errors = [np.mean((p - w) ** 2) for p, w in zip(pictures, whole, strict=True)]
        print(f"{share:.0%}:", *(f"{-10 * np.log10(error):.1f} dB" for error in errors))
        columns.append(np.concatenate(pictures))
    rows = np.concatenate([*columns, np.concatenate(whole)], axis=1)
    Image.fromarray(to_pixels(rows.astype(np.float32))).save(arguments.out)


if __name__ == "__main__":
    main()

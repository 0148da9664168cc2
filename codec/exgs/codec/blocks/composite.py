"""Pictures of the whole scene, from pictures of single blocks.

Blocks are the cells of a k-d tree, so from any place there is an order in which none hides an
earlier one. Gaussians that reach into another block are drawn with their own.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from exgs.codec.blocks.job import Job
from exgs.codec.encoding.tiles import TileTree
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Matrix
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.stores import local_copy


def draw_block(job: Job, number: int, scene: Gaussians) -> None:
    """Draw a block alone from the drawn views of the whole scene, and store the pictures."""
    rasterizer = default_rasterizer(antialiased=job.spill.facts.antialiased)
    pictures = []
    for camera in job.overviews.drawn:
        found = rasterizer.render(scene, camera)
        pictures.append(np.dstack([found.rgb, found.alpha]).astype(np.float16).reshape(-1, 4))
    path = job.picture_path(number)
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        np.save(file, np.concatenate(pictures))  # of any sizes


def composed(job: Job) -> list[FloatArray]:
    """The pictures [H, W, 3] of the whole scene in its drawn views."""
    cameras = job.overviews.drawn
    drawn = [np.zeros((camera.height, camera.width, 3), np.float32) for camera in cameras]
    left = [np.ones((camera.height, camera.width, 1), np.float32) for camera in cameras]
    places = [front_to_back(job.spill.tree, camera.position) for camera in cameras]
    ends = np.cumsum([camera.width * camera.height for camera in cameras])
    with ExitStack() as copies:
        paths = [copies.enter_context(local_copy(job.picture_path(n))) for n in range(job.blocks)]
        for rank in range(job.blocks):
            for view, order in enumerate(places):
                kept = np.load(paths[order[rank]], mmap_mode="r")
                shape = *left[view].shape[:2], 4
                layer = kept[ends[view] - shape[0] * shape[1] : ends[view]]
                layer = layer.astype(np.float32).reshape(shape)
                drawn[view] += left[view] * layer[..., :3]
                left[view] *= 1 - layer[..., 3:]
    return [np.clip(picture, 0, 1) for picture in drawn]


def front_to_back(tree: TileTree, eye: Matrix) -> list[int]:
    """The finest tiles in an order in which none hides an earlier one from `eye` [3]."""
    tiles: list[int] = []
    waiting = [0]
    while waiting:
        node = waiting.pop()
        if node >= tree.count - 1:
            tiles.append(node - (tree.count - 1))
            continue
        beyond = int(eye[tree.axes[node]] >= tree.splits[node])
        waiting += [2 * node + 2 - beyond, 2 * node + 1 + beyond]  # the last one comes next
    return tiles

"""The CPU backend of `exgs.scene.rasterize`: kernels in order, and the memory they work in."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from exgs.scene.camera import Camera
from exgs.scene.cpu.binning import fill_lists, place_lists
from exgs.scene.cpu.blending import blend
from exgs.scene.cpu.gathering import GATHERED, SCORES, add_gathered, add_scores, gather
from exgs.scene.cpu.projection import GIVEN_COLORS, NO_COLORS, SH_COLORS, project
from exgs.scene.cpu.record import BLOCKS, RECORD, TILE
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterize import Backprojection, Contributions, Render

_CACHE_LINE_BYTES = 64

# Numba's work-queue threading layer aborts the process when two threads launch parallel kernels
# at once; each launch uses all cores anyway.
_one_at_a_time = threading.Lock()


class CpuRasterizer:
    """Draws with numba on all threads that `numba.get_num_threads()` allows.

    Pictures and sums are the same, to the bit, whatever the number of threads. Scratch memory is
    kept between calls, because fresh pages cost more than the work; hence one object per thread.
    """

    def __init__(self) -> None:
        self._scratch = _Scratch()

    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        colors: FloatArray | None = None,
    ) -> Render:
        """See `Rasterizer.render`."""
        if colors is not None and colors.shape != (len(scene), 3):
            raise ValueError(f"colors have shape {colors.shape}, expected ({len(scene)}, 3)")
        shape = (camera.height, camera.width)
        rgb = np.empty((*shape, 3), np.float32)
        alpha, depth = np.empty(shape, np.float32), np.empty(shape, np.float32)
        with _one_at_a_time:
            lists = self._bin(scene, camera, SH_COLORS if colors is None else GIVEN_COLORS, colors)
            blend(
                lists.records,
                lists.entries,
                lists.starts,
                np.asarray(background, np.float32),
                rgb,
                alpha,
                depth,
                lists.spares,
                _ticket(),
                lists.workers,
            )
        return Render(rgb, alpha, depth)

    def contributions(self, scene: Gaussians, camera: Camera) -> Contributions:
        """See `Rasterizer.contributions`."""
        n = len(scene)
        total, most = np.zeros(n, np.float64), np.zeros(n, np.float32)
        hits = np.zeros(n, np.int64)
        with _one_at_a_time:
            lists = self._bin(scene, camera, NO_COLORS)
            shares, used = self._gather(lists, camera, None)
            add_scores(
                lists.entries,
                lists.starts,
                used,
                shares,
                lists.sources,
                lists.workers,
                total,
                most,
                hits,
            )
        return Contributions(total, most, hits)

    def backproject(self, scene: Gaussians, camera: Camera, image: FloatArray) -> Backprojection:
        """See `Rasterizer.backproject`."""
        if image.ndim != 3 or image.shape[:2] != (camera.height, camera.width):
            raise ValueError(
                f"image has shape {image.shape}, expected ({camera.height}, {camera.width}, C)"
            )
        if image.shape[2] > 3:
            raise ValueError(f"image has {image.shape[2]} channels, at most 3 can be gathered")
        padded = np.zeros((*image.shape[:2], 3), np.float32)
        padded[..., : image.shape[2]] = image
        n = len(scene)
        sums = np.zeros((n, 3), np.float64)
        weights, squares = np.zeros(n, np.float64), np.zeros(n, np.float64)
        with _one_at_a_time:
            lists = self._bin(scene, camera, NO_COLORS)
            shares, used = self._gather(lists, camera, padded)
            add_gathered(
                lists.entries,
                lists.starts,
                used,
                shares,
                lists.sources,
                lists.workers,
                sums,
                weights,
                squares,
            )
        return Backprojection(sums, weights, squares)

    def _bin(
        self,
        scene: Gaussians,
        camera: Camera,
        color_source: int,
        colors: FloatArray | None = None,
    ) -> _Lists:
        """Project the scene and list, for every tile, what reaches it."""
        workers = numba.get_num_threads()
        scratch = self._scratch
        rows = BLOCKS * math.ceil(len(scene) / BLOCKS)
        tiles = math.ceil(camera.width / TILE) * math.ceil(camera.height / TILE)
        records = scratch.take("records", (rows, RECORD), np.float32)
        rects = scratch.take("rects", (rows, 4), np.int32)
        sources = scratch.take("sources", (rows,), np.int32)
        visible = scratch.take("visible", (BLOCKS,), np.int64)
        positions = scratch.take("positions", (BLOCKS, tiles), np.int32)
        starts = scratch.take("starts", (tiles + 1,), np.int64)
        project(
            scene.means,
            scene.quats,
            scene.scales,
            scene.opacities,
            scene.sh0,
            scene.shN,
            scene.sh0 if colors is None else _read_only(colors),
            color_source,
            np.ascontiguousarray(camera.viewmat, np.float64),
            np.ascontiguousarray(camera.K, np.float64),
            camera.width,
            camera.height,
            records,
            rects,
            sources,
            visible,
            positions,
            _ticket(),
            workers,
        )
        count = place_lists(positions, starts)
        entries = scratch.take("entries", (count,), np.uint64)
        fill_lists(records, rects, visible, positions, camera.width, entries, _ticket(), workers)
        longest = int(np.diff(starts).max())
        spares = scratch.take("spares", (workers, longest), np.uint64)
        return _Lists(records, sources, entries, starts, spares, workers)

    def _gather(
        self, lists: _Lists, camera: Camera, image: FloatArray | None
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """The share of every entry, and how many entries of each tile have one."""
        totals = SCORES if image is None else GATHERED
        shares = self._scratch.take("shares", (len(lists.entries), totals), np.float32)
        used = self._scratch.take("used", (len(lists.starts) - 1,), np.int64)
        gather(
            lists.records,
            lists.entries,
            lists.starts,
            camera.width,
            camera.height,
            image,
            shares,
            used,
            lists.spares,
            _ticket(),
            lists.workers,
        )
        return shares, used


@dataclass(frozen=True, slots=True, eq=False)
class _Lists:
    """What reaches which tile; views into the scratch memory, good until the next call."""

    records: FloatArray  # [M, RECORD]
    sources: npt.NDArray[np.int32]  # [M] index of each record's Gaussian
    entries: npt.NDArray[np.uint64]  # [E]
    starts: npt.NDArray[np.int64]  # [tiles + 1]
    spares: npt.NDArray[np.uint64]  # [workers, longest list]
    workers: int


class _Scratch:
    """Named arrays that only grow, each beginning on a cache line."""

    def __init__(self) -> None:
        self._bytes: dict[str, npt.NDArray[np.uint8]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """Memory of this shape; its contents are whatever was left there."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        held = self._bytes.get(name)
        if held is None or held.size < size:
            raw = np.empty(size + size // 4 + _CACHE_LINE_BYTES, np.uint8)
            held = self._bytes[name] = raw[-raw.ctypes.data % _CACHE_LINE_BYTES :]
        return held[:size].view(dtype).reshape(shape)


def _ticket() -> npt.NDArray[np.int64]:
    return np.zeros(1, np.int64)


def _read_only(colors: FloatArray) -> FloatArray:
    """As the arrays of a scene are: one compiled kernel serves both."""
    view = np.ascontiguousarray(colors, np.float32).view()
    view.flags.writeable = False
    return view

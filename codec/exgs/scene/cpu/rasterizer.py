"""The CPU backend of `exgs.scene.rasterizer`: calls the kernels in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numba
import numpy as np

from exgs.scene.camera import Camera
from exgs.scene.cpu.binning import fill_lists, place_lists
from exgs.scene.cpu.blending import blend
from exgs.scene.cpu.differentiating import differentiate
from exgs.scene.cpu.gathering import GATHERED, SCORES, add_scores, gather
from exgs.scene.cpu.gradient_terms import SCREEN_TERMS
from exgs.scene.cpu.impact import IMPACTS, measure_impact
from exgs.scene.cpu.layout import (
    BLOCKS,
    RECORD,
    TILE,
    Floats,
    Lists,
    Longs,
    Picture,
    Projected,
    Splats,
    View,
)
from exgs.scene.cpu.projection import GIVEN_COLORS, NO_COLORS, SH_COLORS, project
from exgs.scene.cpu.scratch import Scratch
from exgs.scene.cpu.totals import add_totals
from exgs.scene.cpu.unprojecting import unproject
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.kernel import one_at_a_time
from exgs.scene.rasterizer import Backprojection, Contributions, Gradients, Impact, Render

# Pictures with more entries are drawn in bands of tiles, to bound the memory for large pictures
# that are covered by large Gaussians. 2^25 entries are 256 MiB.
ENTRIES_MAX = 1 << 25

_BLACK = np.zeros(3, np.float32)


class CpuRasterizer:
    """Draws with numba on `numba.get_num_threads()` threads.

    Pictures and sums do not depend on the number of threads. Working memory is kept between calls,
    so use one object for many pictures. Calls from several threads run one after another, since
    each uses all cores. `antialiased` draws scenes that were trained with compensation for the
    screen filter, as gsplat does in its mode of that name.
    """

    def __init__(self, *, antialiased: bool = False) -> None:
        self._scratch = Scratch()
        self._antialiased = antialiased

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
        picture = _canvas(camera)
        behind = np.array(background, np.float32)
        workers = numba.get_num_threads()
        with one_at_a_time:
            source = SH_COLORS if colors is None else GIVEN_COLORS
            projected = self._project(scene, camera, source, colors)
            for lists in self._bands(projected, camera):
                blend(projected.records, lists, behind, picture, _ticket(), workers)
        return Render(*picture)

    def contributions(self, scene: Gaussians, camera: Camera) -> Contributions:
        """See `Rasterizer.contributions`."""
        n = len(scene)
        scores = np.zeros(n), np.zeros(n, np.float32), np.zeros(n, np.int64), np.zeros(n)
        workers = numba.get_num_threads()
        with one_at_a_time:
            projected = self._project(scene, camera, NO_COLORS)
            for lists in self._bands(projected, camera):
                entry_totals, used = self._gather(projected, lists, camera, None)
                add_scores(lists, used, entry_totals, projected.sources, workers, *scores)
        return Contributions(*scores)

    def backproject(self, scene: Gaussians, camera: Camera, image: FloatArray) -> Backprojection:
        """See `Rasterizer.backproject`."""
        size = (camera.height, camera.width)
        if image.ndim != 3 or image.shape[:2] != size or not image.shape[2]:
            raise ValueError(f"image has shape {image.shape}, expected {size} and channels")
        n, channels = len(scene), image.shape[2]
        parts = math.ceil(channels / 3)  # a kernel takes three channels at a time
        padded = np.zeros((parts, *size, 3), np.float32)
        for channel in range(channels):
            padded[channel // 3, ..., channel % 3] = image[..., channel]
        totals = np.zeros((parts, n, GATHERED))
        workers = numba.get_num_threads()
        with one_at_a_time:
            projected = self._project(scene, camera, NO_COLORS)
            sources = projected.sources
            for lists in self._bands(projected, camera):
                for part in range(parts):
                    entry_totals, used = self._gather(projected, lists, camera, padded[part])
                    add_totals(lists, used, entry_totals, sources, 0, workers, totals[part])
        sums = np.concatenate(totals[:, :, :3], axis=1)
        # Weights and squares are the same in all parts.
        return Backprojection(sums[:, :channels], totals[0, :, 3].copy(), totals[0, :, 4].copy())

    def impact(self, scene: Gaussians, camera: Camera) -> Impact:
        """See `Rasterizer.impact`."""
        totals = np.zeros((len(scene), IMPACTS))
        workers = numba.get_num_threads()
        with one_at_a_time:
            projected = self._project(scene, camera, SH_COLORS)
            records, sources = projected.records, projected.sources
            for lists in self._bands(projected, camera):
                entry_totals, used = self._entry_totals(lists, IMPACTS)
                measure_impact(
                    records,
                    lists,
                    camera.width,
                    camera.height,
                    entry_totals,
                    used,
                    _ticket(),
                    workers,
                )
                add_totals(lists, used, entry_totals, sources, 0, workers, totals)
        return Impact(*np.ascontiguousarray(totals.T))

    def render_gradients(
        self,
        scene: Gaussians,
        camera: Camera,
        image_gradient: Callable[[FloatArray], FloatArray],
        *,
        first: int = 0,
    ) -> Gradients:
        """See `Rasterizer.render_gradients`."""
        n = len(scene) - first
        out = Gradients(*(np.zeros((n, *tail)) for tail in ((3,), (4,), (3,), (), (3,))))
        on_screen = np.zeros((n, SCREEN_TERMS))
        workers = numba.get_num_threads()
        with one_at_a_time:
            projected = self._project(scene, camera, SH_COLORS)
            picture = _canvas(camera)
            bands = []
            for lists in self._bands(projected, camera):
                blend(projected.records, lists, _BLACK, picture, _ticket(), workers)
                bands.append(lists)
            gradient = image_gradient(picture.rgb)
            if gradient.shape != picture.rgb.shape:
                raise ValueError(
                    f"the gradient has shape {gradient.shape}, expected {picture.rgb.shape}"
                )
            image = np.ascontiguousarray(gradient, np.float32)
            if len(bands) > 1:  # bands share memory, so only the lists of the last one are valid
                projected = self._project(scene, camera, SH_COLORS)
            records, sources = projected.records, projected.sources
            for lists in bands if len(bands) == 1 else self._bands(projected, camera):
                entry_totals, used = self._entry_totals(lists, SCREEN_TERMS)
                differentiate(
                    records,
                    sources,
                    first,
                    lists,
                    picture.rgb,
                    image,
                    entry_totals,
                    used,
                    _ticket(),
                    workers,
                )
                add_totals(lists, used, entry_totals, sources, first, workers, on_screen)
            unproject(
                _splats(scene, scene.sh0),
                first,
                self._view(camera),
                projected,
                on_screen,
                out,
                _ticket(),
                workers,
            )
        return Gradients(*out)

    def _project(
        self,
        scene: Gaussians,
        camera: Camera,
        color_source: int,
        colors: FloatArray | None = None,
    ) -> Projected:
        take = self._scratch.take
        rows = BLOCKS * math.ceil(len(scene) / BLOCKS)
        tiles = math.ceil(camera.width / TILE) * math.ceil(camera.height / TILE)
        projected = Projected(
            records=take("records", (rows, RECORD), np.float32),
            rects=take("rects", (rows, 4), np.int32),
            sources=take("sources", (rows,), np.int32),
            visible=take("visible", (BLOCKS,), np.int64),
            counts=take("counts", (BLOCKS, tiles), np.int64),
        )
        given = scene.sh0 if colors is None else _read_only(colors)
        project(
            _splats(scene, given),
            color_source,
            self._view(camera),
            projected,
            _ticket(),
            numba.get_num_threads(),
        )
        return projected

    def _view(self, camera: Camera) -> View:
        return View(
            np.ascontiguousarray(camera.viewmat, np.float64),
            np.ascontiguousarray(camera.K, np.float64),
            int(camera.width),
            int(camera.height),
            float(camera.screen_filter),
            self._antialiased,
        )

    def _bands(self, projected: Projected, camera: Camera) -> Iterator[Lists]:
        """The lists of all tiles, in as few bands as possible (usually one)."""
        take, workers = self._scratch.take, numba.get_num_threads()
        tiles = projected.counts.shape[1]
        starts = take("starts", (tiles + 1,), np.int64)
        first = 0
        while first < tiles:
            end = place_lists(projected.counts, first, ENTRIES_MAX, starts)
            band = starts[: end - first + 1]
            entries = take("entries", (int(band[-1]),), np.uint64)
            spares = take("spares", (workers, int(np.diff(band).max())), np.uint64)
            lists = Lists(entries, band, spares, first)
            fill_lists(projected, lists, camera.width, _ticket(), workers)
            yield lists
            first = end

    def _gather(
        self, projected: Projected, lists: Lists, camera: Camera, image: FloatArray | None
    ) -> tuple[Floats, Longs]:
        """The totals of the entries, and the number of entries of each tile that have them."""
        entry_totals, used = self._entry_totals(lists, SCORES if image is None else GATHERED)
        gather(
            projected.records,
            lists,
            camera.width,
            camera.height,
            image,
            entry_totals,
            used,
            _ticket(),
            numba.get_num_threads(),
        )
        return entry_totals, used

    def _entry_totals(self, lists: Lists, count: int) -> tuple[Floats, Longs]:
        """Memory for `count` totals of each entry, and for the used entries of each tile."""
        return (
            self._scratch.take("entry_totals", (len(lists.entries), count), np.float32),
            self._scratch.take("used", (len(lists.starts) - 1,), np.int64),
        )


def _canvas(camera: Camera) -> Picture:
    shape = (camera.height, camera.width)
    return Picture(
        np.empty((*shape, 3), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    )


def _ticket() -> Longs:
    return np.zeros(1, np.int64)


def _splats(scene: Gaussians, colors: FloatArray) -> Splats:
    return Splats(
        scene.means, scene.quats, scene.scales, scene.opacities, scene.sh0, scene.shN, colors
    )


def _read_only(colors: FloatArray) -> FloatArray:
    """Read-only like the arrays of a scene, so that both use the same compiled kernel."""
    view = np.ascontiguousarray(colors, np.float32).view()
    view.flags.writeable = False
    return view

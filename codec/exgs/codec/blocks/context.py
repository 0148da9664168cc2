"""The surroundings of a block: merged Gaussians of all other blocks, finer for near ones.

They are drawn together with the block in all pictures but belong to no layer, so that every stage
of the encoder treats a block like a scene.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import numpy.typing as npt

from exgs.codec.blocks.job import Job
from exgs.codec.blocks.views import is_exposed
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import (
    Backprojection,
    Contributions,
    Gradients,
    Impact,
    Rasterizer,
    Render,
)

_NEAR = 0.25  # neighbours are nearer than this, relative to the diagonal of the block


class ContextRasterizer:
    """Draws a context together with each scene, and returns sums for the scene only.

    In exposed views (see views.py), Gaussians between the camera and the box of the block are
    left out. The part of the context that a view shows is found once for each view.
    """

    def __init__(
        self,
        inner: Rasterizer,
        context: Gaussians,
        low: npt.NDArray[np.float64],
        high: npt.NDArray[np.float64],
    ) -> None:
        self._inner = inner
        self._context = context
        self._low, self._high = low, high
        self._shown: dict[tuple[Hashable, ...], npt.NDArray[np.int32]] = {}

    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        colors: FloatArray | None = None,
    ) -> Render:
        """See Rasterizer. With `colors` of the scene, the context is black."""
        whole, first = self._whole(scene, camera)
        if colors is not None:
            colors = np.concatenate([np.zeros((first, 3), np.float32), colors])
        return self._inner.render(whole, camera, background=background, colors=colors)

    def contributions(self, scene: Gaussians, camera: Camera) -> Contributions:
        """See Rasterizer."""
        whole, first = self._whole(scene, camera)
        found = self._inner.contributions(whole, camera)
        return Contributions(
            found.sum[first:], found.max[first:], found.hits[first:], found.transmittance[first:]
        )

    def backproject(self, scene: Gaussians, camera: Camera, image: FloatArray) -> Backprojection:
        """See Rasterizer."""
        whole, first = self._whole(scene, camera)
        found = self._inner.backproject(whole, camera, image)
        return Backprojection(found.sums[first:], found.weights[first:], found.squares[first:])

    def impact(self, scene: Gaussians, camera: Camera) -> Impact:
        """See Rasterizer."""
        whole, first = self._whole(scene, camera)
        found = self._inner.impact(whole, camera)
        return Impact(found.weights[first:], found.squares[first:], found.removals[first:])

    def render_gradients(
        self,
        scene: Gaussians,
        camera: Camera,
        image_gradient: Callable[[FloatArray], FloatArray],
        *,
        first: int = 0,
    ) -> Gradients:
        """See Rasterizer."""
        whole, before = self._whole(scene, camera)
        return self._inner.render_gradients(whole, camera, image_gradient, first=before + first)

    def _whole(self, scene: Gaussians, camera: Camera) -> tuple[Gaussians, int]:
        """The visible context and the scene, and the index of the first Gaussian of the scene."""
        context = self._context.select(self._visible(camera))
        if not len(context):
            return scene, 0
        return Gaussians.concatenate([context, scene]), len(context)

    def _visible(self, camera: Camera) -> npt.NDArray[np.int32]:
        """Indices of the context that the view shows.

        What the rest of the context hides completely stays hidden when the scene is added.
        """
        pose, lens = camera.viewmat.tobytes(), camera.K.tobytes()
        size = camera.width, camera.height, camera.screen_filter
        key = (pose, lens, *size, is_exposed(camera))
        if key not in self._shown:
            left = np.arange(len(self._context), dtype=np.int32)
            eye = np.asarray(camera.position, np.float64)
            gap = np.linalg.norm(np.maximum(np.maximum(self._low - eye, eye - self._high), 0))
            if gap > 0 and is_exposed(camera):
                offsets = self._context.means - eye.astype(np.float32)
                far = np.einsum("ni,ni->n", offsets, offsets) >= np.float32(gap * gap)
                left = left[far]
            hits = self._inner.contributions(self._context.select(left), camera).hits
            self._shown[key] = left[hits > 0]
        return self._shown[key]


def surroundings(job: Job, number: int) -> Gaussians:
    """The context of a block, from the outlines of all others."""
    low, high = job.spill.low, job.spill.high
    gaps = np.maximum(np.maximum(low - high[number], low[number] - high), 0)
    reach = _NEAR * float(np.linalg.norm(high[number] - low[number]))
    near = np.linalg.norm(gaps, axis=1) <= reach
    others = [other for other in range(job.blocks) if other != number]
    parts = job.load_all(("outline" if near[other] else "far", other) for other in others)
    return Gaussians.concatenate([Gaussians.empty(), *parts])

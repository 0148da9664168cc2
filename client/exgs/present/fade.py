"""Crossfade: what lands changes the picture by no more than a bound from one frame to the next.

Both scenes, with and without what has landed, are drawn from each frame's camera, and the new one
gains weight at such a rate that the root mean square of the change that it makes keeps the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray

Draw = Callable[[Camera], FloatArray]


def crossfade(
    before: Draw, after: Draw, next_camera: Callable[[], Camera], bound: float
) -> Iterator[tuple[FloatArray, Camera, bool]]:
    """Pictures [H, W, 3] from `before` to `after`, their cameras, and whether each is the last.

    The first differs from `before`, and each from the one in front of it, by at most `bound` (RMS
    over pixels and channels of colours clamped to [0, 1]), as far as the camera stands still; what
    a moving camera changes comes on top. The last picture is that of `after`, bit for bit.
    """
    weight = 0.0
    camera: Camera | None = None
    while weight < 1:
        following = next_camera()
        if following is not camera:
            camera = following
            old, new = np.clip(before(camera), 0, 1), after(camera)
            change = np.clip(new, 0, 1) - old
            size = float(np.sqrt(np.mean(np.square(change, dtype=np.float64))))
        weight = min(1.0, weight + bound / size) if size > bound * 1e-6 else 1.0
        yield new if weight == 1 else old + np.float32(weight) * change, camera, weight == 1

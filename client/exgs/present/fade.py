"""Crossfade: limits the change of the picture by arriving chunks from one frame to the next.

The scenes with and without the new chunks are both drawn from the camera of each frame. The weight
of the new scene rises so that the RMS change per frame stays within the limit.
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
    """Yield pictures [H, W, 3] from `before` to `after`, their cameras, and whether each is last.

    With a static camera, each picture differs from the one before by at most `bound` (RMS over
    pixels and channels of colours clamped to [0, 1]). A moving camera adds its own changes. The
    last picture equals that of `after` bit for bit.
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

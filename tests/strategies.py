"""Hypothesis strategies for valid scenes and cameras, shared by all tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from exgs.scene.camera import Camera, look_at
from exgs.scene.gaussians import Gaussians


@st.composite
def gaussians(
    draw: st.DrawFn,
    *,
    min_size: int = 1,
    max_size: int = 40,
    sh_degrees: tuple[int, ...] = (0, 1, 2, 3),
) -> Gaussians:
    """A scene of random Gaussians: sizes over six decades, opacities from 0 to 1 inclusive."""
    count = draw(st.integers(min_size, max_size))
    k = (draw(st.sampled_from(sh_degrees)) + 1) ** 2 - 1
    spread = draw(st.sampled_from((0.01, 1.0, 1000.0)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    quats = rng.normal(size=(count, 4))
    opacities = rng.random(count)
    opacities[rng.random(count) < 0.1] = draw(st.sampled_from((0.0, 1.0)))
    columns = (
        rng.normal(size=(count, 3)) * spread,
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        spread * 10 ** rng.uniform(-5, 1, (count, 3)),
        opacities,
        rng.normal(size=(count, 3)),
        rng.normal(size=(count, k, 3)) * 0.3,
    )
    return Gaussians(*(column.astype(np.float32) for column in columns))


@st.composite
def cameras(draw: st.DrawFn, *, max_side: int = 2000) -> Camera:
    """A camera anywhere, with its own focal lengths and principal point."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width, height = draw(st.integers(1, max_side)), draw(st.integers(1, max_side))
    fx, fy = rng.uniform(0.3, 3, 2) * max(width, height)
    cx, cy = rng.uniform(0.3, 0.7, 2) * (width, height)
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    eye, target, up = rng.normal(size=(3, 3)) * draw(st.sampled_from((0.1, 10.0)))
    view = look_at(eye, target, up, K, width, height)
    return Camera(view.viewmat, K, width, height, draw(st.text(max_size=12)))

"""Quick limits of coverage and quick tests of view agree with the formulas of protocol.md."""

from __future__ import annotations

import numpy as np
import pytest

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.visibility import BoxSet, box_weights, solid_angles

_BOXES = 400


def _boxes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of all sizes, some of them flat, some points, some far away."""
    scale = 10.0 ** rng.uniform(-3, 2)
    middle = rng.normal(0, scale, (_BOXES, 3))
    middle[: _BOXES // 10] *= 1000
    half = scale * 10.0 ** rng.uniform(-4, 0.5, (_BOXES, 1)) * rng.uniform(0, 1, (_BOXES, 3))
    half[rng.random((_BOXES, 3)) < 0.1] = 0
    low, high = (middle - half).astype(np.float32), (middle + half).astype(np.float32)
    return np.minimum(low, high), np.maximum(low, high)


def _camera(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> Camera:
    """A camera inside a box, at its edge, or anywhere near."""
    box = rng.integers(_BOXES)
    inside = low[box] + rng.choice([0, 0.5, 1], 3) * (high[box] - low[box])
    eye = np.where(rng.random() < 0.5, inside, rng.normal(0, np.abs(low).max() / 3, 3))
    width, height = rng.integers(20, 3000, 2).tolist()
    K = pinhole(width, height, float(rng.uniform(5, 150)))
    K[:2, 2] += rng.normal(0, 30, 2)
    at = eye + rng.normal(0, 1, 3)
    return look_at(tuple(eye), tuple(at), tuple(rng.normal(0, 1, 3)), K, width, height)


@pytest.mark.parametrize("seed", range(60))
def test_limits_hold_and_what_is_in_view_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = _boxes(rng)
    camera = _camera(rng, low, high)
    boxes = BoxSet(_BOXES + 1)
    numbers = rng.permutation(_BOXES)
    boxes.enter(numbers, low, high)
    corners = low.astype(np.float64), high.astype(np.float64)
    weights = box_weights(*corners, camera)
    limits = boxes.coverage_limits(numbers, camera)
    assert (limits >= weights.coverage).all()
    assert (limits <= 1).all()
    assert (boxes.in_view(numbers, camera) == (weights.coverage > 0)).all()
    assert (solid_angles(*corners, camera) == weights.around).all()


def test_limits_are_close_where_boxes_are_small_and_ahead() -> None:
    rng = np.random.default_rng(0)
    middle = rng.uniform((-1, -1, 4), (1, 1, 6), (1000, 3))
    low, high = (middle - 0.05).astype(np.float32), (middle + 0.05).astype(np.float32)
    camera = look_at((0, 0, 0), (0.2, 0.1, 1), (0, -1, 0), pinhole(1000, 800, 90), 1000, 800)
    boxes = BoxSet(1000)
    boxes.enter(np.arange(1000), low, high)
    coverage = box_weights(low.astype(np.float64), high.astype(np.float64), camera).coverage
    assert (boxes.coverage_limits(np.arange(1000), camera) <= 2 * coverage).all()

"""Scenes as training on photographs leaves them: grown from a cloud of points.

Gaussians begin at few points, some of them astray, and are split where pictures still differ most
(adaptive density control, Kerbl et al. 2023). Exposures and poses are never quite right. What
comes of it is dense where there is detail and sparse elsewhere, many faint layers deep, and some of
it floats before the rest: real scenes are like that, and made up ones are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from exgs.codec.merging.distill import distill, slope_of_squares
from exgs.painter.stretch import candidates, near
from exgs.painter.training.photographs import Array
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer
from exgs.scene.rotations import rotation_matrices

_ROUNDS, _STEPS = 8, 100  # of fitting, with splits in between
_FIRST_SHARE = 0.1  # of the Gaussians are there from the start
_ASTRAY = 0.1  # of these somewhere on the way from a camera to what it may see
_BEFORE = 0.2, 1.1  # shares of that way
_OFF = 0.01  # of the scene's size: how far the others are off
_START_SIZE, _START_OPACITY = 0.7, 0.15  # size: of the distance to the nearest
_EXPOSURE = 0.06  # of a picture's light, either way
_TURN, _SHIFT = 0.0015, 0.001  # radians; of the scene's size: errors of poses
_FAINT = 0.015  # opacity: dropped
_CHILD = 1.6  # times smaller than what was split
_SMALL = 0.5  # of the median size: copied, not split
_NUDGE = 0.3  # of its size: how far a copy is moved


def densified(
    scene: Gaussians,
    count: int,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    rng: np.random.Generator,
) -> Gaussians:
    """About `count` Gaussians, without SH, fitted from a cloud of points to pictures of `scene`."""
    low, high = np.quantile(scene.means.astype(np.float64), (0.02, 0.98), axis=0)
    size = float(np.linalg.norm(high - low))
    pictures = []
    for camera in cameras:
        light = rng.uniform(1 - _EXPOSURE, 1 + _EXPOSURE, 3).astype(np.float32)
        pictures.append(np.clip(rasterizer.render(scene, camera).rgb * light, 0, 1))
    posed = [_posed(camera, size, rng) for camera in cameras]
    fitted = _cloud(scene, max(round(_FIRST_SHARE * count), 100), size, cameras, rng)
    growth = (count / len(fitted)) ** (1 / (_ROUNDS - 1))
    wanted = float(len(fitted))
    nothing = Gaussians.empty(0)
    for number in range(_ROUNDS):
        if number:
            wanted *= growth
            slopes = _slopes(fitted, posed, pictures, rasterizer)
            fitted = _split(fitted, slopes, round(wanted), rng)
        fitted = distill(nothing, fitted, posed, pictures, rasterizer, steps=_STEPS, seed=number)
    return fitted


def _posed(camera: Camera, size: float, rng: np.random.Generator) -> Camera:
    """`camera` where it was taken to be."""
    half = np.array([[1, *rng.normal(0, _TURN / 2, 3)]])
    turn = rotation_matrices((half / np.linalg.norm(half)).astype(np.float32))[0]
    viewmat = camera.viewmat.copy()
    viewmat[:3] = turn @ viewmat[:3]
    viewmat[:3, 3] += rng.normal(0, _SHIFT * size, 3)
    return replace(camera, viewmat=viewmat)


def _cloud(
    scene: Gaussians,
    count: int,
    size: float,
    cameras: Sequence[Camera],
    rng: np.random.Generator,
) -> Gaussians:
    """Round Gaussians at some points of `scene`, a few astray."""
    points = rng.integers(len(scene), size=count)
    places: Array = scene.means[points] + rng.normal(0, _OFF * size, (count, 3))
    astray = slice(round(count * (1 - _ASTRAY)), None)
    eyes = np.stack([camera.position for camera in cameras])
    start = eyes[rng.integers(len(eyes), size=len(places[astray]))]
    places[astray] = start + rng.uniform(*_BEFORE, (len(start), 1)) * (places[astray] - start)
    means = places.astype(np.float32)
    spans = near(means, candidates(means), slice(0, count)).distance[:, :3].mean(axis=1)
    quats = rng.normal(size=(count, 4)).astype(np.float32)
    return Gaussians(
        means=means,
        quats=quats / np.linalg.norm(quats, axis=1, keepdims=True),
        scales=np.repeat(_START_SIZE * spans[:, None], 3, axis=1).astype(np.float32),
        opacities=np.full(count, _START_OPACITY, np.float32),
        sh0=scene.sh0[points],
        shN=np.zeros((count, 0, 3), np.float32),
    )


def _slopes(
    fitted: Gaussians,
    cameras: Sequence[Camera],
    pictures: Sequence[FloatArray],
    rasterizer: Rasterizer,
) -> Array:
    """How much each Gaussian's place in the pictures matters [N]: where more of them are wanted."""
    total = np.zeros(len(fitted))
    for camera, picture in zip(cameras[::2], pictures[::2], strict=True):
        slope = partial(slope_of_squares, reference=picture)
        moved = rasterizer.render_gradients(fitted, camera, slope).means
        depth = np.linalg.norm(fitted.means - camera.position, axis=1)
        total += np.linalg.norm(moved, axis=1) * depth
    return total


def _split(fitted: Gaussians, slopes: Array, wanted: int, rng: np.random.Generator) -> Gaussians:
    """Without the faintest, and those of the largest slopes made two each, to `wanted` in all."""
    kept = fitted.opacities > _FAINT
    fitted, slopes = fitted.select(kept), slopes[kept]
    top = np.argsort(-slopes, kind="stable")[: max(wanted - len(fitted), 0)]
    widest = fitted.scales.max(axis=1)
    large = widest[top, None] > _SMALL * np.median(widest)
    parent = fitted.select(top)
    steps = rng.normal(size=(len(top), 3)) * parent.scales * np.where(large, 1, _NUDGE)
    moves = np.einsum("nij,nj->ni", rotation_matrices(parent.quats), steps)
    smaller = (parent.scales / np.where(large, _CHILD, 1)).astype(np.float32)
    scales = fitted.scales.copy()
    scales[top] = smaller
    child = replace(parent, means=(parent.means + moves).astype(np.float32), scales=smaller)
    return Gaussians.concatenate([replace(fitted, scales=scales), child])

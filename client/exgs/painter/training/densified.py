"""Fits a scene from a sparse point cloud, as training on photographs does.

Gaussians start at few points, some of them misplaced, and are split where the pictures differ most
(adaptive density control, Kerbl et al. 2023). Exposures and poses have small errors. The result
resembles captured scenes: dense at details and sparse elsewhere, with many faint layers and some
floating Gaussians. Procedural scenes have none of these properties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from exgs.codec.measuring.pictures import FitViews
from exgs.codec.merging.descent import gradient_of_squares
from exgs.codec.merging.distill import distill
from exgs.painter.stretch import find_candidates, find_neighbours
from exgs.painter.training.photographs import Array
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer
from exgs.scene.rotations import rotation_matrices

_ROUNDS, _STEPS = 8, 100  # rounds of fitting with splits in between, optimiser steps per round
_FIRST_SHARE = 0.1  # share of the Gaussians at the start
_ASTRAY = 0.1  # share of these that are misplaced on the line from a camera to a point
_BEFORE = 0.2, 1.1  # their positions on that line, relative to its length
_OFF = 0.01  # standard deviation of the other positions, relative to the size of the scene
_START_SIZE, _START_OPACITY = 0.7, 0.15  # size relative to the distance of the neighbours
_EXPOSURE = 0.06  # largest relative error of the exposure
_TURN, _SHIFT = 0.0015, 0.001  # errors of poses: radians, and relative to the size of the scene
_FAINT = 0.015  # Gaussians of less opacity are dropped
_CHILD = 1.6  # factor by which both halves of a split Gaussian are smaller
_SMALL = 0.5  # Gaussians below this size, relative to the median, are copied instead of split
_NUDGE = 0.3  # standard deviation of the shift of a copy, relative to its size


def densified(
    scene: Gaussians,
    count: int,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    rng: np.random.Generator,
) -> Gaussians:
    """Fit about `count` Gaussians without SH, from a point cloud, to pictures of `scene`."""
    low, high = np.quantile(scene.means.astype(np.float64), (0.02, 0.98), axis=0)
    size = float(np.linalg.norm(high - low))
    pictures = []
    for camera in cameras:
        exposure = rng.uniform(1 - _EXPOSURE, 1 + _EXPOSURE, 3).astype(np.float32)
        pictures.append(np.clip(rasterizer.render(scene, camera).rgb * exposure, 0, 1))
    posed = [_posed(camera, size, rng) for camera in cameras]
    fitted = _cloud(scene, max(round(_FIRST_SHARE * count), 100), size, cameras, rng)
    growth = (count / len(fitted)) ** (1 / (_ROUNDS - 1))
    wanted = float(len(fitted))
    nothing = Gaussians.empty(0)
    for number in range(_ROUNDS):
        if number:
            wanted *= growth
            gradients = _positional_gradients(fitted, posed, pictures, rasterizer)
            fitted = _split(fitted, gradients, round(wanted), rng)
        fitted = distill(
            nothing, fitted, FitViews(posed, pictures), rasterizer, steps=_STEPS, seed=number
        )
    return fitted


def _posed(camera: Camera, size: float, rng: np.random.Generator) -> Camera:
    """`camera` with an error in its pose."""
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
    """Spherical Gaussians at random points of `scene`, some of them misplaced."""
    points = rng.integers(len(scene), size=count)
    places: Array = scene.means[points] + rng.normal(0, _OFF * size, (count, 3))
    astray = slice(round(count * (1 - _ASTRAY)), None)
    eyes = np.stack([camera.position for camera in cameras])
    start = eyes[rng.integers(len(eyes), size=len(places[astray]))]
    places[astray] = start + rng.uniform(*_BEFORE, (len(start), 1)) * (places[astray] - start)
    means = places.astype(np.float32)
    neighbours = find_neighbours(means, find_candidates(means), slice(0, count))
    spans = neighbours.distances[:, :3].mean(axis=1)
    quats = rng.normal(size=(count, 4)).astype(np.float32)
    return Gaussians(
        means=means,
        quats=quats / np.linalg.norm(quats, axis=1, keepdims=True),
        scales=np.repeat(_START_SIZE * spans[:, None], 3, axis=1).astype(np.float32),
        opacities=np.full(count, _START_OPACITY, np.float32),
        sh0=scene.sh0[points],
        shN=np.zeros((count, 0, 3), np.float32),
    )


def _positional_gradients(
    fitted: Gaussians,
    cameras: Sequence[Camera],
    pictures: Sequence[FloatArray],
    rasterizer: Rasterizer,
) -> Array:
    """Norms [N] of the gradients by image position, which tell where to split."""
    total = np.zeros(len(fitted))
    for camera, picture in zip(cameras[::2], pictures[::2], strict=True):
        gradient = partial(gradient_of_squares, reference=picture)
        by_mean = rasterizer.render_gradients(fitted, camera, gradient).means
        depth = np.linalg.norm(fitted.means - camera.position, axis=1)
        total += np.linalg.norm(by_mean, axis=1) * depth
    return total


def _split(fitted: Gaussians, gradients: Array, wanted: int, rng: np.random.Generator) -> Gaussians:
    """Drop faint Gaussians, then split those with the largest gradients until `wanted` remain."""
    kept = fitted.opacities > _FAINT
    fitted, gradients = fitted.select(kept), gradients[kept]
    top = np.argsort(-gradients, kind="stable")[: max(wanted - len(fitted), 0)]
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

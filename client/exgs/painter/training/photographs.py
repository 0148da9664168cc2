"""Converts photographs to Gaussians on a relief that can be viewed from several cameras.

The depth is invented: a tilted sheet with smooth waves. These scenes teach the painter textures of
real photographs. Rooms and captured scenes teach it geometry.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians

_FOV_Y_DEG = 50.0
_DISTANCE = 2.0
_UP = (0.0, -1.0, 0.0)
_DETAIL_SHARE = 0.75  # share of the Gaussians at details; the others are placed uniformly
_BACK_SHARE = 0.25  # share of the Gaussians in the opaque layer behind
BACK_DEPTH = 0.02  # distance of that layer
COVER = 0.62  # standard deviation of a Gaussian, relative to the distance of its neighbours
_STRETCH = 2.2  # largest elongation along an edge
THICKNESS = 0.3  # along the viewing direction, relative to the size
OPACITIES, BACK_OPACITY = (0.5, 0.98), 0.99

Array = npt.NDArray[np.float64]


def read_photograph(path: str | os.PathLike[str]) -> FloatArray:
    """Read pixels [H, W, 3] in [0, 1]. Raises OSError."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """Positions and shapes of n Gaussians in a photograph: dense at details, long along edges.

    Round Gaussians on a grid lie behind the others. They form an opaque layer.
    """

    x: Array  # [n] pixels
    y: Array  # [n]
    spacing: Array  # [n] distance to the neighbours in pixels
    stretch: Array  # [n] factor of the longer axis; the shorter axis is divided by it
    angle: Array  # [n] radians between the longer axis and the rows
    colors: FloatArray  # [n, 3] of the photograph
    front: npt.NDArray[np.bool_]  # [n] False for the opaque layer

    def gaussians(
        self,
        means: Array,
        quats: Array,
        sizes: Array,
        thickness: Array | float,
        opacities: Array,
        light: float = 1.0,
    ) -> Gaussians:
        """Gaussians without SH, with radius `sizes` [n] before stretching.

        `thickness` is the scale along z, relative to the size.
        """
        count = len(self.x)
        flat = np.stack([self.stretch, 1 / self.stretch, np.broadcast_to(thickness, count)], axis=1)
        colors = np.clip(self.colors * light, 0, 1)
        return without_sh(means, quats, sizes[:, None] * flat, opacities, colors)


def without_sh(
    means: Array, quats: Array, scales: Array, opacities: Array, colors: Array | FloatArray
) -> Gaussians:
    """Gaussians with view-independent `colors` [n, 3] in [0, 1]."""
    return Gaussians(
        means.astype(np.float32),
        quats.astype(np.float32),
        scales.astype(np.float32),
        opacities.astype(np.float32),
        ((colors - 0.5) / SH_C0).astype(np.float32),
        np.zeros((len(means), 0, 3), np.float32),
    )


def marks(photograph: FloatArray, count: int, back_share: float, rng: np.random.Generator) -> Marks:
    """Place about `count` Gaussians in `photograph` [H, W, 3].

    `back_share` of them are in the opaque layer behind.
    """
    height, width = photograph.shape[:2]
    gray = _blur(photograph.mean(axis=2).astype(np.float64), 1)
    dy, dx = np.gradient(gray)
    detail = _blur(np.hypot(dx, dy), 2) + 1e-4
    density = _DETAIL_SHARE * detail / detail.sum() + (1 - _DETAIL_SHARE) / detail.size
    fine = round((1 - back_share) * count)
    picked = rng.choice(density.size, fine, p=density.ravel() / density.sum())
    row, column = np.divmod(picked, width)
    sharpness = np.hypot(dx, dy).ravel()[picked]
    rows, columns, spacing = _grid(height, width, count - fine)
    behind = len(rows)
    x = np.clip(column + rng.uniform(0, 1, fine), 0, width - 1e-3)
    y = np.clip(row + rng.uniform(0, 1, fine), 0, height - 1e-3)
    x, y = np.concatenate([x, columns + 0.5]), np.concatenate([y, rows + 0.5])
    return Marks(
        x,
        y,
        np.concatenate([1 / np.sqrt(fine * density.ravel()[picked]), np.full(behind, spacing)]),
        np.concatenate([1 + (_STRETCH - 1) * sharpness / (sharpness + 0.05), np.ones(behind)]),
        np.concatenate([np.arctan2(dx.ravel()[picked], -dy.ravel()[picked]), np.zeros(behind)]),
        photograph[y.astype(int), x.astype(int)],
        np.arange(len(x)) < fine,
    )


def lift(photograph: FloatArray, count: int, seed: int, *, cut_out: bool = False) -> Gaussians:
    """About `count` Gaussians without SH that show `photograph` [H, W, 3] from the origin.

    Like trained Gaussians, they are dense at details and elongated along edges. `cut_out` keeps an
    oval in front of empty background.
    """
    rng = np.random.default_rng([seed, 0x1F7])
    height, width = photograph.shape[:2]
    focal = 0.5 * height / np.tan(np.radians(_FOV_Y_DEG) / 2)
    places = marks(photograph, count, _BACK_SHARE, rng)
    x, y, front = places.x, places.y, places.front
    depth = _sheet(x / width - 0.5, y / height - 0.5, rng)
    depth[~front] += BACK_DEPTH

    means = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones(len(x))], axis=1)
    means *= depth[:, None]
    quats = np.zeros((len(x), 4))
    quats[:, 0], quats[:, 3] = np.cos(places.angle / 2), np.sin(places.angle / 2)
    scene = places.gaussians(
        means,
        quats,
        COVER * places.spacing * depth / focal,
        np.where(front, THICKNESS, 1),
        np.where(front, rng.uniform(*OPACITIES, len(x)), BACK_OPACITY),
    )
    if not cut_out:
        return scene
    middle = rng.uniform(-0.1, 0.1, 2)
    turned = np.hypot((x / width - 0.5 - middle[0]) / 0.33, (y / height - 0.5 - middle[1]) / 0.36)
    return scene.select(turned < 1)


def _grid(
    height: int, width: int, count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], float]:
    """Rows and columns of about `count` pixels on a grid, and its nominal spacing in pixels."""
    step = np.sqrt(height * width / max(count, 1))
    rows = np.arange(step / 2, height, step).astype(np.int64)
    columns = np.arange(step / 2, width, step).astype(np.int64)
    every_row, every_column = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    return every_row, every_column, 1.15 * float(step)


def relief_cameras(width: int, height: int, count: int, seed: int) -> tuple[Camera, ...]:
    """Views of a relief from different positions. The relief fills most of each picture."""
    rng = np.random.default_rng([seed, 0xCA3])
    cameras = []
    for _ in range(count):
        eye = rng.uniform(-1, 1, 3) * [0.5, 0.35, 0.3] + [0, 0, 0.45]
        target = rng.uniform(-1, 1, 3) * [0.5, 0.3, 0.0] + [0, 0, _DISTANCE]
        K = pinhole(width, height, rng.uniform(28, 45))
        cameras.append(look_at(eye, target, _UP, K, width, height))
    return tuple(cameras)


def _sheet(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """Depths of a waved sheet at positions in [-0.5, 0.5]^2."""
    tilt = rng.uniform(-0.5, 0.5, 2)
    depth = _DISTANCE + tilt[0] * x + tilt[1] * y
    for wave in range(1, 4):
        turn = rng.uniform(0, 2 * np.pi, 2)
        along = np.cos(turn[0]) * x + np.sin(turn[0]) * y
        depth += 0.15 / wave * np.sin(2 * np.pi * wave * along + turn[1])
    return np.asarray(depth)


def _blur(image: Array, radius: int) -> Array:
    """The mean over (2 radius + 1)^2 pixels. Edge pixels are repeated."""
    kernel = np.ones(2 * radius + 1) / (2 * radius + 1)
    padded = np.pad(image, radius, mode="edge")
    rows = np.apply_along_axis(np.convolve, 0, padded, kernel, mode="valid")
    return np.asarray(np.apply_along_axis(np.convolve, 1, rows, kernel, mode="valid"))

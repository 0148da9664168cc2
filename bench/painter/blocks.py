"""A procedural town, the held-out scene `blocks` of the painter benchmark.

Blocks with windows, balls and a striped ground, sampled as flat Gaussians. It shares no code,
texture or layout with the sample rooms, and no recipe trains on it.
"""

from __future__ import annotations

import numpy as np

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.gaussians import SH_C0, Gaussians

_SUN = np.array([0.5, -0.75, 0.43])  # y points down
_SIDES = 4  # of a block, besides its roof
_UP = (0.0, -1.0, 0.0)


def blocks_scene(count: int = 40_000, seed: int = 0) -> Gaussians:
    """About `count` Gaussians: 14 blocks and 8 balls on a ground of 12 by 12 units."""
    rng = np.random.default_rng([seed, 0xB10C])
    parts = [_ground(count // 4, rng)]
    parts += [_block(count // 24, rng) for _ in range(14)]
    parts += [_ball(count // 50, rng) for _ in range(8)]
    means, normals, colors, sizes = (np.concatenate(x) for x in zip(*parts, strict=True))
    light = 0.45 + 0.55 * np.clip(normals @ (_SUN / np.linalg.norm(_SUN)), 0, 1)
    colors = np.clip(colors * light[:, None] + rng.normal(0, 0.015, colors.shape), 0, 1)
    scales = np.stack([sizes, sizes * rng.uniform(0.6, 1, len(sizes)), 0.08 * sizes], 1)
    return Gaussians(
        means.astype(np.float32),
        _facing(normals).astype(np.float32),
        scales.astype(np.float32),
        rng.uniform(0.75, 0.99, len(means)).astype(np.float32),
        ((colors - 0.5) / SH_C0).astype(np.float32),
        np.zeros((len(means), 0, 3), np.float32),
    )


def blocks_cameras(count: int, seed: int, width: int, height: int) -> tuple[Camera, ...]:
    """`count` views from around and above the town."""
    rng = np.random.default_rng([seed, 0xCA])
    cameras = []
    for number in range(count):
        turn = 2 * np.pi * (number + rng.uniform(0, 0.5)) / count
        eye = np.array([7.5 * np.cos(turn), -rng.uniform(1.5, 4.5), 7.5 * np.sin(turn)])
        target = np.array([rng.uniform(-1, 1), -0.6, rng.uniform(-1, 1)])
        cameras.append(look_at(eye, target, _UP, pinhole(width, height, 45), width, height))
    return tuple(cameras)


Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _ground(count: int, rng: np.random.Generator) -> Part:
    x, z = rng.uniform(-6, 6, (2, count))
    means = np.stack([x, rng.normal(0, 0.004, count), z], 1)
    road = (np.abs(x % 3 - 1.5) < 0.3) | (np.abs(z % 3 - 1.5) < 0.3)
    stripe = (np.abs(x % 3 - 1.5) < 0.03) & (z % 0.6 < 0.3)
    grass = np.array([0.35, 0.5, 0.22]) + 0.12 * np.sin(7 * x + 3 * np.sin(5 * z))[:, None]
    colors = np.where(road[:, None], 0.32, grass)
    colors = np.where(stripe[:, None], 0.9, colors)
    normals = np.tile([0.0, -1.0, 0.0], (count, 1))
    return means, normals, colors, np.full(count, 0.62 * 12 / np.sqrt(count))


def _block(count: int, rng: np.random.Generator) -> Part:
    half = rng.uniform([0.25, 0.4, 0.25], [0.6, 1.3, 0.6])
    place = np.array([rng.uniform(-4.5, 4.5), -half[1], rng.uniform(-4.5, 4.5)])
    wall, glass = rng.uniform(0.25, 0.95, 3), rng.uniform(0.05, 0.35, 3)
    side = rng.integers(0, _SIDES + 1, count)
    u, v = rng.uniform(-1, 1, (2, count))
    normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, -1, 0]], float)[side]
    spread = np.stack([u, v, u], 1)
    spread[side == _SIDES, 2] = v[side == _SIDES]
    local = np.where(normals != 0, normals, spread) * half
    across = np.where(np.abs(normals[:, 0]) > 0, local[:, 2], local[:, 0])
    window = (side < _SIDES) & (across % 0.22 < 0.12) & (local[:, 1] % 0.3 < 0.17)
    colors = np.where(window[:, None], glass, wall)
    area = 8 * half[1] * (half[0] + half[2]) + 4 * half[0] * half[2]
    return place + local, normals, colors, np.full(count, 0.62 * np.sqrt(area / count))


def _ball(count: int, rng: np.random.Generator) -> Part:
    radius = rng.uniform(0.2, 0.5)
    place = np.array([rng.uniform(-4.5, 4.5), -radius, rng.uniform(-4.5, 4.5)])
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    first, second = rng.uniform(0.2, 1, (2, 3))
    colors = np.where((np.sin(9 * normals[:, 1]) > 0)[:, None], first, second)
    size = 0.62 * np.sqrt(4 * np.pi * radius**2 / count)
    return place + radius * normals, normals, colors, np.full(count, size)


def _facing(normals: np.ndarray) -> np.ndarray:
    """Unit quaternions [N, 4] that rotate z to the normals."""
    quats = np.concatenate(
        [1 + normals[:, 2:], -normals[:, 1:2], normals[:, :1], 0 * normals[:, :1]], 1
    )
    quats[normals[:, 2] < -0.9999] = [0, 1, 0, 0]
    return np.asarray(quats / np.linalg.norm(quats, axis=1, keepdims=True))

"""Small scenes and cameras for tests of the encoder, and plans that give them several layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.codec.encoding import layer_plan as layers
from exgs.codec.encoding.encode import EncodeOptions, EncodeReport, encode
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cameras import CameraSet
from exgs.scene.gaussians import Gaussians

UP = (0.0, -1.0, 0.0)


def ring(count: int = 9, size: tuple[int, int] = (48, 36), distance: float = 3.0) -> CameraSet:
    """Cameras around the origin."""
    K = pinhole(*size, 45)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    eyes = [(np.cos(a) * distance, -0.4 * distance, np.sin(a) * distance) for a in angles]
    return CameraSet(tuple(look_at(eye, (0, 0, 0), UP, K, *size) for eye in eyes))


def ball(count: int, sh_degree: int = 1, seed: int = 0) -> Gaussians:
    """A ball of splats whose colours follow their place."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(count, 3))
    means *= (rng.random((count, 1)) ** 0.5) / np.linalg.norm(means, axis=1, keepdims=True)
    quats = rng.normal(size=(count, 4))
    size = 0.9 * count ** (-1 / 3)
    values = (
        means,
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        size * np.exp(rng.normal(0, 0.4, (count, 3))),
        rng.uniform(0.3, 1, count),
        np.sin(4 * means) + rng.normal(0, 0.1, (count, 3)),
        rng.normal(0, 0.1, (count, (sh_degree + 1) ** 2 - 1, 3)),
    )
    return Gaussians(*(np.asarray(value, np.float32) for value in values))


def many_layers(patch: pytest.MonkeyPatch) -> None:
    """Let a few hundred Gaussians have layers, proxies and tiles as a large scene has."""
    patch.setattr(layers, "_SINGLE_LAYER_COUNT", 50)
    patch.setattr(layers, "_FIRST_PROXIES", 20)
    patch.setattr(layers, "_CHUNK_BYTES", 1 << 10)
    patch.setattr(layers, "_REGION_COUNT", 250)


def encode_layered(
    path: Path, scene: Gaussians | None = None, **options: Any
) -> tuple[Gaussians, EncodeReport]:
    """Encode a small scene in several layers; returns it with the report."""
    scene = scene or ball(600)
    with pytest.MonkeyPatch.context() as patch:
        many_layers(patch)
        chosen = EncodeOptions(**{"quality": "low", "cameras": ring(), **options})
        return scene, encode(scene, path, chosen)


def camera() -> Camera:
    """One of the ring that no encoder has seen."""
    return look_at((2.2, -1.0, 1.6), (0, 0, 0), UP, pinhole(64, 48, 45), 64, 48)

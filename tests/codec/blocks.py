"""A small scene that is encoded by blocks."""

from __future__ import annotations

from exgs.codec.encoding.encode import EncodeOptions
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.sources.source import MemorySource
from tests.codec.encoding import ball

COUNT = 3200
OPTIONS = EncodeOptions(quality="low", views=2, name="ball")


def source(scene: Gaussians | None = None) -> MemorySource:
    return MemorySource("ball", Scene(scene or ball(COUNT)))

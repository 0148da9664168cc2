"""One point of a rate-distortion curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exgs.scene.gaussians import Gaussians


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """What a number of bytes gives; `load` reads it when it is its turn."""

    bytes: int
    note: str
    load: Callable[[], Gaussians]

"""One point of a rate-distortion curve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exgs.scene.gaussians import Gaussians


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """The Gaussians of a number of bytes; `load` reads them when they are needed."""

    bytes: int
    note: str
    load: Callable[[], Gaussians]

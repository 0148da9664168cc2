"""Collects the parts of a room while it is furnished: surfaces, shadow casters, lamps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.sample.noise import Array
from exgs.sample.occlusion import Solids
from exgs.sample.palette import Palette
from exgs.sample.surfaces import Material, Place, Surface


@dataclass(frozen=True, slots=True, eq=False)
class Lamp:
    """A small light."""

    position: Array  # [3]
    color: Array  # [3] linear RGB, irradiance at one metre
    size: float  # radius of its shade


@dataclass(frozen=True, slots=True, eq=False)
class Stand:
    """The position and yaw (radians) of a piece of furniture."""

    origin: Array  # [3]
    yaw: float = 0.0

    def at(self, x: npt.ArrayLike, y: npt.ArrayLike, z: npt.ArrayLike) -> Array:
        """Convert coordinates of the piece to points [..., 3] of the room."""
        x, y, z = np.broadcast_arrays(*(np.asarray(k, np.float64) for k in (x, y, z)))
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        return np.asarray(self.origin + np.stack([c * x - s * z, y, s * x + c * z], -1))


@dataclass(frozen=True, slots=True, eq=False)
class Cover:
    """A box that hides the surfaces inside it, for example the wall behind a picture."""

    center: Array  # [3]
    half: Array  # [3]
    yaw: float

    def holds(self, points: Array) -> npt.NDArray[np.bool_]:
        """Whether each of `points` [n, 3] lies inside the box, [n]."""
        x, y, z = (points - self.center).T
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        inside = np.abs(c * x + s * z) < self.half[0]
        inside &= np.abs(y) < self.half[1]
        return np.asarray(inside & (np.abs(c * z - s * x) < self.half[2]))


@dataclass
class Builder:
    """Collects what the furniture adds. `rng` draws all random choices."""

    palette: Palette
    rng: np.random.Generator
    seed: int
    half_width: float  # metres, along x
    half_depth: float  # along z
    height: float
    surfaces: list[Surface] = field(default_factory=list)
    solids: Solids = field(default_factory=Solids)
    lamps: list[Lamp] = field(default_factory=list)
    covers: list[Cover] = field(default_factory=list)

    def add(self, made: tuple[Place, Array], material: Material, **choices: Any) -> None:
        """Add a surface that a function of the module `surfaces` has returned."""
        self.surfaces.append(Surface(made[0], made[1], material, **choices))

    def cover(self, center: npt.ArrayLike, half: npt.ArrayLike, yaw: float = 0.0) -> None:
        """Leave out all surfaces inside a box. `yaw` turns the box about the vertical axis."""
        self.covers.append(Cover(np.asarray(center, np.float64), np.asarray(half, np.float64), yaw))

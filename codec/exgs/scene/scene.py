"""A scene as users have it: Gaussians, and what has to be known to draw and to place them."""

from __future__ import annotations

from dataclasses import dataclass

from exgs.scene.gaussians import Gaussians

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Gaussians with the facts that scene files state beside them.

    `antialiased`: trained with screen-space compensation for the 0.3 pixel filter (Mip-Splatting,
    gsplat's 'antialiased' mode), so it has to be drawn with it. `origin` is taken off the
    positions: source position = `gaussians.means` + `origin`, in float64, so that georeferenced
    scenes keep millimetres. `crs` names the source's coordinate reference system, "" if unknown.
    """

    gaussians: Gaussians
    antialiased: bool = False
    origin: Vector = (0.0, 0.0, 0.0)
    crs: str = ""

    @staticmethod
    def of(scene: Scene | Gaussians) -> Scene:
        """`scene`; bare Gaussians as a scene of the default mode, at the origin."""
        return Scene(scene) if isinstance(scene, Gaussians) else scene

    def __len__(self) -> int:
        return len(self.gaussians)

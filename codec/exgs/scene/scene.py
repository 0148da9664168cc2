"""A scene: Gaussians with their rendering mode, origin and coordinate reference system."""

from __future__ import annotations

from dataclasses import dataclass

from exgs.scene.gaussians import Gaussians

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Gaussians with the facts that scene files state about them.

    `antialiased` means that the scene was trained with screen-space compensation for the filter of
    0.3 pixels (Mip-Splatting, gsplat's 'antialiased' mode) and must be drawn with it. `origin` has
    been subtracted from the positions: source position = `gaussians.means` + `origin` in float64,
    so georeferenced scenes keep millimetres. `crs` is the coordinate reference system of the
    source, "" if unknown.
    """

    gaussians: Gaussians
    antialiased: bool = False
    origin: Vector = (0.0, 0.0, 0.0)
    crs: str = ""

    @staticmethod
    def of(scene: Scene | Gaussians) -> Scene:
        """Return `scene`. Converts Gaussians to a scene of the default mode without origin."""
        return Scene(scene) if isinstance(scene, Gaussians) else scene

    def __len__(self) -> int:
        return len(self.gaussians)

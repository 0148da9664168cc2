"""Scenes: Gaussians, readers and writers, cameras, rasterizers, image metrics.

>>> from exgs.scene import default_rasterizer, look_at, pinhole, read_scene
>>> scene = read_scene("scene.ply")                                       # doctest: +SKIP
>>> camera = look_at((0, 0, -3), (0, 0, 1), (0, -1, 0), pinhole(640, 360, 50), 640, 360)
>>> picture = default_rasterizer().render(scene.gaussians, camera).rgb    # doctest: +SKIP

Arrays are float32 in the layout of gsplat. The axes are right-down-forward (RDF: x right, y down,
z forward), as in an INRIA-style PLY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exgs.scene.lazy import lazy_names

if TYPE_CHECKING:
    from exgs.scene.backends import default_rasterizer
    from exgs.scene.camera import Camera, look_at, pinhole
    from exgs.scene.cameras import CameraSet, read_cameras, write_cameras
    from exgs.scene.errors import ExgsError, SceneError, SceneWarning
    from exgs.scene.formats import READABLE, WRITABLE, read_scene, write_scene
    from exgs.scene.gaussians import Gaussians
    from exgs.scene.metrics import psnr, ssim
    from exgs.scene.rasterizer import Contributions, Rasterizer, Render
    from exgs.scene.scene import Scene

__all__ = [
    "READABLE",
    "WRITABLE",
    "Camera",
    "CameraSet",
    "Contributions",
    "ExgsError",
    "Gaussians",
    "Rasterizer",
    "Render",
    "Scene",
    "SceneError",
    "SceneWarning",
    "default_rasterizer",
    "look_at",
    "pinhole",
    "psnr",
    "read_cameras",
    "read_scene",
    "ssim",
    "write_cameras",
    "write_scene",
]

__getattr__ = lazy_names(
    __name__,
    {
        "READABLE": "exgs.scene.formats",
        "WRITABLE": "exgs.scene.formats",
        "Camera": "exgs.scene.camera",
        "CameraSet": "exgs.scene.cameras",
        "Contributions": "exgs.scene.rasterizer",
        "ExgsError": "exgs.scene.errors",
        "Gaussians": "exgs.scene.gaussians",
        "Rasterizer": "exgs.scene.rasterizer",
        "Render": "exgs.scene.rasterizer",
        "Scene": "exgs.scene.scene",
        "SceneError": "exgs.scene.errors",
        "SceneWarning": "exgs.scene.errors",
        "default_rasterizer": "exgs.scene.backends",
        "look_at": "exgs.scene.camera",
        "pinhole": "exgs.scene.camera",
        "psnr": "exgs.scene.metrics",
        "read_cameras": "exgs.scene.cameras",
        "read_scene": "exgs.scene.formats",
        "ssim": "exgs.scene.metrics",
        "write_cameras": "exgs.scene.cameras",
        "write_scene": "exgs.scene.formats",
    },
)

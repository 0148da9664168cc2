"""The camera of a file's home view."""

from __future__ import annotations

import numpy as np

from exgs.codec.format.facts import HomeView
from exgs.scene.camera import Camera, look_at, pinhole


def home_camera(home: HomeView, up: tuple[float, float, float], width: int, height: int) -> Camera:
    """The camera of a home view for pictures of `width` x `height` pixels."""
    K = pinhole(width, height, float(np.degrees(home.fov_y)))
    forward = np.array(home.forward) / np.abs(home.forward).max()
    camera = look_at(np.zeros(3), forward, up, K, width, height)
    camera.viewmat[:3, 3] = -camera.viewmat[:3, :3] @ np.array(home.eye)
    return camera

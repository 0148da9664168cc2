"""Typical views of the scenes of `tests.codec.synthetic`: 43 by 31 wide, 9 high, y down."""

from __future__ import annotations

import math

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.events import View

_WIDTH, _HEIGHT = 1280, 720
_UP = (0.0, -1.0, 0.0)
_TURNS = 24


def _camera(eye: tuple[float, float, float], at: tuple[float, float, float]) -> Camera:
    return look_at(eye, at, _UP, pinhole(_WIDTH, _HEIGHT, 60), _WIDTH, _HEIGHT)


OVERVIEW = _camera((1.5, -40.0, -45.0), (1.5, 0.0, 1.5))
STREET = _camera((2.0, 4.0, 1.0), (20.0, 3.5, 6.0))
CORNER = _camera((17.0, 2.0, 12.0), (23.0, 4.0, 17.0))
AWAY = _camera((30.0, 0.0, 25.0), (60.0, 0.0, 50.0))

VIEWS = {"overview": OVERVIEW, "street": STREET, "corner": CORNER, "away": AWAY}


def turning() -> list[Camera]:
    """A walker who turns around in the middle of the scene."""
    eye = (2.0, 3.0, 1.0)
    angles = [2 * math.pi * turn / _TURNS for turn in range(_TURNS)]
    return [
        _camera(eye, (eye[0] + math.cos(a), eye[1] + 0.05, eye[2] + math.sin(a))) for a in angles
    ]


def walk() -> list[View]:
    """All of the views, in a session's order."""
    cameras = [*VIEWS.values(), *turning()]
    return [View(serial, camera) for serial, camera in enumerate(cameras, start=1)]

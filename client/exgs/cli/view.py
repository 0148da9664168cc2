"""Which camera a picture is taken from: an orbit, one of a file, the scene's home view.

Where the scene has no home view one is made up from what there is to draw. A stream does so by
its first picture and keeps it, so that its frames compare.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exgs.cli.inputs import InputError
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.format.facts import SceneFacts
from exgs.codec.measuring.home_view import best_camera
from exgs.present.screen import ChooseCamera
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cameras import read_cameras
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import synthesise_views

Size = tuple[int, int]  # width, height in pixels

_FOV_Y_DEG = 50.0
_ELEVATION_DEG = 20.0
_CANDIDATES = 16  # views that are made up, to choose from
_RADII = 2.5  # distance of an orbit, in radii of the scene
_NUMBER = r"[+-]?\d+(?:\.\d*)?"
_ORBIT = re.compile(rf"orbit:({_NUMBER})(?:,({_NUMBER})(?:,({_NUMBER}))?)?")
_INDEXED = re.compile(r"(.+):(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Orbit:
    """A place around the middle of the scene; the radius is in radii of the scene."""

    azimuth_deg: float
    elevation_deg: float
    radii: float


@dataclass(frozen=True, slots=True)
class CameraOfFile:
    """One camera of a cameras.json or transforms.json."""

    path: Path
    index: int


View = Orbit | CameraOfFile


def view(text: str) -> View:
    """Read orbit:DEG[,ELEVATION[,RADII]] or FILE:INDEX, as an argument type."""
    if found := _ORBIT.fullmatch(text):
        elevation, radii = float(found[2] or _ELEVATION_DEG), float(found[3] or _RADII)
        if abs(elevation) <= 90 and 0 < radii <= 1e6:
            return Orbit(float(found[1]), elevation, radii)
    elif found := _INDEXED.fullmatch(text):
        return CameraOfFile(Path(found[1]), int(found[2]))
    raise argparse.ArgumentTypeError(
        f"{text!r} is neither orbit:DEG[,ELEVATION[,RADII]], as in orbit:30,20,2.5,"
        " nor FILE:INDEX, as in cameras.json:0"
    )


def one_view(chosen: View | None, scene: Gaussians, facts: SceneFacts | None, size: Size) -> Camera:
    """The camera for one picture; None makes one up. Raises InputError, SceneError, OSError."""
    match chosen:
        case Orbit():
            return _on_orbit(chosen, scene, facts.up if facts else (0.0, -1.0, 0.0), size)
        case CameraOfFile(path, index):
            cameras = read_cameras(path).cameras
            if index >= len(cameras):
                raise InputError(
                    f"{path}: has cameras 0 to {len(cameras) - 1}, there is no {index}"
                )
            return cameras[index].resized(*size)
    if facts is not None and facts.home is not None:
        return home_camera(facts.home, facts.up, *size)
    if facts is not None:  # a stream's first picture, which must not wait
        return synthesise_views(scene, 1, width=size[0], height=size[1])[0]
    candidates = synthesise_views(scene, _CANDIDATES, width=size[0], height=size[1])
    return best_camera(scene, candidates, default_rasterizer())


def fixed_view(size: Size, chosen: View | None = None) -> ChooseCamera:
    """One view for all frames of a stream."""
    cameras: list[Camera] = []

    def choose(_number: int, facts: SceneFacts, drawn: DrawnScene) -> Camera:
        if not cameras:
            cameras.append(one_view(chosen, drawn.gaussians, facts, size))
        return cameras[0]

    return choose


def path_view(path: Path, size: Size) -> ChooseCamera:
    """The cameras of a file one after the other, a frame each; from the last one on it stays.

    Raises SceneError, OSError.
    """
    cameras = [camera.resized(*size) for camera in read_cameras(path).cameras]
    return lambda number, _facts, _drawn: cameras[min(number, len(cameras) - 1)]


def _on_orbit(orbit: Orbit, scene: Gaussians, up: tuple[float, float, float], size: Size) -> Camera:
    if not len(scene):
        raise InputError("there is nothing to look at yet; allow more bytes")
    weight = scene.opacities.astype(np.float64) + 1e-9
    middle = np.average(scene.means, axis=0, weights=weight)
    radius = float(np.quantile(np.linalg.norm(scene.means - middle, axis=1), 0.9)) or 1.0
    above = np.array(up) / (np.linalg.norm(up) or 1.0)
    side = np.eye(3)[np.abs(above).argmin()]
    east = np.cross(above, side)
    east /= np.linalg.norm(east)
    azimuth, elevation = np.radians([orbit.azimuth_deg, orbit.elevation_deg])
    level = np.cos(azimuth) * np.cross(east, above) + np.sin(azimuth) * east
    toward = np.cos(elevation) * level + np.sin(elevation) * above
    K = pinhole(*size, _FOV_Y_DEG)
    return look_at(middle + orbit.radii * radius * toward, middle, above, K, *size)

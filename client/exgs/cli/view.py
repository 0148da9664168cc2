"""Chooses the camera of a picture: an orbit, a camera of a file, or the home view of the scene.

Orbits and the home view use the home view in the file's facts. They are therefore the same for
every prefix, in a stream, and for the source scene. Without facts, they are computed from the
Gaussians that are drawn.
"""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exgs.cli.urls import InputError
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.decode import as_scene
from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.format.facts import HomeView, SceneFacts
from exgs.codec.measuring.home_view import Home, find_home, home_view
from exgs.present.screen import ChooseCamera
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cameras import read_cameras
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene

Size = tuple[int, int]  # width, height in pixels

_FOV_Y_DEG = 50.0
_ELEVATION_DEG = 20.0
_RADII = 2.5  # distance of an orbit: that of the home view
_NUMBER = r"[+-]?\d+(?:\.\d*)?"
_ORBIT = re.compile(rf"orbit:({_NUMBER})(?:,({_NUMBER})(?:,({_NUMBER}))?)?")
_AXIS = re.compile(r"([+-]?)([xyz])")
_INDEXED = re.compile(r"(.+):(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Orbit:
    """A position around the target of the home view. 2.5 radii are the home view's distance."""

    azimuth_deg: float
    elevation_deg: float
    radii: float


@dataclass(frozen=True, slots=True)
class CameraOfFile:
    """One camera of a cameras.json, a transforms.json or a COLMAP folder."""

    path: Path
    index: int


View = Orbit | CameraOfFile


def home_argument(text: str) -> CameraOfFile | tuple[float, ...]:
    """Argument type: FILE:INDEX, or X,Y,Z,X,Y,Z for a position and the point to look at."""
    if found := _INDEXED.fullmatch(text):
        return CameraOfFile(Path(found[1]), int(found[2]))
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 6 or values[:3] == values[3:] or not np.isfinite(values).all():
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither FILE:INDEX, as in cameras.json:0, nor X,Y,Z,X,Y,Z for a position"
            " and the point to look at"
        )
    return values


def home_of(chosen: CameraOfFile | tuple[float, ...]) -> HomeView:
    """The home view of an argument, in the source's frame; raises InputError, SceneError."""
    if isinstance(chosen, CameraOfFile):
        return home_view(camera_of_file(chosen, (640, 360)))
    x, y, z, *target = chosen
    a, b, c = (there - here for there, here in zip(target, (x, y, z), strict=True))
    return HomeView((x, y, z), (a, b, c), math.radians(_FOV_Y_DEG))


def up_direction(text: str) -> tuple[float, float, float]:
    """Argument type: a direction, either an axis with its sign, as in -y, or X,Y,Z."""
    if found := _AXIS.fullmatch(text.strip().lower()):
        axis = "xyz".index(found[2])
        values = [0.0, 0.0, 0.0]
        values[axis] = -1.0 if found[1] == "-" else 1.0
    else:
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = []
    length = float(np.linalg.norm(values)) if len(values) == 3 else 0.0
    if not 0 < length < 1e6:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a direction: give an axis, as in -y or z, or X,Y,Z"
        )
    x, y, z = (value / length for value in values)
    return x, y, z


def view(text: str) -> View:
    """Argument type: orbit:DEG[,ELEVATION[,RADII]] or FILE:INDEX."""
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


def one_view(
    chosen: View | None, drawn: Scene | Gaussians, facts: SceneFacts | None, size: Size
) -> Camera:
    """The camera for one picture of `drawn`, in the frame of `drawn`; None is the home view.

    Raises InputError, SceneError, OSError.
    """
    scene = Scene.of(drawn)
    if isinstance(chosen, CameraOfFile):
        return camera_of_file(chosen, size).relative_to(scene.origin)
    home = scene_home(scene, facts)
    if chosen is None:
        return home_camera(home.view, home.up, *size)
    return _on_orbit(chosen, home, size)


def scene_home(scene: Scene, facts: SceneFacts | None) -> Home:
    """The home view in the facts of a file, or else one computed from the scene.

    Raises InputError if the scene is empty.
    """
    if facts is not None and facts.home is not None:
        return Home(facts.home, facts.up)
    if not len(scene):
        raise InputError("the scene has no Gaussian that can be seen")
    return find_home(scene.gaussians, up=facts.up if facts else None, antialiased=scene.antialiased)


def camera_of_file(chosen: CameraOfFile, size: Size) -> Camera:
    """A camera of a file, in the file's own frame; raises InputError, SceneError, OSError."""
    cameras = read_cameras(chosen.path).cameras
    if chosen.index >= len(cameras):
        raise InputError(f"{chosen.path}: has cameras 0 to {len(cameras) - 1}, not {chosen.index}")
    return cameras[chosen.index].resized(*size)


def fixed_view(size: Size, chosen: View | None = None) -> ChooseCamera:
    """The same view for all frames of a stream."""
    cameras: list[Camera] = []

    def choose(_number: int, facts: SceneFacts, drawn: DrawnScene) -> Camera:
        if not cameras:
            cameras.append(one_view(chosen, as_scene(drawn, facts), facts, size))
        return cameras[0]

    return choose


def path_view(path: Path, size: Size) -> ChooseCamera:
    """The cameras of a file in order, one for each frame; later frames use the last camera.

    Raises SceneError, OSError.
    """
    cameras = [camera.resized(*size) for camera in read_cameras(path).cameras]
    moved: list[Camera] = []

    def choose(number: int, facts: SceneFacts, _drawn: DrawnScene) -> Camera:
        if not moved:
            moved.extend(camera.relative_to(facts.origin) for camera in cameras)
        return moved[min(number, len(moved) - 1)]

    return choose


def _on_orbit(orbit: Orbit, home: Home, size: Size) -> Camera:
    forward = np.array(home.view.forward)
    target = np.array(home.view.eye) + forward
    above = np.array(home.up) / (np.linalg.norm(home.up) or 1.0)
    side = np.eye(3)[np.abs(above).argmin()]
    east = np.cross(above, side)
    east /= np.linalg.norm(east)
    azimuth, elevation = np.radians([orbit.azimuth_deg, orbit.elevation_deg])
    level = np.cos(azimuth) * np.cross(east, above) + np.sin(azimuth) * east
    toward = np.cos(elevation) * level + np.sin(elevation) * above
    distance = orbit.radii / _RADII * float(np.linalg.norm(forward))
    K = pinhole(*size, _FOV_Y_DEG)
    return look_at(target + distance * toward, target, above, K, *size)

"""Reads and writes camera files.

Three forms of JSON are recognised by their structure: the list of INRIA's trainer, nerfstudio's and
instant-ngp's transforms.json, and world-to-camera matrices (R, t) with shared intrinsics. COLMAP's
sparse/0 is read by `exgs.scene.colmap`.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from exgs.scene.camera import Camera, Matrix
from exgs.scene.colmap import find_colmap, read_colmap
from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.files import atomic_write

_HOLD_OUT = 8  # every 8th camera is held out, as in Mip-NeRF 360 and INRIA's evaluation

_DATAPARSER = "dataparser_transforms.json"  # beside a transforms.json
_MAX_SIDE = 1 << 16  # pixels
_MAX_LENGTH = 1e12  # world units
_ROTATION_TOLERANCE = 1e-3
_DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
_PINHOLES = ("PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL", "OPENCV", "FULL_OPENCV")
_FISHEYES = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CameraSet:
    """The cameras of a scene. Every 8th is held out for measurement; the others are for fits."""

    cameras: tuple[Camera, ...]

    @property
    def fit(self) -> tuple[Camera, ...]:
        """The cameras for fits: all except every 8th. A single camera is used for both."""
        return tuple(c for i, c in enumerate(self.cameras) if i % _HOLD_OUT) or self.cameras

    @property
    def held_out(self) -> tuple[Camera, ...]:
        """The cameras for measurement: every 8th, starting with the first."""
        return self.cameras[::_HOLD_OUT]

    def relative_to(self, origin: npt.ArrayLike) -> CameraSet:
        """The same views of a scene whose positions are relative to `origin` [3]."""
        return CameraSet(tuple(camera.relative_to(origin) for camera in self.cameras))


def read_cameras(path: str | os.PathLike[str]) -> CameraSet:
    """The cameras of a cameras.json, a transforms.json or a COLMAP folder, one or more.

    They are in the order of the file; those of COLMAP are sorted by the names of the photographs.
    Poses are in the coordinates of the scene that was trained with them. If nerfstudio's
    dataparser_transforms.json is beside a transforms.json, poses are converted to its coordinates
    and a SceneWarning says so. Lens distortion is ignored, also with a SceneWarning. Raises
    SceneError if the format is unknown or no camera is usable; OSError.
    """
    name = str(path)
    path = Path(path)
    if path.name == _DATAPARSER:
        path = path.with_name("transforms.json")
    if (folder := find_colmap(path)) is not None:
        colmap, distorted = read_colmap(folder)
        if not colmap:
            raise SceneError(f"{folder}: the model holds no camera")
        _warn_of_distortion(name, distorted)
        return CameraSet(tuple(colmap))
    if path.is_dir():
        raise SceneError(f"{name}: a folder without a COLMAP model (sparse/0); name a camera file")
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{name}: not a JSON file: {_one_line(error)}") from error
    read: Callable[[Json], Camera]
    if isinstance(data, list):
        frames, read = data, _inria
    elif isinstance(data, dict) and isinstance(data.get("frames"), list):
        frames, read = data["frames"], _transforms_reader(_given(data), path)
    elif isinstance(data, dict) and isinstance(data.get("cameras"), list):
        frames, read = data["cameras"], _world_to_camera_reader(_given(data))
    else:
        raise SceneError(
            f"{name}: neither a list of cameras (INRIA's cameras.json) nor an object with 'frames'"
            " (transforms.json) or 'cameras'"
        )
    if not frames:
        raise SceneError(f"{name}: the file holds no camera")
    cameras = []
    for index, frame in enumerate(frames):
        try:
            if not isinstance(frame, dict):
                raise _Fault("not an object")
            cameras.append(read(_given(frame)))
        except _Fault as fault:
            raise SceneError(f"{name}: camera {index}: {fault}") from fault
    sources = [data, *frames] if isinstance(data, dict) else frames
    _warn_of_distortion(name, any(map(_is_distorted, sources)))
    if isinstance(data, dict) and "frames" in data:
        cameras = _in_frame_of_training(cameras, path.with_name(_DATAPARSER))
    return CameraSet(tuple(cameras))


def write_cameras(path: str | os.PathLike[str], cameras: Iterable[Camera]) -> None:
    """Write a cameras.json like INRIA's trainer, with the principal point (cx, cy) in addition.

    Replaces an existing file atomically. Raises OSError.
    """
    entries = [
        {
            "id": index,
            "img_name": camera.name,
            "width": camera.width,
            "height": camera.height,
            "position": camera.position.tolist(),
            "rotation": camera.viewmat[:3, :3].T.tolist(),
            "fx": float(camera.K[0, 0]),
            "fy": float(camera.K[1, 1]),
            "cx": float(camera.K[0, 2]),
            "cy": float(camera.K[1, 2]),
        }
        for index, camera in enumerate(cameras)
    ]
    with atomic_write(path) as file:
        file.write(json.dumps(entries).encode())


class _Fault(Exception):
    """A camera is not usable; the message says why."""


def _given(source: Json) -> Json:
    """Remove keys that are null: some writers mark unknown values this way."""
    return {key: value for key, value in source.items() if value is not None}


def _inria(frame: Json) -> Camera:
    """Camera-to-world rotation and position. The principal point is usually the centre."""
    size = _side(frame, "width"), _side(frame, "height")
    to_world = np.eye(4)
    to_world[:3, :3] = _array(frame, "rotation", (3, 3))
    to_world[:3, 3] = _array(frame, "position", (3,))
    K = _intrinsics(frame, size, _positive(frame, "fx"), _positive(frame, "fy"))
    return Camera(_inverse(to_world, "rotation"), K, *size, _text(frame, "img_name"))


def _world_to_camera_reader(shared: Json) -> Callable[[Json], Camera]:
    def read(frame: Json) -> Camera:
        own = {**shared, **frame}
        size = _side(own, "width"), _side(own, "height")
        viewmat = np.eye(4)
        viewmat[:3, :3] = _array(own, "R", (3, 3))
        viewmat[:3, 3] = _array(own, "t", (3,))
        _require_rotation(viewmat[:3, :3], "R")
        K = _intrinsics(own, size, _positive(own, "fx"), _positive(own, "fy"))
        return Camera(viewmat, K, *size, _text(own, "name"))

    return read


def _transforms_reader(shared: Json, path: Path) -> Callable[[Json], Camera]:
    """Camera-to-world matrices in OpenGL axes: x right, y up, z backward."""

    def read(frame: Json) -> Camera:
        own = {**shared, **frame}
        model = own.get("camera_model", "PINHOLE")
        if model not in (*_PINHOLES, *_FISHEYES):
            raise _Fault(f"a camera of model {model!r} can't be drawn; a pinhole model is needed")
        size = _picture_size(own, path)
        to_world = np.eye(4)
        to_world[:3] = _array(own, "transform_matrix", (3, 4), (4, 4))[:3]
        to_world[:3, 1:3] *= -1
        K = _intrinsics(own, size, *_focal_lengths(shared, frame, size))
        return Camera(_inverse(to_world, "transform_matrix"), K, *size, _text(own, "file_path"))

    return read


def _focal_lengths(shared: Json, frame: Json, size: tuple[int, int]) -> tuple[float, float]:
    """Intrinsics of a frame override shared ones, lengths override angles, x overrides y."""
    for source in (frame, shared):
        found = {}
        for axis, side in (("x", size[0]), ("y", size[1])):
            if f"fl_{axis}" in source:
                found[axis] = _positive(source, f"fl_{axis}")
            elif f"camera_angle_{axis}" in source:
                angle = _positive(source, f"camera_angle_{axis}")
                if angle >= math.pi:
                    raise _Fault(f"camera_angle_{axis} is {angle:g}, expected radians below pi")
                found[axis] = side / 2 / math.tan(angle / 2)
        if found:
            x = found.get("x", found.get("y", 0.0))
            return x, found.get("y", x)
    raise _Fault("no focal length: neither fl_x nor camera_angle_x is there")


def _picture_size(own: Json, path: Path) -> tuple[int, int]:
    """From w and h; without them (NeRF's synthetic scenes) from the photograph."""
    if "w" in own or "h" in own:
        return _side(own, "w"), _side(own, "h")
    name = _text(own, "file_path")
    photograph = path.parent / name
    for candidate in (photograph, path.parent / f"{name}.png"):
        try:
            with Image.open(candidate) as image:
                return image.size
        except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
            continue
    missing = f", or put {photograph} in its place" if name else ""
    raise _Fault(f"no picture size: add w and h{missing}")


def _intrinsics(own: Json, size: tuple[int, int], fx: float, fy: float) -> Matrix:
    cx = _number(own, "cx") if "cx" in own else size[0] / 2
    cy = _number(own, "cy") if "cy" in own else size[1] / 2
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def _inverse(to_world: Matrix, key: str) -> Matrix:
    rotation = to_world[:3, :3].T
    _require_rotation(rotation, key)
    viewmat = np.eye(4)
    viewmat[:3, :3] = rotation
    viewmat[:3, 3] = -rotation @ to_world[:3, 3]
    return viewmat


def _require_rotation(rotation: Matrix, key: str) -> None:
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > _ROTATION_TOLERANCE or np.linalg.det(rotation) < 0:
        raise _Fault(f"'{key}' is no rotation: it scales, shears or mirrors")


def _array(own: Json, key: str, *shapes: tuple[int, ...]) -> Matrix:
    try:
        array = np.array(own.get(key), np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if array.shape not in shapes or not np.all(np.abs(array) <= _MAX_LENGTH):
        wanted = " or ".join("x".join(map(str, shape)) for shape in shapes)
        raise _Fault(f"'{key}' is missing or isn't {wanted} finite numbers")
    return array


def _number(own: Json, key: str) -> float:
    value = own.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise _Fault(f"'{key}' is missing or isn't a finite number")
    return float(value)


def _positive(own: Json, key: str) -> float:
    value = _number(own, key)
    if value <= 0:
        raise _Fault(f"'{key}' is {value:g}, expected a positive number")
    return value


def _side(own: Json, key: str) -> int:
    value = _number(own, key)
    if value != int(value) or not 1 <= value <= _MAX_SIDE:
        raise _Fault(f"'{key}' is {value:g}, expected whole pixels from 1 to {_MAX_SIDE}")
    return int(value)


def _text(own: Json, key: str) -> str:
    value = own.get(key, "")
    return value if isinstance(value, str) else ""


def _is_distorted(source: Json) -> bool:
    several = source.get("distortion_params")
    return (
        any(source.get(key) for key in (*_DISTORTION, "is_fisheye"))
        or source.get("camera_model") in _FISHEYES
        or (isinstance(several, list) and any(several))
    )


def _in_frame_of_training(cameras: list[Camera], path: Path) -> list[Camera]:
    """Apply the transform of nerfstudio's data parser, if its file exists at `path`."""
    if not path.is_file():
        return cameras
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict):
            raise _Fault("not an object")
        transform = _array(data, "transform", (3, 4), (4, 4))[:3]
        scale = _positive(data, "scale")
        _require_rotation(transform[:, :3], "transform")
    except (ValueError, RecursionError, _Fault) as error:
        raise SceneError(f"{path}: {_one_line(error)}; export the scene again") from error
    warnings.warn(
        f"{path}: the cameras are taken into the frame that it describes",
        SceneWarning,
        stacklevel=3,
    )
    moved = []
    for camera in cameras:
        viewmat = camera.viewmat.copy()
        viewmat[:3, :3] = camera.viewmat[:3, :3] @ transform[:, :3].T
        position = scale * (transform[:, :3] @ camera.position + transform[:, 3])
        viewmat[:3, 3] = -viewmat[:3, :3] @ position
        moved.append(replace(camera, viewmat=viewmat))
    return moved


def _warn_of_distortion(name: str, distorted: bool) -> None:
    if distorted:
        warnings.warn(
            f"{name}: lens distortion is left out; the cameras are taken as plain pinholes",
            SceneWarning,
            stacklevel=3,
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

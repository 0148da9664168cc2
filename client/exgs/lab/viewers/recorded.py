"""Recorded viewers: head movements of EyeNavGS, camera paths of nerfstudio and of the web viewer.
Head movements were recorded in other scenes. They are replayed relative to their first pose, from
the home view of a scene, with translations multiplied by a scale.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from exgs.lab.errors import LabError
from exgs.lab.files import read_text
from exgs.lab.viewers.made import Place
from exgs.lab.viewers.path import (
    Lens,
    Pose,
    ViewPath,
    conjugate,
    path_of,
    pose_of,
    product,
    quaternion,
    rotation,
)
from exgs.scene.camera import pinhole
from exgs.scene.cameras import read_cameras

_WEB_PER_S = 30.0  # cameras of a recording of the page (client/web)
_HEAD_PER_S = 30.0  # poses kept of a recording of a headset

# EyeNavGS's headset looks along -z with y up; cameras here look along z with y down.
_FLIP = np.array([0.0, 1.0, 0.0, 0.0])


def read_eyenavgs(path: Path, place: Place, *, metres: float, member: str = "") -> ViewPath:
    """The path of the left eye of a user of EyeNavGS, moved to the home view of a scene.

    `member` is the name of the CSV file if `path` is an archive. One unit of the recording
    becomes `metres` world units. Raises LabError, OSError.
    """
    times: list[float] = []
    poses: list[Pose] = []
    for row in csv.DictReader(read_text(path, member).splitlines()):
        try:
            if int(row["ViewIndex"]) != 0:
                continue
            time_s = float(row["Timestamp"]) / 1e3
            eye = np.array([float(row[f"Position{axis}"]) for axis in "XYZ"])
            quat = np.array([float(row[f"Quaternion{axis}"]) for axis in "WXYZ"])
        except (KeyError, TypeError, ValueError) as error:
            raise LabError(f"{path}: not a recording of EyeNavGS: {error}") from error
        size = float(np.linalg.norm(quat))
        if not size or (times and time_s - times[-1] < 1 / _HEAD_PER_S):
            continue
        times.append(time_s)
        poses.append(Pose(eye, product(quat / size, _FLIP)))
    if not poses:
        raise LabError(f"{path}: it contains no pose")
    lens = Lens(place.home.K, place.home.width, place.home.height)
    return path_of(member or path.stem, times, _moved(poses, place, metres), lens)


def _moved(poses: list[Pose], place: Place, metres: float) -> list[Pose]:
    """The movement relative to the first pose, starting at the home view."""
    home, first = pose_of(place.home), poses[0]
    turn = product(home.quat, conjugate(first.quat))  # from the recording's world to this one
    matrix = rotation(turn)
    return [
        Pose(home.eye + metres * (matrix @ (pose.eye - first.eye)), product(turn, pose.quat))
        for pose in poses
    ]


def read_camera_path(path: Path, place: Place, *, per_s: float = _WEB_PER_S) -> ViewPath:
    """A camera path: nerfstudio's camera_path.json, or a camera file of `per_s` cameras per second.

    Recordings of the web page are cameras.json files with 30 cameras per second. Raises LabError,
    SceneError, OSError.
    """
    data = _json(path)
    lens = Lens(place.home.K, place.home.width, place.home.height)
    if isinstance(data, dict) and isinstance(data.get("camera_path"), list):
        return _nerfstudio(path, data, lens)
    poses = [pose_of(camera) for camera in read_cameras(path).cameras]
    return path_of(path.stem, [number / per_s for number in range(len(poses))], poses, lens)


def _nerfstudio(path: Path, data: dict[str, Any], lens: Lens) -> ViewPath:
    """Camera to world, in OpenGL axes: y up, z backwards; the vertical angle of the first frame."""
    try:
        matrices = [
            np.array(frame["camera_to_world"], np.float64).reshape(4, 4)
            for frame in data["camera_path"]
        ]
        per_s = float(data.get("fps") or len(matrices) / float(data["seconds"]))
        fov_y = float(data["camera_path"][0].get("fov", 0.0))
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise LabError(f"{path}: not a camera path of nerfstudio: {error}") from error
    if fov_y:
        lens = Lens(pinhole(lens.width, lens.height, fov_y), lens.width, lens.height)
    flip = np.diag([1.0, -1.0, -1.0])
    poses = [Pose(m[:3, 3], quaternion(m[:3, :3] @ flip)) for m in matrices]
    return path_of(path.stem, [number / per_s for number in range(len(poses))], poses, lens)


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise LabError(f"{path}: not a JSON file: {error}") from error

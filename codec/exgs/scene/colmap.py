"""COLMAP reconstructions: the cameras of sparse/0, binary or text.

cameras.* has intrinsics, images.* a world-to-camera pose and a camera for each photograph:
https://colmap.github.io/format.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exgs.scene.camera import Camera, Matrix
from exgs.scene.errors import SceneError

# Names and numbers of parameters of the models, by number.
_MODELS = (
    ("SIMPLE_PINHOLE", 3),
    ("PINHOLE", 4),
    ("SIMPLE_RADIAL", 4),
    ("RADIAL", 5),
    ("OPENCV", 8),
    ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12),
    ("FOV", 5),
    ("SIMPLE_RADIAL_FISHEYE", 4),
    ("RADIAL_FISHEYE", 5),
    ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16),
)
_ONE_FOCAL = {"SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "SIMPLE_RADIAL_FISHEYE"}
_ONE_FOCAL.add("RADIAL_FISHEYE")
_PARAMETERS = dict(_MODELS)
_POINT_BYTES = 24  # of an image: x, y and the number of a 3D point
_MAX_SIDE = 1 << 16
_MAX_LENGTH = 1e12


@dataclass(frozen=True, slots=True)
class _Lens:
    """The intrinsics of a camera."""

    width: int
    height: int
    K: Matrix
    distorted: bool


def find_colmap(path: Path) -> Path | None:
    """The folder of a reconstruction: `path`, its sparse/0, or the folder of a file `path`."""
    if path.is_file():
        known = path.stem in ("cameras", "images") and path.suffix in (".bin", ".txt")
        return path.parent if known else None
    for folder in (path, path / "sparse" / "0", path / "sparse", path / "0"):
        if any((folder / f"images{kind}").is_file() for kind in (".bin", ".txt")):
            return folder
    return None


def read_colmap(folder: Path) -> tuple[list[Camera], bool]:
    """The cameras by the names of their photographs, and whether any lens is distorted.

    Raises SceneError if files are missing or damaged; OSError.
    """
    kind = ".bin" if (folder / "images.bin").is_file() else ".txt"
    lens_path, image_path = folder / f"cameras{kind}", folder / f"images{kind}"
    if not lens_path.is_file():
        raise SceneError(f"{lens_path}: missing beside images{kind}; copy the whole folder")
    lenses = dict(_lenses(lens_path))
    cameras = []
    distorted = False
    for name, lens_number, quat, translation in _images(image_path):
        if lens_number not in lenses:
            raise SceneError(f"{image_path}: {name} has camera {lens_number}, which is not there")
        lens = lenses[lens_number]
        distorted |= lens.distorted
        viewmat = np.eye(4)
        viewmat[:3, :3] = _rotation(quat, f"{image_path}: {name}")
        viewmat[:3, 3] = translation
        cameras.append(Camera(viewmat, lens.K, lens.width, lens.height, name))
    return sorted(cameras, key=lambda camera: camera.name), distorted


def _lenses(path: Path) -> Iterator[tuple[int, _Lens]]:
    if path.suffix == ".txt":
        for words in _lines(path):
            if len(words) < 4:
                raise _damaged(path)
            values = _numbers(words[4:], path)
            yield _integer(words[0], path), _lens(words[1], words[2:4], values, path)
        return
    data = _Reader(path)
    for _ in range(data.count(24)):
        number, model, width, height = data.take("<IiQQ")
        if not 0 <= model < len(_MODELS):
            raise SceneError(f"{path}: camera {number} has the unknown model {model}")
        name, parameters = _MODELS[model]
        yield number, _lens(name, (width, height), data.take(f"<{parameters}d"), path)


def _lens(
    model: str, size: tuple[object, ...] | list[str], values: tuple[float, ...], path: Path
) -> _Lens:
    if model not in _PARAMETERS:
        raise SceneError(f"{path}: a camera of the unknown model {model!r}")
    width, height = (_integer(str(side), path) for side in size)
    finite = len(values) == _PARAMETERS[model] and bool(np.isfinite(values).all())
    if not finite or not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise _damaged(path)
    fx, fy, cx, cy = (values[0], *values[:3]) if model in _ONE_FOCAL else values[:4]
    if fx <= 0 or fy <= 0:
        raise SceneError(f"{path}: a focal length of {min(fx, fy):g} pixels")
    rest = values[3:] if model in _ONE_FOCAL else values[4:]
    return _Lens(width, height, np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), any(rest))


Image = tuple[str, int, tuple[float, ...], tuple[float, ...]]


def _images(path: Path) -> Iterator[Image]:
    """Name, camera, quaternion wxyz and translation of each photograph."""
    if path.suffix == ".txt":
        # Every photograph has a second line with its points, which may be empty.
        for words in _lines(path, every=2):
            if len(words) < 10:
                raise _damaged(path)
            pose = _numbers(words[1:8], path)
            yield " ".join(words[9:]), _integer(words[8], path), pose[:4], pose[4:]
        return
    data = _Reader(path)
    for _ in range(data.count(73)):
        values = data.take("<I7dI")
        name = data.text()
        (points,) = data.take("<Q")
        data.skip(points * _POINT_BYTES)
        yield name, values[8], values[1:5], values[5:8]


def _rotation(quat: tuple[float, ...], place: str) -> Matrix:
    length = float(np.linalg.norm(quat))
    if not 1e-6 < length < _MAX_LENGTH:
        raise SceneError(f"{place}: its quaternion has length {length:g}; the file is damaged")
    w, x, y, z = np.array(quat) / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _lines(path: Path, every: int = 1) -> Iterator[list[str]]:
    """The words of every `every`-th line, without comments."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = (line for line in file if not line.startswith("#"))
        for number, line in enumerate(lines):
            if number % every == 0 and line.strip():
                yield line.split()


def _numbers(words: list[str], path: Path) -> tuple[float, ...]:
    return tuple(_parsed(float, word, path) for word in words)


def _integer(word: str, path: Path) -> int:
    return int(_parsed(int, word, path))


def _parsed(kind: Callable[[str], float], word: str, path: Path) -> float:
    try:
        value = kind(word)
    except ValueError as error:
        raise _damaged(path) from error
    if not abs(value) <= _MAX_LENGTH:
        raise _damaged(path)
    return value


class _Reader:
    """Reads values from a file in order. Raises SceneError if the file ends early."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = path.read_bytes()
        self._at = 0

    def count(self, least_bytes: int) -> int:
        """Read a number of entries that take at least `least_bytes` each."""
        (count,) = self.take("<Q")
        if count > len(self._data) // least_bytes:
            raise _damaged(self._path)
        return int(count)

    def take(self, layout: str) -> tuple[int, ...]:
        try:
            values = struct.unpack_from(layout, self._data, self._at)
        except struct.error as error:
            raise _damaged(self._path) from error
        self._at += struct.calcsize(layout)
        if not all(abs(value) <= _MAX_LENGTH for value in values):
            raise _damaged(self._path)
        return values

    def text(self) -> str:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise _damaged(self._path)
        text = self._data[self._at : end].decode("utf-8", "replace")
        self._at = end + 1
        return text

    def skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise _damaged(self._path)


def _damaged(path: Path) -> SceneError:
    return SceneError(f"{path}: cut short, damaged, or no COLMAP file; export the model again")

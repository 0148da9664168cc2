"""The parts of a SOG scene: meta.json and WebP images, in a zip or in a folder.

Sizes of parts are checked against the size of the file, and the pixels of an image against the
number of Gaussians. Names can't leave the folder.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from exgs.scene.beginnings import kind_of
from exgs.scene.errors import SceneError
from exgs.scene.stores import AnyPath, Place, local_copy, place

_MAX_META_BYTES = 1 << 26
_SPARE_PIXELS = 1 << 16  # an image may have this many more than twice the needed pixels

Texels = npt.NDArray[np.uint8]  # [pixels, 4] RGBA in row order


class Parts(Protocol):
    """Named parts of one scene."""

    name: str  # for messages
    total_bytes: int  # of all parts; limits the count

    def read(self, part: str, limit_bytes: int) -> bytes:
        """Read a part. Raises SceneError if it is missing or larger than the limit."""
        ...


@contextmanager
def open_bundle(path: AnyPath) -> Iterator[Parts]:
    """The parts in a .sog file. Raises SceneError if it is not a zip, OSError."""
    found = place(path)
    try:
        with local_copy(found) as file, zipfile.ZipFile(file) as archive:
            yield _Bundle(str(path), file.stat().st_size, archive)
    except zipfile.BadZipFile as error:
        with found.open("rb") as damaged:
            kind = kind_of(damaged.read(64))
        raise SceneError(f"{path}: not a .sog, or cut short: {kind}") from error
    except (zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise SceneError(
            f"{path}: can't be unpacked ({error}); it was cut short or is damaged: fetch or export"
            " it again"
        ) from error


def open_folder(meta_path: AnyPath) -> Parts:
    """The parts beside a meta.json."""
    return _Folder(place(meta_path))


class _Bundle:
    def __init__(self, name: str, total_bytes: int, archive: zipfile.ZipFile) -> None:
        self.name = name
        self.total_bytes = total_bytes
        self._archive = archive

    def read(self, part: str, limit_bytes: int) -> bytes:
        try:
            with self._archive.open(part) as file:
                data = file.read(limit_bytes + 1)
        except KeyError:
            raise _missing(self.name, part) from None
        _check_size(len(data), limit_bytes, self.name, part)
        return data


class _Folder:
    def __init__(self, meta_path: Place) -> None:
        self.name = str(meta_path)
        self._folder = meta_path.parent
        self.total_bytes = sum(p.stat().st_size for p in self._folder.iterdir() if p.is_file())

    def read(self, part: str, limit_bytes: int) -> bytes:
        path = self._folder / inner_name(part, self.name)
        try:
            _check_size(path.stat().st_size, limit_bytes, self.name, part)
            return path.read_bytes()
        except FileNotFoundError:
            raise _missing(self.name, part) from None


def inner_name(part: str, name: str) -> PurePosixPath:
    """The relative path of a part. Raises SceneError if it would leave the folder."""
    path = PurePosixPath(part)
    if path.is_absolute() or ".." in path.parts or "\\" in part or ":" in part or not path.parts:
        raise SceneError(f"{name}: the part {part!r} lies outside the scene's folder")
    return path


def read_meta(parts: Parts, part: str = "meta.json") -> Meta:
    """Read the JSON that describes the scene. Raises SceneError."""
    data = parts.read(part, _MAX_META_BYTES)
    try:
        return Meta(json.loads(data), parts.name)
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{parts.name}: {part} is no JSON ({error}); export it again") from error


class Meta:
    """Typed access to a JSON value. Raises SceneError for values of another type."""

    def __init__(self, value: Any, name: str, path: str = "meta.json") -> None:
        self.value = value
        self._name = name
        self._path = path

    def __getitem__(self, key: str) -> Meta:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return Meta(self.value.get(key), self._name, f"{self._path}: {key}")

    def __contains__(self, key: str) -> bool:
        return isinstance(self.value, dict) and self.value.get(key) is not None

    def names(self) -> list[str]:
        """The keys of an object."""
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return list(self.value)

    def items(self) -> Iterator[Meta]:
        """The values of a list."""
        if not isinstance(self.value, list):
            raise self.wrong("a list")
        for number, value in enumerate(self.value):
            yield Meta(value, self._name, f"{self._path}[{number}]")

    def integer(self, least: int = 0) -> int:
        """An integer."""
        if type(self.value) is not int or self.value < least:
            raise self.wrong(f"a whole number of at least {least}")
        return self.value

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            raise self.wrong("a string")
        return self.value

    def numbers(self, count: int | None = None) -> npt.NDArray[np.float64]:
        """A list of numbers, or one number as a list of one."""
        value = self.value if isinstance(self.value, list) else [self.value]
        good = all(type(v) in (int, float) for v in value)
        if not good or count not in (None, len(value)):
            raise self.wrong("a number" if count == 1 else f"{count or 'some'} numbers")
        try:
            return np.array(value, np.float64)
        except OverflowError:
            raise self.wrong("numbers in the range of a double") from None

    def wrong(self, expected: str) -> SceneError:
        """An error that states the expected value."""
        return SceneError(f"{self._name}: {self._path} is not {expected}; export the scene again")


def read_texels(
    parts: Parts, part: str, least: int, width: int | None = None, most: int | None = None
) -> Texels:
    """Read the pixels of a lossless WebP image with at least `least` pixels, and with `width`.

    Raises SceneError if it has fewer or far more than `most` (twice `least`), or is not such an
    image.
    """
    data = parts.read(part, parts.total_bytes)
    place = f"{parts.name}: {part}"
    found, height = _webp_size(data, place)
    pixels = found * height
    if pixels < least or (width is not None and found != width):
        raise SceneError(
            f"{place} has {found} x {height} pixels, at least {least} are needed"
            f"{'' if width is None else f' in rows of {width}'}; the scene is damaged"
        )
    if pixels > (2 * least if most is None else most) + _SPARE_PIXELS:
        raise SceneError(f"{place} has {pixels} pixels where {least} are needed; not unpacked")
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            return np.asarray(image.convert("RGBA")).reshape(-1, 4)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise SceneError(f"{place} is a damaged image ({error}); fetch it again") from error


def texture_width(parts: Parts, part: str) -> int:
    """The width of a WebP image in pixels. Raises SceneError."""
    return _webp_size(parts.read(part, parts.total_bytes), f"{parts.name}: {part}")[0]


def _webp_size(data: bytes, place: str) -> tuple[int, int]:
    """Width and height from the header of a lossless WebP, before it is decoded.

    RFC 9649, sections 2.6 and 2.7.
    """
    kind = data[12:16]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        if kind == b"VP8L" and data[20] == 0x2F:
            bits = int.from_bytes(data[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if kind == b"VP8X":
            width, height = data[24:27], data[27:30]
            return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    raise SceneError(f"{place} is no lossless WebP image; export the scene again")


def _check_size(size_bytes: int, limit_bytes: int, name: str, part: str) -> None:
    if size_bytes > limit_bytes:
        raise SceneError(f"{name}: {part} has more than {limit_bytes} bytes; not read")


def _missing(name: str, part: str) -> SceneError:
    return SceneError(f"{name}: the part {part!r} is missing; fetch or export the scene again")

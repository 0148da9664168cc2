"""Typed access to an untrusted MessagePack map: every value is checked when it is read.

Tables are maps of columns. Each column is the bytes of a little-endian array. Errors name the
section of the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgpack
import numpy as np
import numpy.typing as npt

from exgs.codec.constants import HASH_BYTES, MAX_MAGNITUDE, MAX_NESTING, MAX_TEXT_BYTES
from exgs.codec.errors import DamagedError, FormatError, LimitError
from exgs.codec.format.rows import Box

T = TypeVar("T")
Points = npt.NDArray[np.float32]  # [N, 3]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all except tab and line feed
_TOO_LONG = "is too long"


def text_fault(value: str) -> str:
    """Describe what is wrong with a text; empty if nothing is."""
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    if len(encoded) > MAX_TEXT_BYTES:
        return _TOO_LONG
    return "has control characters" if _CONTROL.search(value) else ""


def load_fields(raw: bytes, section: str, offset: int) -> Fields:
    """Decode the map in `raw`. Raises DamagedError."""
    try:
        return Fields(unpack_map(raw), section, offset)
    except ValueError as error:
        raise DamagedError(str(error), section=section, offset=offset) from error


def unpack_map(raw: bytes) -> dict[str, Any]:
    """Decode one MessagePack map that fills `raw`.

    Raises ValueError if `raw` is not such a map. The whole map is checked: keys must be strings
    and unique, strings must be UTF-8, and maps and lists at most MAX_NESTING deep.
    """
    try:
        value = msgpack.unpackb(raw, raw=False, strict_map_key=True, object_pairs_hook=_unique)
    except (ValueError, OverflowError, msgpack.exceptions.UnpackException) as error:
        raise ValueError(f"MessagePack: {str(error) or type(error).__name__}") from error
    if not isinstance(value, dict):
        raise ValueError("not a map")
    if _deeper(value, MAX_NESTING):
        raise ValueError(f"maps and lists are nested more than {MAX_NESTING} deep")
    return value


class Fields:
    """Typed access to one decoded map. Errors name its section."""

    def __init__(self, values: dict[str, Any], section: str, offset: int) -> None:
        self.values = values
        self.section = section
        self.offset = offset

    def damaged(self, problem: str) -> FormatError:
        return DamagedError(problem, section=self.section, offset=self.offset)

    def get(self, name: str, kind: type[T]) -> T:
        value = self.values.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.damaged(f"{name!r} is missing or of the wrong type")
        return value

    def text(self, name: str) -> str:
        value = self.get(name, str)
        fault = text_fault(value)
        if fault == _TOO_LONG:
            raise LimitError(f"{name!r} {fault}", section=self.section, offset=self.offset)
        if fault:
            raise self.damaged(f"{name!r} {fault}")
        return value

    def number(self, name: str) -> float:
        value = self.values.get(name)
        if value is None or not _is_number(value):
            raise self.damaged(f"{name!r} is missing or not a finite number")
        return float(value)

    def integer(self, name: str, limit: int) -> int:
        value = self.get(name, int)
        if value < 0:
            raise self.damaged(f"{name!r} is negative")
        if value > limit:
            raise LimitError(
                f"{name!r} is {value}, the limit is {limit}",
                section=self.section,
                offset=self.offset,
            )
        return value

    def boolean(self, name: str) -> bool:
        value = self.values.get(name)
        if not isinstance(value, bool):
            raise self.damaged(f"{name!r} is missing or not a boolean")
        return value

    def hash(self, name: str) -> bytes:
        value = self.get(name, bytes)
        if len(value) != HASH_BYTES:
            raise self.damaged(f"{name!r} is not a hash")
        return value

    def vector(self, name: str) -> tuple[float, float, float]:
        value = self.get(name, list)
        if len(value) != 3 or not all(map(_is_number, value)):
            raise self.damaged(f"{name!r} is not three finite numbers")
        return float(value[0]), float(value[1]), float(value[2])

    def boxes(self, low: str, high: str, count: int) -> list[Box]:
        """Read `count` boxes from the columns of their minima and maxima."""
        corners = self.corners(low, high, count)
        return [
            Box(tuple(a), tuple(b)) for a, b in zip(*(c.tolist() for c in corners), strict=True)
        ]

    def corners(self, low: str, high: str, count: int) -> tuple[Points, Points]:
        """Read the minima and maxima of `count` boxes."""
        corners = []
        for name in (low, high):
            value = self.get(name, bytes)
            if len(value) != 12 * count:
                raise self.damaged(f"column {name!r} does not have {count} points")
            array = np.frombuffer(value, "<f4").reshape(-1, 3)
            if not (np.abs(array) <= MAX_MAGNITUDE).all():
                raise self.damaged(f"{name!r} is not finite")
            corners.append(array)
        if (corners[0] > corners[1]).any():
            raise self.damaged("a box has a minimum above its maximum")
        return corners[0], corners[1]

    def nested(self, name: str) -> Fields:
        return Fields(self.get(name, dict), self.section, self.offset)

    def table(self, name: str, columns: dict[str, str], limit: int) -> list[tuple[Any, ...]]:
        return self.nested(name).columns(columns, limit)

    def columns(self, columns: dict[str, str], limit: int) -> list[tuple[Any, ...]]:
        arrays = self.arrays(columns, limit).values()
        return list(zip(*(array.tolist() for array in arrays), strict=True))

    def arrays(self, columns: dict[str, str], limit: int) -> dict[str, npt.NDArray[Any]]:
        """Read columns of equal length with at most `limit` rows."""
        arrays = {}
        for name, dtype in columns.items():
            value = self.get(name, bytes)
            size = np.dtype(dtype).itemsize
            if len(value) % size:
                raise self.damaged(f"column {name!r} is cut")
            if len(value) // size > limit:
                raise LimitError(
                    f"{len(value) // size} rows in column {name!r}, the limit is {limit}",
                    section=self.section,
                    offset=self.offset,
                )
            arrays[name] = np.frombuffer(value, dtype)
        if len({len(array) for array in arrays.values()}) > 1:
            raise self.damaged("columns differ in length")
        return arrays

    def hashes(self, count: int) -> list[bytes]:
        value = self.joined_hashes(count)
        return [value[i : i + HASH_BYTES] for i in range(0, len(value), HASH_BYTES)]

    def joined_hashes(self, count: int) -> bytes:
        """Read the column of `count` hashes."""
        value = self.get("hash", bytes)
        if len(value) != count * HASH_BYTES:
            raise self.damaged("the hash column has the wrong length")
        return value


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= MAX_MAGNITUDE
    )


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if not all(isinstance(name, str) for name, _ in pairs):
        raise ValueError("a key is not a string")
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice in a map")
    return values


def _deeper(value: object, levels: int) -> bool:
    """Whether `value` has more than `levels` nested maps and lists, including itself."""
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return not levels or any(_deeper(child, levels - 1) for child in children)

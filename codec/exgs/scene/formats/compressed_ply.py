"""Compressed PLY (PlayCanvas): chunks of 256 Gaussians, packed between the chunk's own bounds.

Element 'chunk' has the bounds, 'vertex' four 32-bit words a Gaussian, 'sh' 8 bits a coefficient:
https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/compressed-ply/
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from plyfile import PlyElement

from exgs.scene.errors import SceneError
from exgs.scene.formats.ply_header import MAX_HEADER_BYTES, parse_header, sh_rest
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.mending import mended
from exgs.scene.rotations import join_smallest_three

_CHUNK_ROWS = 256
_CHUNK = tuple(f"{end}_{axis}" for end in ("min", "max") for axis in "xyz")
_CHUNK += tuple(f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz")
_CHUNK_COLOR = tuple(f"{end}_{channel}" for end in ("min", "max") for channel in "rgb")
_VERTEX = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
_SH_RANGE = 8.0  # coefficients from -4 to 4

Rows = npt.NDArray[Any]  # structured, one field a property
Words = npt.NDArray[np.uint32]


def is_compressed_ply(path: str | os.PathLike[str]) -> bool:
    """Whether the header of a PLY declares an element 'chunk'; raises OSError."""
    with Path(path).open("rb") as file:
        head = file.read(MAX_HEADER_BYTES)
    return head.startswith(b"ply") and b"\nelement chunk " in head.partition(b"end_header")[0]


def read_compressed_ply(path: str | os.PathLike[str]) -> Gaussians:
    """The scene of a compressed PLY, with or without chunk colours and SH.

    Raises SceneError where the file is none, or holds less than its header says; OSError.
    """
    name = str(path)
    with Path(path).open("rb") as file:
        elements = _read_elements(file, name)
    chunk, vertex, sh = elements["chunk"], elements["vertex"], elements.get("sh")
    count = len(vertex)
    if len(chunk) != -(-count // _CHUNK_ROWS):
        raise SceneError(
            f"{name}: {len(chunk)} chunks for {count} vertices, expected one for every"
            f" {_CHUNK_ROWS}; the file is damaged: export it again"
        )
    if sh is not None and len(sh) != count:
        raise SceneError(f"{name}: {len(sh)} rows of SH for {count} vertices; export it again")
    with np.errstate(invalid="ignore", over="ignore"):  # bounds may be anything
        scales = _within(chunk, "scale_", "xyz", _unpack_11_10_11(vertex["packed_scale"]))
        color = _unpack(vertex["packed_color"], (24, 8), (16, 8), (8, 8), (0, 8))
        rgb = color[:, :3]
        if _CHUNK_COLOR[0] in (chunk.dtype.names or ()):
            rgb = _within(chunk, "", "rgb", rgb)
        return mended(
            name,
            means=_within(chunk, "", "xyz", _unpack_11_10_11(vertex["packed_position"])),
            quats=_unpack_rotation(vertex["packed_rotation"]),
            scales=np.exp(scales),
            opacities=color[:, 3],
            sh0=(rgb - np.float32(0.5)) / np.float32(SH_C0),
            shN=_unpack_sh(sh, count),
        )


def _read_elements(file: BinaryIO, name: str) -> dict[str, Rows]:
    """The elements that a compressed PLY has, each as a structured array."""
    size = os.fstat(file.fileno()).st_size
    data, counts, at = parse_header(file.read(MAX_HEADER_BYTES), name)
    if data.text or data.byte_order != "<":
        raise SceneError(f"{name}: a compressed PLY must be binary_little_endian")
    elements: dict[str, Rows] = {}
    for element, count in zip(data.elements, counts, strict=True):
        dtype = _checked_dtype(element, name)
        if count < 0 or at + count * dtype.itemsize > size:
            raise SceneError(
                f"{name}: element '{element.name}' should have {count} rows, the file ends before;"
                " it was cut short or is damaged: fetch or export it again"
            )
        file.seek(at)
        elements[element.name] = np.fromfile(file, dtype, count)
        at += count * dtype.itemsize
    for needed in ("chunk", "vertex"):
        if needed not in elements:
            raise SceneError(f"{name}: no element '{needed}' in this compressed PLY")
    return elements


def _checked_dtype(element: PlyElement, name: str) -> np.dtype[Any]:
    """The row of an element; raises SceneError where it is not what the format says."""
    properties = {prop.name for prop in element.properties}
    types = {"chunk": "<f4", "vertex": "<u4", "sh": "|u1"}
    rest = [sh_rest(k) for k in (3, 8, 15)]
    schemas = {
        "chunk": [set(_CHUNK), {*_CHUNK, *_CHUNK_COLOR}],
        "vertex": [set(_VERTEX)],
        "sh": [set(names) for names in rest],
    }
    if element.name not in types or properties not in schemas[element.name]:
        raise SceneError(
            f"{name}: element '{element.name}' is none of a compressed PLY, or has other"
            " properties than one; export the scene again, as .compressed.ply or .ply"
        )
    row: list[tuple[str, str]] = []
    for prop in element.properties:
        if np.dtype(prop.dtype("<")) != np.dtype(types[element.name]):
            raise SceneError(f"{name}: property '{prop.name}' has an unexpected type")
        row.append((prop.name, types[element.name]))
    return np.dtype(row)


def _within(chunk: Rows, quantity: str, axes: str, parts: FloatArray) -> FloatArray:
    """Fractions [N, 3] of the way from the chunk's lower to its upper bounds, as values."""
    at = np.arange(len(parts)) // _CHUNK_ROWS
    low, high = (
        np.stack([chunk[f"{end}_{quantity}{axis}"] for axis in axes], axis=1)[at]
        for end in ("min", "max")
    )
    values: FloatArray = (low * (1 - parts) + high * parts).astype(np.float32)
    return values


def _unpack(words: Words, *fields: tuple[int, int]) -> FloatArray:
    """Fields (shift, bits) of the words as fractions of their range, [N, fields]."""
    parts = [(words >> shift & ((1 << bits) - 1)) / ((1 << bits) - 1) for shift, bits in fields]
    return np.stack(parts, axis=1).astype(np.float32)


def _unpack_11_10_11(words: Words) -> FloatArray:
    return _unpack(words, (21, 11), (11, 10), (0, 11))


def _unpack_rotation(words: Words) -> FloatArray:
    smallest = (_unpack(words, (20, 10), (10, 10), (0, 10)) - np.float32(0.5)) * np.sqrt(2)
    return join_smallest_three(smallest.astype(np.float32), (words >> 30).astype(np.intp))


def _unpack_sh(sh: Rows | None, count: int) -> FloatArray:
    """Coefficients [N, K, 3]; the outermost steps stand for the ends of the range."""
    if sh is None:
        return np.zeros((count, 0, 3), np.float32)
    names = sh_rest(len(sh.dtype.names or ()) // 3)
    bytes_ = np.stack([sh[name] for name in names], axis=1)
    steps = (np.arange(256) + 0.5) / 256
    steps[0], steps[255] = 0, 1
    values = ((steps - 0.5) * _SH_RANGE)[bytes_]
    coefficients: FloatArray = values.reshape(count, 3, -1).transpose(0, 2, 1).astype(np.float32)
    return coefficients

"""Compressed PLY (PlayCanvas): chunks of 256 Gaussians, quantized between the bounds of the chunk.

Element 'chunk' has the bounds, 'vertex' four 32-bit words per Gaussian, 'sh' 8 bits per value:
https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/compressed-ply/
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from plyfile import PlyElement

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.files import atomic_write
from exgs.scene.formats.order import morton_order
from exgs.scene.formats.ply_header import MAX_HEADER_BYTES, parse_header, sh_rest
from exgs.scene.formats.render_mode import MIP_COMMENT, is_antialiased, warn_of_lost_facts
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.repair import SH_CUT, SH_KEPT, repaired
from exgs.scene.rotations import join_smallest_three, split_smallest_three
from exgs.scene.scene import Scene
from exgs.scene.stores import AnyPath, place
from exgs.scene.transform import rebased

_CHUNK_ROWS = 256
_CHUNK = tuple(f"{end}_{axis}" for end in ("min", "max") for axis in "xyz")
_CHUNK += tuple(f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz")
_CHUNK_COLOR = tuple(f"{end}_{channel}" for end in ("min", "max") for channel in "rgb")
_VERTEX = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
_SH_RANGE = 8.0  # coefficients from -4 to 4
_MAX_LOG_SCALE = 20.0  # of the bounds, as splat-transform clamps them

Rows = npt.NDArray[Any]  # structured, one field a property
Words = npt.NDArray[np.uint32]


def is_compressed_ply(path: AnyPath) -> bool:
    """Whether the header of a PLY declares an element 'chunk'. Raises OSError, StoreError."""
    with place(path).open("rb") as file:
        head = file.read(MAX_HEADER_BYTES)
    return head.startswith(b"ply") and b"\nelement chunk " in head.partition(b"end_header")[0]


def read_compressed_ply(path: str | os.PathLike[str]) -> Scene:
    """Read a compressed PLY, with or without chunk colours and SH.

    Raises SceneError if the file is invalid or shorter than its header states; OSError.
    """
    name = str(path)
    with Path(path).open("rb") as file:
        elements, comments = _read_elements(file, name)
    chunk, vertex, sh = elements["chunk"], elements["vertex"], elements.get("sh")
    count = len(vertex)
    if len(chunk) != -(-count // _CHUNK_ROWS):
        raise SceneError(
            f"{name}: {len(chunk)} chunks for {count} vertices, expected one for every"
            f" {_CHUNK_ROWS}; the file is damaged: export it again"
        )
    if sh is not None and len(sh) != count:
        raise SceneError(f"{name}: {len(sh)} rows of SH for {count} vertices; export it again")
    with np.errstate(invalid="ignore", over="ignore"):  # bounds may have any value
        scales = _within(chunk, "scale_", "xyz", _unpack_11_10_11(vertex["packed_scale"]))
        color = _unpack(vertex["packed_color"], (24, 8), (16, 8), (8, 8), (0, 8))
        rgb = color[:, :3]
        if _CHUNK_COLOR[0] in (chunk.dtype.names or ()):
            rgb = _within(chunk, "", "rgb", rgb)
        gaussians = repaired(
            name,
            means=_within(chunk, "", "xyz", _unpack_11_10_11(vertex["packed_position"])),
            quats=_unpack_rotation(vertex["packed_rotation"]),
            scales=np.exp(scales),
            opacities=color[:, 3],
            sh0=(rgb - np.float32(0.5)) / np.float32(SH_C0),
            shN=_unpack_sh(sh, count, name),
        )
    return rebased(Scene(gaussians, antialiased=is_antialiased(comments)))


def write_compressed_ply(path: str | os.PathLike[str], scene: Scene | Gaussians) -> None:
    """Write a compressed PLY in Morton order. SH coefficients are clamped to -4..4.

    Positions are relative to the scene's origin. An existing file is replaced atomically. Warns
    about facts that the format can't store. Raises OSError.
    """
    scene = Scene.of(scene)
    warn_of_lost_facts(scene, str(path), mode=False, origin=True)
    part = scene.gaussians.select(morton_order(scene.gaussians.means))
    logs = np.clip(np.log(part.scales.astype(np.float64)), -_MAX_LOG_SCALE, _MAX_LOG_SCALE)
    rgb = 0.5 + SH_C0 * part.sh0.astype(np.float64)
    bounds, words = [], []
    for values, bits in (
        (part.means.astype(np.float64), (11, 10, 11)),
        (logs, (11, 10, 11)),
        (rgb, (8, 8, 8)),
    ):
        low, high, fractions = _fractions_of_chunks(values)
        bounds.append(np.concatenate([low, high], axis=1))
        words.append(_pack(fractions, bits))
    position, scale, color = words
    alpha = np.rint(part.opacities * 255).astype(np.uint32)
    vertices = np.stack(
        [position, _pack_rotation(part.quats), scale, color << np.uint32(8) | alpha], axis=1
    )
    steps = np.floor((part.shN.transpose(0, 2, 1) / _SH_RANGE + 0.5) * 256)
    rest = sh_rest(part.shN.shape[1])
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {MIP_COMMENT}"] if scene.antialiased else []
    lines += [f"element chunk {len(bounds[0])}"]
    lines += [f"property float {name}" for name in (*_CHUNK, *_CHUNK_COLOR)]
    lines += [f"element vertex {len(part)}", *(f"property uint {name}" for name in _VERTEX)]
    if rest:
        lines += [f"element sh {len(part)}", *(f"property uchar {name}" for name in rest)]
    with atomic_write(path) as file:
        file.write("\n".join([*lines, "end_header", ""]).encode())
        file.write(np.concatenate(bounds, axis=1).astype("<f4").tobytes())
        file.write(vertices.astype("<u4").tobytes())
        file.write(np.clip(steps, 0, 255).astype(np.uint8).tobytes())


def _fractions_of_chunks(
    values: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lower and upper bounds [C, 3] of each chunk in float32, and values as fractions of them."""
    starts = np.arange(0, len(values), _CHUNK_ROWS)
    if not len(starts):
        return np.empty((0, 3)), np.empty((0, 3)), np.empty((0, 3))
    low, high = (
        edge.reduceat(values, starts).astype(np.float32).astype(np.float64)
        for edge in (np.minimum, np.maximum)
    )
    at = np.arange(len(values)) // _CHUNK_ROWS
    span = np.maximum(high - low, 1e-30)[at]
    return low, high, np.clip((values - low[at]) / span, 0, 1)


def _pack(fractions: npt.NDArray[np.float64], bits: tuple[int, ...]) -> Words:
    """Pack fractions [N, fields] into words, the first field in the highest bits."""
    word = np.zeros(len(fractions), np.uint32)
    for column, width in zip(fractions.T, bits, strict=True):
        step = np.rint(column * ((1 << width) - 1)).astype(np.uint32)
        word = word << np.uint32(width) | step
    return word


def _pack_rotation(quats: FloatArray) -> Words:
    smallest, largest = split_smallest_three(quats)
    fractions = np.clip(smallest.astype(np.float64) / np.sqrt(2) + 0.5, 0, 1)
    return largest.astype(np.uint32) << np.uint32(30) | _pack(fractions, (10, 10, 10))


def _read_elements(file: BinaryIO, name: str) -> tuple[dict[str, Rows], tuple[str, ...]]:
    """The elements of a compressed PLY as structured arrays, and its comments."""
    size = os.fstat(file.fileno()).st_size
    header = parse_header(file.read(MAX_HEADER_BYTES), name)
    data, counts, at = header.data, header.counts, header.header_bytes
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
    return elements, header.comments


def _checked_dtype(element: PlyElement, name: str) -> np.dtype[Any]:
    """The dtype of an element's rows. Raises SceneError if it violates the format."""
    properties = {prop.name for prop in element.properties}
    types = {"chunk": "<f4", "vertex": "<u4", "sh": "|u1"}
    rest = [sh_rest(k) for k in (3, 8, 15, 24)]
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
    """Convert fractions [N, 3] between the bounds of a chunk to values."""
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


def _unpack_sh(sh: Rows | None, count: int, name: str) -> FloatArray:
    """Coefficients [N, K, 3]. The outermost steps are the ends of the range."""
    if sh is None:
        return np.zeros((count, 0, 3), np.float32)
    names = sh_rest(len(sh.dtype.names or ()) // 3)
    bytes_ = np.stack([sh[name] for name in names], axis=1)
    steps = (np.arange(256) + 0.5) / 256
    steps[0], steps[255] = 0, 1
    values = ((steps - 0.5) * _SH_RANGE)[bytes_]
    coefficients = values.reshape(count, 3, len(names) // 3).transpose(0, 2, 1)
    if coefficients.shape[1] > SH_KEPT:
        warnings.warn(f"{name}: {SH_CUT}", SceneWarning, stacklevel=4)
    kept: FloatArray = coefficients[:, :SH_KEPT].astype(np.float32)
    return kept

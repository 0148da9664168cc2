"""glTF binaries with KHR_gaussian_splatting: Gaussians as points of mesh primitives.

glTF uses LUF axes (y up). Nodes of a scene place its primitives, which may be SPZ-compressed:
https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Khronos/KHR_gaussian_splatting
"""

from __future__ import annotations

import json
import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.scene.beginnings import kind_of
from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.files import atomic_write
from exgs.scene.formats.render_mode import warn_of_lost_facts
from exgs.scene.formats.sog_files import Meta
from exgs.scene.formats.spz import unpack_spz
from exgs.scene.frames import LUF, to_rdf
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.repair import repaired
from exgs.scene.scene import Scene
from exgs.scene.transform import affine, joined, rebased, turned

_EXTENSION = "KHR_gaussian_splatting"
_SPZ = ("KHR_gaussian_splatting_compression_spz_2", "KHR_gaussian_splatting_compression_spz")
_BANDS = (3, 5, 7)
_HEADER = struct.Struct("<4sII")
_CHUNK = struct.Struct("<I4s")
_MAX_NODES = 1 << 16
_MAX_DEPTH = 64
_FLOAT, _UBYTE = 5126, 5121
_TYPES: dict[int, str] = {
    5120: "<i1",
    _UBYTE: "<u1",
    5122: "<i2",
    5123: "<u2",
    5125: "<u4",
    _FLOAT: "<f4",
}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_COLOR_SPACES = ("srgb_rec709_display", "lin_rec709_display")

Matrix = npt.NDArray[np.float64]


def read_glb(path: str | os.PathLike[str]) -> Scene:
    """Read all splat primitives of a .glb as one scene, placed by its nodes, in RDF.

    Raises SceneError if the file is invalid or has no splats in a known form; OSError.
    """
    name = str(path)
    meta, binary = _read_chunks(Path(path).read_bytes(), name)
    file = _File(meta, binary, name)
    parts = []
    for mesh, matrix in _placed_meshes(file):
        for primitive in mesh["primitives"].items():
            if _EXTENSION in primitive["extensions"]:
                parts.append(_placed(file.splats(primitive), matrix))
    if not parts:
        raise SceneError(
            f"{name}: no primitive with {_EXTENSION} in its scene: no splats; export them with that"
            " extension, or as .ply"
        )
    return rebased(joined(parts))


def write_glb(path: str | os.PathLike[str], scene: Scene | Gaussians) -> None:
    """Write a .glb with one primitive and float attributes. Its node has the scene's origin.

    An existing file is replaced atomically. A SceneWarning says that the rendering mode is lost.
    Raises OSError.
    """
    scene = Scene.of(scene)
    warn_of_lost_facts(scene, str(path), mode=True, origin=False)
    matrix = to_rdf(LUF).T
    gaussians = turned(scene.gaussians, matrix)
    rgb = 0.5 + SH_C0 * gaussians.sh0.astype(np.float64)
    rgba = np.clip(np.column_stack([_linear(rgb), gaussians.opacities]), 0, 1)
    columns: list[tuple[str, npt.NDArray[Any]]] = [
        ("POSITION", gaussians.means),
        ("COLOR_0", np.rint(rgba * 255).astype(np.uint8)),
        (f"{_EXTENSION}:ROTATION", np.roll(gaussians.quats, -1, axis=1)),
        (f"{_EXTENSION}:SCALE", gaussians.scales),
        (f"{_EXTENSION}:OPACITY", gaussians.opacities[:, None]),
        (f"{_EXTENSION}:SH_DEGREE_0_COEF_0", gaussians.sh0),
    ]
    names = _harmonics(gaussians.sh_degree)
    columns += [(name, gaussians.shN[:, k]) for k, name in enumerate(names)]
    views, accessors, at = [], [], 0
    for number, (_, values) in enumerate(columns):
        views.append({"buffer": 0, "byteOffset": at, "byteLength": values.nbytes, "target": 34962})
        accessor: dict[str, Any] = {
            "bufferView": number,
            "componentType": _UBYTE if values.dtype == np.uint8 else _FLOAT,
            "count": len(values),
            "type": {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[values.shape[1]],
        }
        if values.dtype == np.uint8:
            accessor["normalized"] = True
        if number == 0 and len(values):
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        accessors.append(accessor)
        at += values.nbytes
    node: dict[str, Any] = {"mesh": 0}
    if any(scene.origin):
        node["translation"] = (matrix @ np.array(scene.origin)).tolist()
    primitive = {
        "attributes": {name: number for number, (name, _) in enumerate(columns)},
        "mode": 0,
        "extensions": {_EXTENSION: {"kernel": "ellipse", "colorSpace": _COLOR_SPACES[0]}},
    }
    meta = {
        "asset": {"version": "2.0", "generator": "exgs"},
        "extensionsUsed": [_EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [node],
        "meshes": [{"primitives": [primitive]}],
        "buffers": [{"byteLength": at}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(meta).encode()
    text += b" " * (-len(text) % 4)
    with atomic_write(path) as file:
        file.write(_HEADER.pack(b"glTF", 2, 12 + 8 + len(text) + 8 + at))
        file.write(_CHUNK.pack(len(text), b"JSON") + text)
        file.write(_CHUNK.pack(at, b"BIN\0"))
        for _, values in columns:
            file.write(np.ascontiguousarray(values).tobytes())


def _harmonics(degree: int) -> list[str]:
    """The attribute names of all coefficients from degree 1 to `degree`, in PLY order."""
    return [
        f"{_EXTENSION}:SH_DEGREE_{band + 1}_COEF_{number}"
        for band, width in enumerate(_BANDS[:degree])
        for number in range(width)
    ]


def _linear(rgb: Matrix) -> Matrix:
    """Convert sRGB in [0, 1] to linear light for COLOR_0."""
    clipped = np.clip(rgb, 0, 1)
    linear: Matrix = np.where(
        clipped <= 0.04045, clipped / 12.92, ((clipped + 0.055) / 1.055) ** 2.4
    )
    return linear


def _read_chunks(data: bytes, name: str) -> tuple[Meta, bytes]:
    """The JSON and the binary chunk of a .glb."""
    if len(data) < _HEADER.size or not data.startswith(b"glTF"):
        raise SceneError(f"{name}: not a .glb: {kind_of(data)}")
    _, version, size = _HEADER.unpack_from(data)
    if version != 2:
        raise SceneError(f"{name}: glTF of version {version}; exgs reads 2")
    if size > len(data):
        raise SceneError(f"{name}: {len(data)} of {size} bytes; it was cut short: fetch it again")
    chunks: dict[bytes, bytes] = {}
    at = _HEADER.size
    while at + _CHUNK.size <= size:
        length, kind = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        chunks.setdefault(kind, data[at : at + length])
        at += length
    try:
        value = json.loads(chunks.get(b"JSON", b""))
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{name}: its JSON chunk is damaged ({error})") from error
    return Meta(value, name, "JSON"), chunks.get(b"BIN\0", b"")


class _File:
    """Accessors and splats of one file."""

    def __init__(self, meta: Meta, binary: bytes, name: str) -> None:
        self.meta = meta
        self.name = name
        self._binary = binary

    def item(self, key: str, number: int) -> Meta:
        """Entry `number` of a list of the root."""
        for index, entry in enumerate(self.meta[key].items()):
            if index == number:
                return entry
        raise self.meta[key].wrong(f"a list of {number + 1} or more")

    def view(self, number: int) -> bytes:
        """The bytes of a buffer view."""
        view = self.item("bufferViews", number)
        start = view["byteOffset"].integer() if "byteOffset" in view else 0
        end = start + view["byteLength"].integer()
        if view["buffer"].integer() != 0 or "uri" in self.item("buffers", 0):
            raise SceneError(f"{self.name}: its data lie in other files; pack them into the .glb")
        if end > len(self._binary):
            raise SceneError(f"{self.name}: a buffer view ends behind the file; it is damaged")
        return self._binary[start:end]

    def splats(self, primitive: Meta) -> Scene:
        """The Gaussians of a primitive in glTF's axes, without the transforms of nodes."""
        extension = primitive["extensions"][_EXTENSION]
        kernel = extension["kernel"].text() if "kernel" in extension else "ellipse"
        if kernel != "ellipse":
            raise SceneError(f"{self.name}: splats of kernel {kernel!r}; only 'ellipse' is known")
        self._check_color(extension)
        for packed in _SPZ:
            if packed in extension["extensions"]:
                view = extension["extensions"][packed]["bufferView"].integer()
                scene, frame = unpack_spz(self.view(view), self.name)
                matrix = np.eye(3) if frame is None else to_rdf(LUF).T @ to_rdf(frame)
                return Scene(turned(scene.gaussians, matrix), antialiased=scene.antialiased)
        attributes = primitive["attributes"]

        def values(name: str) -> FloatArray:
            return self._values(attributes[name].integer())

        means = values("POSITION")
        degree = sum(f"{_EXTENSION}:SH_DEGREE_{d}_COEF_0" in attributes for d in (1, 2, 3))
        harmonics = [values(name) for name in _harmonics(degree)]
        parts = {
            "quats": np.roll(values(f"{_EXTENSION}:ROTATION"), 1, axis=1),
            "scales": values(f"{_EXTENSION}:SCALE"),
            "opacities": values(f"{_EXTENSION}:OPACITY")[:, 0],
            "sh0": values(f"{_EXTENSION}:SH_DEGREE_0_COEF_0"),
        }
        lengths = {len(part) for part in (means, *parts.values(), *harmonics)}
        if len(lengths) > 1:
            raise SceneError(f"{self.name}: attributes of {lengths} splats; it is damaged")
        shN = np.stack(harmonics, 1) if harmonics else np.zeros((len(means), 0, 3), np.float32)
        return Scene(repaired(self.name, means=means, shN=shN, **parts))

    def _check_color(self, extension: Meta) -> None:
        space = extension["colorSpace"].text() if "colorSpace" in extension else _COLOR_SPACES[0]
        if space != _COLOR_SPACES[0]:
            warnings.warn(
                f"{self.name}: colours of {space!r} are taken as sRGB: tones will differ",
                SceneWarning,
                stacklevel=5,
            )

    def _values(self, number: int) -> FloatArray:
        """An accessor as floats [N, components]."""
        accessor = self.item("accessors", number)
        if "sparse" in accessor or "bufferView" not in accessor:
            raise SceneError(f"{self.name}: sparse accessors are not read; export plain ones")
        kind = accessor["componentType"].integer()
        width = _WIDTHS.get(accessor["type"].text())
        if kind not in _TYPES or width is None:
            raise accessor.wrong("an accessor of scalars or of 3 or 4 numbers")
        dtype = np.dtype(_TYPES[kind])
        view_number = accessor["bufferView"].integer()
        data = self.view(view_number)
        view = self.item("bufferViews", view_number)
        start = accessor["byteOffset"].integer() if "byteOffset" in accessor else 0
        count, row = accessor["count"].integer(), width * dtype.itemsize
        stride = view["byteStride"].integer(least=1) if "byteStride" in view else row
        if stride < row or (count and start + (count - 1) * stride + row > len(data)):
            raise SceneError(f"{self.name}: an accessor ends behind its buffer view; damaged")
        stored = np.ndarray((count, width), dtype, data, start, (stride, dtype.itemsize))
        values = stored.astype(np.float32)
        if "normalized" in accessor and accessor["normalized"].value is True:
            values = np.maximum(values / np.float32(np.iinfo(dtype).max), -1)
        return values


def _placed(scene: Scene, matrix: Matrix) -> Scene:
    """Transform Gaussians in glTF's axes by the matrix [4, 4] of their node, to RDF."""
    linear = matrix[:3, :3]
    gaussians = scene.gaussians
    if not np.array_equal(linear, np.eye(3)):
        gaussians = affine(gaussians, linear, np.zeros(3))
    turn = to_rdf(LUF)
    x, y, z = (float(value) for value in turn @ matrix[:3, 3])
    return Scene(turned(gaussians, turn), antialiased=scene.antialiased, origin=(x, y, z))


def _placed_meshes(file: _File) -> Iterator[tuple[Meta, Matrix]]:
    """The meshes of the file's scene and their matrices. Without a scene, all nodes are used."""
    meta = file.meta
    if "scenes" in meta:
        number = meta["scene"].integer() if "scene" in meta else 0
        roots = [node.integer() for node in file.item("scenes", number)["nodes"].items()]
    else:
        roots = list(range(len(list(meta["nodes"].items()))))
    waiting = [(number, np.eye(4), 0) for number in roots]
    seen = 0
    while waiting:
        number, above, depth = waiting.pop()
        seen += 1
        if seen > _MAX_NODES or depth > _MAX_DEPTH:
            raise SceneError(f"{file.name}: too many or too deep nodes; not read")
        node = file.item("nodes", number)
        matrix = above @ _matrix(node)
        if "mesh" in node:
            yield file.item("meshes", node["mesh"].integer()), matrix
        if "children" in node:
            waiting += [(c.integer(), matrix, depth + 1) for c in node["children"].items()]


def _matrix(node: Meta) -> Matrix:
    """The local transformation of a node, [4, 4]."""
    if "matrix" in node:
        matrix = node["matrix"].numbers(16).reshape(4, 4).T
    else:
        matrix = np.eye(4)
        if "rotation" in node:
            x, y, z, w = node["rotation"].numbers(4)
            matrix[:3, :3] = _rotation(w, x, y, z)
        if "scale" in node:
            matrix[:3, :3] *= node["scale"].numbers(3)
        if "translation" in node:
            matrix[:3, 3] = node["translation"].numbers(3)
    if not np.isfinite(matrix).all() or not np.linalg.det(matrix[:3, :3]) > 0:
        raise node.wrong("a node that turns, moves and scales without mirroring")
    return matrix


def _rotation(w: float, x: float, y: float, z: float) -> Matrix:
    s = 2 / max(w * w + x * x + y * y + z * z, 1e-30)
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
            [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
            [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
        ]
    )

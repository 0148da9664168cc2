"""The header of a splat PLY, checked against the size of the file.

plyfile parses it with all counts set to 0, so that nothing is read or allocated according to it.
Each deviation from an INRIA-style PLY has its own message. Variants of other trainers are
recognised by their properties: no scale_2 (2DGS), red green blue (nerfstudio), filter_3D
(Mip-Splatting), 72 f_rest (SH degree 4).
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from plyfile import PlyData, PlyElement, PlyListProperty, PlyParseError

from exgs.scene.beginnings import kind_of
from exgs.scene.errors import SceneError

MEAN = ("x", "y", "z")
SH0 = ("f_dc_0", "f_dc_1", "f_dc_2")
SCALE = ("scale_0", "scale_1", "scale_2")
QUAT = ("rot_0", "rot_1", "rot_2", "rot_3")
RGB = ("red", "green", "blue")
FILTER = "filter_3D"
_REQUIRED = (*MEAN, *SH0, "opacity", *SCALE, *QUAT)
_REST = (0, 9, 24, 45, 72)  # f_rest properties of SH degree 0 to 4

MAX_HEADER_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Layout:
    """The position of the vertices in a PLY, and the layout of a row."""

    count: int
    dtype: np.dtype[Any]  # one field per property
    sh_coefficients: int  # higher coefficients per channel, K: 0, 3, 8, 15 or 24
    is_text: bool
    header_bytes: int
    skip: int  # size of elements before the vertices: bytes, or lines of a text file
    comments: tuple[str, ...]
    is_flat: bool  # no scale_2: 2D Gaussians
    is_rgb: bool  # red, green and blue instead of f_dc
    has_filter: bool  # has the 3D filter of Mip-Splatting, to be applied to scales and opacities


@dataclass(frozen=True, slots=True)
class Header:
    """A PLY header: elements with counts of 0, the true counts, and the other facts."""

    data: PlyData
    counts: list[int]
    comments: tuple[str, ...]
    header_bytes: int


def sh_rest(sh_coefficients: int) -> list[str]:
    """The names of the higher coefficients in channel-major order: index = channel * K + k."""
    return [f"f_rest_{i}" for i in range(3 * sh_coefficients)]


def read_layout(file: BinaryIO, name: str) -> Layout:
    """Read the layout of a PLY file that is open at its start. `name` is for messages.

    Raises SceneError if it is not a splat PLY, or states more than the file holds.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = parse_header(file.read(MAX_HEADER_BYTES), name)
    data, counts, header_bytes = header.data, header.counts, header.header_bytes
    elements: Sequence[PlyElement] = data.elements
    vertex, sh_coefficients = _find_splats(elements, name)
    least = header_bytes  # least size of the file in bytes
    skip = 0
    for element, count in zip(elements, counts, strict=True):
        if count < 0:
            raise SceneError(f"{name}: the header counts {count} of element '{element.name}'")
        least += count * _least_row_bytes(element, data.text)
    if least > size + data.text:  # the last line of a text may lack its newline
        raise SceneError(
            f"{name}: the header promises at least {least} bytes, the file has {size};"
            " it was cut short or is damaged: fetch or export it again"
        )
    at = elements.index(vertex)
    for element, count in zip(elements[:at], counts, strict=False):
        if count and not data.text and _has_lists(element):
            raise SceneError(
                f"{name}: element '{element.name}' has lists and stands before the vertices;"
                " save the file with the vertices first"
            )
        skip += count if data.text else count * _least_row_bytes(element, data.text)
    present = {prop.name for prop in vertex.properties}
    return Layout(
        counts[at],
        vertex.dtype(data.byte_order),
        sh_coefficients,
        data.text,
        header_bytes,
        skip,
        header.comments,
        is_flat=SCALE[2] not in present,
        is_rgb=not present.issuperset(SH0),
        has_filter=FILTER in present,
    )


def parse_header(head: bytes, name: str) -> Header:
    """Read the header of a file. Raises SceneError."""
    if not head.startswith((b"ply\n", b"ply\r")):
        raise SceneError(f"{name}: not a PLY file: {kind_of(head)}")
    newline = b"\r\n" if head[3:5] == b"\r\n" else head[3:4]
    last = newline + b"end_header" + newline
    end = head.find(last)
    if end < 0:
        raise SceneError(
            f"{name}: no end_header in the first {len(head)} bytes;"
            " the file was cut short or is damaged: fetch or export it again"
        )
    lines: list[str] = []
    counts: list[int] = []
    comments: list[str] = []
    try:
        for line in head[:end].decode("latin-1").split(newline.decode()):
            words = line.split()
            if words[:1] == ["element"] and len(words) == 3:
                counts.append(int(words[2]))
                lines.append(f"element {words[1]} 0")
            elif words[:1] == ["comment"]:
                comments.append(line.partition("comment")[2].strip())
            elif words[:1] != ["obj_info"]:
                lines.append(line)
        text = "\n".join([*lines, "end_header", ""])
        data = PlyData.read(io.BytesIO(text.encode("latin-1")))
        return Header(data, counts, tuple(comments), end + len(last))
    except (PlyParseError, ValueError) as error:
        raise SceneError(f"{name}: the PLY header is damaged: {error}") from error


def _find_splats(elements: Sequence[PlyElement], name: str) -> tuple[PlyElement, int]:
    """The element with the splats, and K."""
    named = {element.name: element for element in elements}
    if "chunk" in named:
        raise SceneError(
            f"{name}: a compressed PLY (it has an element 'chunk');"
            " convert it to an uncompressed .ply first, with splat-transform for example"
        )
    if "vertex" not in named:
        raise SceneError(f"{name}: no element 'vertex' in the PLY: not a splat scene")
    vertex = named["vertex"]
    present = {prop.name for prop in vertex.properties}
    optional = {SCALE[2], *(SH0 if present.issuperset(RGB) else ())}
    missing = [prop for prop in _REQUIRED if prop not in present and prop not in optional]
    if not present.difference(MEAN).intersection(_REQUIRED):
        raise SceneError(
            f"{name}: a point cloud or mesh, its vertices have no splat properties"
            " (f_dc_*, opacity, scale_*, rot_*); name the .ply that a 3DGS trainer wrote"
        )
    if missing:
        raise SceneError(
            f"{name}: the vertices lack {', '.join(missing)};"
            " export the scene as an INRIA-style 3DGS .ply"
        )
    rest = sum(prop.startswith("f_rest_") for prop in present)
    if rest not in _REST or not present.issuperset(sh_rest(rest // 3)):
        raise SceneError(
            f"{name}: the vertices have {rest} f_rest properties; 0, 9, 24, 45 or 72 in one series"
            " are expected (SH degree 0 to 4)"
        )
    if _has_lists(vertex):
        raise SceneError(f"{name}: the vertices have lists; save the file without them")
    return vertex, rest // 3


def _has_lists(element: PlyElement) -> bool:
    return any(isinstance(prop, PlyListProperty) for prop in element.properties)


def _least_row_bytes(element: PlyElement, is_text: bool) -> int:
    """The size of a row in bytes; the minimum for rows with lists and lines of text."""
    if is_text:
        return max(1, 2 * len(element.properties))  # one digit and one separator each
    return sum(
        np.dtype(p.list_dtype()[0] if isinstance(p, PlyListProperty) else p.dtype()).itemsize
        for p in element.properties
    )

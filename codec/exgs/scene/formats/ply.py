"""Reads and writes INRIA-style PLY files: one vertex per Gaussian, log scales, logits, RDF axes.

Rows are converted block by block into the final arrays, so memory holds a large scene only once.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.files import atomic_write
from exgs.scene.formats.ply_header import (
    FILTER,
    MEAN,
    QUAT,
    RGB,
    SCALE,
    SH0,
    Layout,
    read_layout,
    sh_rest,
)
from exgs.scene.formats.render_mode import MIP_COMMENT, is_antialiased
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.repair import (
    FLAT,
    MIN_SCALE,
    NO_NUMBER,
    NO_ROTATION,
    SH_CUT,
    SH_KEPT,
    TOO_LARGE,
    are_sane,
)
from exgs.scene.scene import Scene, Vector
from exgs.scene.stores import AnyPath, StorePath, place
from exgs.scene.transform import rebased

_BLOCK_ROWS = 1 << 14

_ROUNDING = 0.1  # largest error of a position without a warning, relative to the largest scale
_MAX_LOGIT = 20.0  # a float32 sigmoid of this is 1, and of its negative far below 1/255
_FLAT_SHARE = 1e-3  # thickness of a 2D Gaussian, relative to its smaller axis
_MAX_PLACE = 1e15  # positions beyond are not used to choose an origin
_CRS = re.compile(r"crs:?\s+(\S.*)", re.IGNORECASE)

Rows = npt.NDArray[Any]  # structured, one field per property


def read_ply(path: str | os.PathLike[str]) -> Scene:
    """Read an INRIA-style PLY, ascii or binary. Additional properties are ignored.

    2D Gaussians (without scale_2) get a thin third axis. red, green and blue replace f_dc. The 3D
    filter of Mip-Splatting is applied to scales and opacities. SH of degree 4 are left out with a
    SceneWarning. Comments state the rendering mode. Distant positions get an origin.

    Rows are dropped if a value is not finite, a position or scale exceeds 1e12, or a colour exceeds
    10,000. Scales below 1e-12 are raised to it. Zero quaternions become the identity. Infinite
    opacity logits mean 0 and 1. A SceneWarning counts repaired rows, and positions that single
    precision can't represent. Raises SceneError if the file is not such a PLY, is shorter than its
    header states, or has no usable row; OSError.
    """
    name = str(path)
    with Path(path).open("rb") as file:
        layout = read_layout(file, name)
        reading = _Reading(layout)
        for rows in (_text_blocks if layout.is_text else _blocks)(file, layout, name):
            reading.append(rows)
    if layout.sh_coefficients > SH_KEPT:
        warnings.warn(f"{name}: {SH_CUT}", SceneWarning, stacklevel=2)
    if reading.faults:
        faults = "; ".join(f"{count} Gaussians {fault}" for fault, count in reading.faults.items())
        if not reading.kept:
            raise SceneError(f"{name}: no usable Gaussian among {layout.count}: {faults}")
        warnings.warn(f"{name}: {faults}", SceneWarning, stacklevel=2)
    return rebased(
        Scene(
            reading.gaussians(),
            antialiased=layout.has_filter or is_antialiased(layout.comments),
            origin=reading.origin,
            crs=_crs(layout),
        )
    )


def write_ply(path: str | os.PathLike[str], scene: Scene | Gaussians) -> None:
    """Write a binary little-endian PLY with zero normals, like INRIA's trainer.

    It has f_rest if the SH degree is above 0. Opacity logits are clamped to +-20. Positions are
    doubles if the scene has an origin. An existing file is replaced atomically. Raises OSError.
    """
    scene = Scene.of(scene)
    facts = replace(scene, gaussians=Gaussians.empty(scene.gaussians.sh_degree))
    write_ply_parts(path, facts, len(scene), [scene.gaussians])


def write_ply_parts(
    path: str | os.PathLike[str], facts: Scene, count: int, parts: Iterable[Gaussians]
) -> None:
    """Write a PLY as `write_ply` does, of `count` Gaussians that come in `parts`.

    `facts` is a scene without Gaussians: its SH degree, origin, mode and CRS are those of the file.
    Parts of a lower degree get zeros. Raises ValueError if the parts hold another number of
    Gaussians or a higher degree; OSError.
    """
    k = facts.gaussians.shN.shape[1]
    names = (*MEAN, "nx", "ny", "nz", *SH0, *sh_rest(k), "opacity", *SCALE, *QUAT)
    kind = "double" if any(facts.origin) else "float"
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += [f"comment {MIP_COMMENT}"] if facts.antialiased else []
    lines += [f"comment crs: {' '.join(facts.crs.split())}"] if facts.crs else []
    lines.append(f"element vertex {count}")
    lines += [f"property {kind if name in MEAN else 'float'} {name}" for name in names]
    written = 0
    with atomic_write(path) as file:
        file.write("\n".join([*lines, "end_header", ""]).encode())
        for part in parts:
            written += len(part)
            for start in range(0, len(part), _BLOCK_ROWS):
                rows = part.select(slice(start, start + _BLOCK_ROWS))
                padded = Gaussians.concatenate([facts.gaussians, rows])
                if padded.shN.shape[1] != k:
                    raise ValueError(f"SH of degree {part.sh_degree} in a file of lower degree")
                file.write(_rows(padded, facts.origin).tobytes())
        if written != count:
            raise ValueError(f"{written} Gaussians came, {count} were announced")


class PlyReader:
    """Reads the vertices of a binary PLY by range, as `read_ply` reads all of them."""

    def __init__(self, path: AnyPath) -> None:
        """Read the header. Raises SceneError, OSError, StoreError."""
        self.name = str(path)
        found = place(path)
        self._path = found.pinned() if isinstance(found, StorePath) else found
        with self._path.open("rb") as file:
            self._layout = read_layout(file, self.name)
        layout = self._layout
        self.count = layout.count
        self.is_text = layout.is_text
        self.is_remote = isinstance(self._path, StorePath)
        if layout.sh_coefficients > SH_KEPT:
            warnings.warn(f"{self.name}: {SH_CUT}", SceneWarning, stacklevel=2)
        self._origin: Vector | None = None
        sh_degree = {0: 0, 3: 1, 8: 2}.get(layout.sh_coefficients, 3)
        antialiased = layout.has_filter or is_antialiased(layout.comments)
        self.facts = Scene(Gaussians.empty(sh_degree), antialiased, crs=_crs(layout))
        if not self.is_text:
            self._origin = self._read(0, min(_BLOCK_ROWS, layout.count)).origin
            self.facts = replace(self.facts, origin=self._origin)

    def read(self, start: int, stop: int) -> tuple[Gaussians, Counter[str]]:
        """The usable Gaussians of these vertices, and how many had which fault."""
        reading = self._read(start, stop)
        return reading.gaussians(), reading.faults

    def _read(self, start: int, stop: int) -> _Reading:
        layout = self._layout
        reading = _Reading(layout, max(stop - start, 0), self._origin)
        with self._path.open("rb") as file:
            file.seek(layout.header_bytes + layout.skip + start * layout.dtype.itemsize)
            for first in range(start, stop, _BLOCK_ROWS):
                end = min(first + _BLOCK_ROWS, stop)
                rows = _read_rows(file, layout.dtype, end - first)
                _check_length(first + len(rows), end, layout, self.name)
                reading.append(rows)
        return reading


def _read_rows(file: io.BufferedReader, dtype: np.dtype[Any], count: int) -> Rows:
    """The next `count` rows, or those before the end of the file."""
    rows: Rows = np.empty(count, dtype)
    return rows[: file.readinto(rows.view(np.uint8).data) // dtype.itemsize]


def _crs(layout: Layout) -> str:
    found = (_CRS.fullmatch(comment) for comment in layout.comments)
    return next((match[1] for match in found if match), "")


def _blocks(file: BinaryIO, layout: Layout, name: str) -> Iterator[Rows]:
    file.seek(layout.header_bytes + layout.skip)
    for start in range(0, layout.count, _BLOCK_ROWS):
        rows = np.fromfile(file, layout.dtype, min(_BLOCK_ROWS, layout.count - start))
        _check_length(start + len(rows), min(start + _BLOCK_ROWS, layout.count), layout, name)
        yield rows


def _text_blocks(file: BinaryIO, layout: Layout, name: str) -> Iterator[Rows]:
    file.seek(layout.header_bytes)
    lines = islice(filter(bytes.strip, file), layout.skip, layout.skip + layout.count)
    properties = list(layout.dtype.names or ())
    for start in range(0, layout.count, _BLOCK_ROWS):
        block = list(islice(lines, _BLOCK_ROWS))
        _check_length(start + len(block), min(start + _BLOCK_ROWS, layout.count), layout, name)
        place = f"{name}: vertices {start} to {start + len(block) - 1}"
        try:
            values = np.array([line.split() for line in block], np.float64)
        except ValueError as error:
            raise SceneError(f"{place} can't be read: {error}; export the file again") from error
        if values.shape[1:] != (len(properties),):
            raise SceneError(f"{place} lack {len(properties)} values each; export the file again")
        yield values.view([(name, np.float64) for name in properties])[:, 0]


def _check_length(got: int, expected: int, layout: Layout, name: str) -> None:
    if got < expected:
        raise SceneError(
            f"{name}: the file ends after {got} of {layout.count} vertices;"
            " it was cut short or is damaged: fetch or export it again"
        )


class _Reading:
    """The final arrays while they are filled. Rows are checked and activated block by block."""

    def __init__(
        self, layout: Layout, count: int | None = None, origin: Vector | None = None
    ) -> None:
        """`count` rows will come, or all; positions are relative to `origin`, or one is chosen."""
        count = layout.count if count is None else count
        k = min(layout.sh_coefficients, SH_KEPT)
        shapes: list[tuple[int, ...]] = [(3,), (4,), (3,), (), (3,), (k, 3)]
        self._arrays = [np.empty((count, *shape), np.float32) for shape in shapes]
        self._layout = layout
        self._based = origin is not None
        self.origin = origin or (0.0, 0.0, 0.0)
        self.kept = 0
        self.faults: Counter[str] = Counter()

    def append(self, rows: Rows) -> None:
        block = [array[self.kept : self.kept + len(rows)] for array in self._arrays]
        means, quats, scales, opacities, sh0, shN = block
        stored, k = self._layout.sh_coefficients, shN.shape[1]
        with np.errstate(over="ignore", invalid="ignore"):  # doubles beyond float32 become infinite
            rounding = self._place(rows, means)
            names = SCALE[:2] if self._layout.is_flat else SCALE
            for columns, fields in ((quats, QUAT), (scales, names)):
                for i, name in enumerate(fields):
                    columns[:, i] = rows[name]
            for i in range(3):
                if self._layout.is_rgb:
                    sh0[:, i] = _rgb_as_sh0(rows[RGB[i]], self._layout.dtype[RGB[i]])
                else:
                    sh0[:, i] = rows[SH0[i]]
                for coefficient in range(k):
                    shN[:, coefficient, i] = rows[f"f_rest_{i * stored + coefficient}"]
            opacities[:] = 1 / (1 + np.exp(-rows["opacity"].astype(np.float32)))
            if self._layout.is_flat:
                scales[:, 2] = scales[:, :2].min(axis=1) + np.log(_FLAT_SHARE)
            np.exp(scales, out=scales)
            if self._layout.has_filter:
                _apply_filter(rows[FILTER], scales, opacities)
        finite = [np.isfinite(a).reshape(len(rows), -1).all(1) for a in (means, quats, sh0, shN)]
        finite += [~np.isnan(opacities), ~np.isnan(scales).any(1)]  # infinite values: see below
        usable: npt.NDArray[np.bool_] = np.logical_and.reduce(finite)
        sane = are_sane(means, scales, sh0, shN)
        self._count(NO_NUMBER, ~usable)
        self._count(TOO_LARGE, usable & ~sane)
        usable &= sane
        misplaced = usable & (rounding > _ROUNDING * scales.max(axis=1))
        self._count("misplaced, since single precision can't hold where they are", misplaced)
        if not usable.all():
            for array in block:
                array[: np.count_nonzero(usable)] = array[usable]
            means, quats, scales, *_ = (array[: np.count_nonzero(usable)] for array in block)
        self._count(FLAT, np.any(scales < MIN_SCALE, axis=1))
        np.maximum(scales, MIN_SCALE, out=scales)
        self._normalise(quats)
        self.kept += len(means)

    def gaussians(self) -> Gaussians:
        return Gaussians(*(array[: self.kept] for array in self._arrays))

    def _place(self, rows: Rows, means: FloatArray) -> FloatArray:
        """Write positions relative to an origin from the first rows; return the loss [N]."""
        places = np.stack([rows[name] for name in MEAN], axis=1)
        if not self._based and places.dtype == np.float64:
            near = places[np.all(np.abs(places) < _MAX_PLACE, axis=1)]
            if len(near):
                x, y, z = np.rint(np.median(near, axis=0))
                self.origin = (float(x), float(y), float(z))
        self._based = True
        if any(self.origin):
            places = places - np.array(self.origin)
        means[:] = places
        lost: FloatArray = np.abs(means - places).max(axis=1)
        return lost

    def _normalise(self, quats: FloatArray) -> None:
        largest = np.abs(quats).max(1)
        zero = largest == 0
        self._count(NO_ROTATION, zero)
        if zero.any():
            quats[zero] = (1, 0, 0, 0)
            largest[zero] = 1
        quats /= largest[:, None]  # so that squares stay in range
        quats /= np.linalg.norm(quats, axis=1, keepdims=True)

    def _count(self, fault: str, rows: npt.NDArray[np.bool_]) -> None:
        if count := int(np.count_nonzero(rows)):
            self.faults[fault] += count


def _rgb_as_sh0(values: npt.NDArray[Any], kind: np.dtype[Any]) -> npt.NDArray[np.floating]:
    """Convert colours (integers of any type, or floats from 0 to 1) to sh0."""
    full = float(np.iinfo(kind).max) if np.issubdtype(kind, np.integer) else 1.0
    sh0: npt.NDArray[np.floating] = (values / full - 0.5) / SH_C0
    return sh0


def _apply_filter(size: npt.NDArray[Any], scales: FloatArray, opacities: FloatArray) -> None:
    """Widen `scales` by the 3D filter of Mip-Splatting (Yu et al. 2024, equation 7), in place."""
    squares = scales.astype(np.float64) ** 2
    wider = squares + (size.astype(np.float64) ** 2)[:, None]
    opacities *= np.sqrt(np.prod(squares / np.maximum(wider, 1e-300), axis=1))
    scales[:] = np.sqrt(wider)


def _rows(part: Gaussians, origin: tuple[float, float, float]) -> Rows:
    """Yield the rows of a PLY with its properties in order."""
    n = len(part)
    with np.errstate(divide="ignore"):
        opacities = part.opacities.astype(np.float64)
        logits = np.log(opacities) - np.log1p(-opacities)
        columns = (
            np.zeros((n, 3)),
            part.sh0,
            part.shN.transpose(0, 2, 1).reshape(n, -1),
            np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)[:, None],
            np.log(np.maximum(part.scales, MIN_SCALE)),
            part.quats,
        )
    rest = np.concatenate(columns, axis=1, dtype="<f4", casting="same_kind")
    kind = "<f8" if any(origin) else "<f4"
    rows = np.empty(n, [("mean", kind, 3), ("rest", "<f4", rest.shape[1])])
    rows["mean"] = part.means.astype(kind) + np.array(origin, kind)
    rows["rest"] = rest
    return rows

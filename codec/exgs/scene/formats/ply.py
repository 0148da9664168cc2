"""INRIA-style PLY files in and out: a vertex a Gaussian, log scales, logit opacities, RDF frame.

Rows go block by block straight into the final arrays, so that a large scene is held only once.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from plyfile import PlyData, PlyElement

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.files import atomic_write
from exgs.scene.formats.ply_header import MEAN, QUAT, SCALE, SH0, Layout, read_layout, sh_rest
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.mending import (
    FLAT,
    MIN_SCALE,
    NO_NUMBER,
    NO_ROTATION,
    TOO_LARGE,
    are_sane,
)

_BLOCK_ROWS = 1 << 14

_ROUNDING = 0.1  # of its largest axis: by so much a Gaussian may be misplaced without a word
_MAX_LOGIT = 20.0  # a float32 sigmoid of this is 1, and of its negative far below 1/255

Rows = npt.NDArray[Any]  # structured, one field a property


def read_ply(path: str | os.PathLike[str]) -> Gaussians:
    """The scene of an INRIA-style PLY, ascii or binary, of SH degree 0 to 3; extras are ignored.

    Rows with a value that is not finite, with a position or scale beyond 1e12 or a colour beyond
    10,000 are dropped; scales below 1e-12 are raised to it; zero quaternions become the identity;
    infinite opacity logits mean 0 and 1. A SceneWarning counts what was mended, and positions that
    single precision can't hold. Raises SceneError where the file is no such PLY, holds less than
    its header says or no usable row; OSError.
    """
    name = str(path)
    with Path(path).open("rb") as file:
        layout = read_layout(file, name)
        reading = _Reading(layout)
        for rows in (_text_blocks if layout.is_text else _blocks)(file, layout, name):
            reading.append(rows)
    if reading.faults:
        faults = "; ".join(f"{count} Gaussians {fault}" for fault, count in reading.faults.items())
        if not reading.kept:
            raise SceneError(f"{name}: no usable Gaussian among {layout.count}: {faults}")
        warnings.warn(f"{name}: {faults}", SceneWarning, stacklevel=2)
    return reading.scene()


def write_ply(path: str | os.PathLike[str], gaussians: Gaussians) -> None:
    """Write a binary little-endian PLY with zero normals, as INRIA's trainer does.

    f_rest is there where the SH degree is above 0; opacity logits are clamped to +-20. An
    existing file is replaced, and only by a complete one. Raises OSError.
    """
    rest = sh_rest(gaussians.shN.shape[1])
    names = (*MEAN, "nx", "ny", "nz", *SH0, *rest, "opacity", *SCALE, *QUAT)
    row = np.zeros(1, [(name, "<f4") for name in names])
    vertex = PlyElement.describe(np.broadcast_to(row, len(gaussians)), "vertex")
    header: str = PlyData([vertex], byte_order="<").header
    with atomic_write(path) as file:
        file.write(f"{header}\n".encode("ascii"))
        for start in range(0, len(gaussians), _BLOCK_ROWS):
            file.write(_rows(gaussians.select(slice(start, start + _BLOCK_ROWS))).tobytes())


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
    """The final arrays while they fill; rows are checked and activated block by block."""

    def __init__(self, layout: Layout) -> None:
        k = layout.sh_coefficients
        shapes: list[tuple[int, ...]] = [(3,), (4,), (3,), (), (3,), (k, 3)]
        self._arrays = [np.empty((layout.count, *shape), np.float32) for shape in shapes]
        self._rest = sh_rest(k)
        self.kept = 0
        self.faults: Counter[str] = Counter()

    def append(self, rows: Rows) -> None:
        block = [array[self.kept : self.kept + len(rows)] for array in self._arrays]
        means, quats, scales, opacities, sh0, shN = block
        k = shN.shape[1]
        with np.errstate(over="ignore"):  # doubles beyond float32 become infinite
            for columns, names in ((means, MEAN), (quats, QUAT), (scales, SCALE), (sh0, SH0)):
                for i, name in enumerate(names):
                    columns[:, i] = rows[name]
            rounding = np.max([np.abs(means[:, i] - rows[name]) for i, name in enumerate(MEAN)], 0)
            for i, name in enumerate(self._rest):
                shN[:, i % k, i // k] = rows[name]
            opacities[:] = 1 / (1 + np.exp(-rows["opacity"].astype(np.float32)))
            np.exp(scales, out=scales)
        finite = [np.isfinite(a).reshape(len(rows), -1).all(1) for a in (means, quats, sh0, shN)]
        finite += [~np.isnan(opacities), ~np.isnan(scales).any(1)]  # infinite ones: see below
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

    def scene(self) -> Gaussians:
        return Gaussians(*(array[: self.kept] for array in self._arrays))

    def _normalise(self, quats: FloatArray) -> None:
        largest = np.abs(quats).max(1)
        zero = largest == 0
        self._count(NO_ROTATION, zero)
        if zero.any():
            quats[zero] = (1, 0, 0, 0)
            largest[zero] = 1
        quats /= largest[:, None]  # squares of the largest and smallest floats leave their range
        quats /= np.linalg.norm(quats, axis=1, keepdims=True)

    def _count(self, fault: str, rows: npt.NDArray[np.bool_]) -> None:
        if count := int(np.count_nonzero(rows)):
            self.faults[fault] += count


def _rows(part: Gaussians) -> FloatArray:
    """The rows of a PLY, [N, properties]."""
    n = len(part)
    with np.errstate(divide="ignore"):
        opacities = part.opacities.astype(np.float64)
        logits = np.log(opacities) - np.log1p(-opacities)
        columns = (
            part.means,
            np.zeros((n, 3)),
            part.sh0,
            part.shN.transpose(0, 2, 1).reshape(n, -1),
            np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT)[:, None],
            np.log(np.maximum(part.scales, MIN_SCALE)),
            part.quats,
        )
    return np.concatenate(columns, axis=1, dtype="<f4", casting="same_kind")

"""SH and BASIS payloads: view dependence as coefficients in bases fitted to the scene.

The residual vector of a leaf is the difference between its SH and its decoded base colour: three
values of degree 0, then the higher SH coefficients, channel innermost. A KLT (eigenvectors of the
weighted second moments) rotates the vectors. The first components are quantized with one step per
chunk. Columns of mostly zeros are stored as one bit per leaf, eight columns per byte, plus their
nonzero values, because the entropy coder needs at least one bit per byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_BASES, MAX_MAGNITUDE, SPARSE_COLUMN
from exgs.codec.errors import DamagedError
from exgs.codec.payload.columns import (
    PlaneReader,
    Unsigned,
    column_width,
    planes_of,
    split_planes,
    unzigzag,
    zigzag,
)
from exgs.codec.payload.geometry import check_steps
from exgs.scene.gaussians import FloatArray, Gaussians

_HEAD = struct.Struct("<HBBf")
_BASIS_HEAD = struct.Struct("<HHH")
_SPARSE_SHARE = 0.65  # largest share of nonzero values for a sparse column
_SERIAL_PRODUCTS = 1 << 17  # a BLAS starts threads for larger products

Real = TypeVar("Real", np.float32, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class ShBasis:
    """B bases; each chunk uses one. Rows are components, sorted by energy, largest first.

    vector = coefficients @ rows[number]
    """

    rows: FloatArray  # [B, C, D], D = 3 + 3K

    @property
    def size(self) -> int:
        """Length D of a residual vector."""
        return int(self.rows.shape[2])


def pack_basis(basis: ShBasis) -> list[bytes]:
    """Encode the BASIS payload, with rows as float16."""
    bases, components, size = basis.rows.shape
    return [_BASIS_HEAD.pack(components, size, bases), basis.rows.astype("<f2").tobytes()]


def unpack_basis(payload: bytes, *, sh_degree: int, section: str) -> ShBasis:
    """Decode a BASIS payload. Raises DamagedError."""
    if len(payload) < _BASIS_HEAD.size:
        raise DamagedError("the payload is shorter than its head", section=section)
    components, size, bases = _BASIS_HEAD.unpack_from(payload)
    if size != 3 * (sh_degree + 1) ** 2 or components > size:
        raise DamagedError(f"a basis of {components} x {size}", section=section)
    if not 1 <= bases <= MAX_BASES:
        raise DamagedError(f"{bases} bases", section=section)
    if len(payload) != _BASIS_HEAD.size + 2 * bases * components * size:
        raise DamagedError("the bases do not fit their payload", section=section)
    rows = np.frombuffer(payload, "<f2", offset=_BASIS_HEAD.size).reshape(bases, components, size)
    if not np.isfinite(rows).all():
        raise DamagedError("the basis is not finite", section=section)
    return ShBasis(rows.astype(np.float32))


def pack_sh(coefficients: npt.NDArray[np.integer], step: float, basis: int = 0) -> list[bytes]:
    """Encode quantized coefficients [N, C] in the basis number `basis`.

    Trailing columns of zeros are left out.
    """
    shown = coefficients != 0
    used = np.flatnonzero(shown.any(axis=0))
    components = int(used[-1]) + 1 if len(used) else 0
    columns = [zigzag(coefficients[:, i]) for i in range(components)]
    sparse = [i for i in range(components) if 0 < shown[:, i].mean() < _SPARSE_SHARE]
    widths = [column_width(column) for column in columns]
    for i in sparse:
        widths[i] = SPARSE_COLUMN
    dense = [i for i in range(components) if i not in sparse]
    planes = planes_of([columns[i] for i in dense], [widths[i] for i in dense])
    bits = np.packbits(shown[:, sparse], axis=1)
    flags = [bits[:, i].tobytes() for i in range(bits.shape[1])]
    parts: list[Unsigned] = [columns[i][shown[:, i]] for i in sparse]
    values = np.concatenate([np.empty(0, np.uint64), *parts]) - np.uint64(1)
    value_width = column_width(values)
    head = _HEAD.pack(components, value_width, basis, step) + bytes(widths)
    return [head, *planes, *flags, *split_planes(values, value_width)]


def unpack_sh(payload: bytes, basis: ShBasis, *, count: int, section: str) -> FloatArray:
    """Decode the residual vectors [N, D] of an SH payload. Raises DamagedError."""
    if len(payload) < _HEAD.size:
        raise DamagedError("the payload is shorter than its head", section=section)
    components, value_width, number, step = _HEAD.unpack_from(payload)
    if number >= len(basis.rows):
        raise DamagedError(f"basis {number} of {len(basis.rows)}", section=section)
    rows = basis.rows[number]
    if components > len(rows):
        raise DamagedError(f"{components} components, the basis has {len(rows)}", section=section)
    check_steps((step,), section)
    if len(payload) < _HEAD.size + components:
        raise DamagedError("the payload is shorter than its head", section=section)
    widths = payload[_HEAD.size : _HEAD.size + components]
    reader = PlaneReader(payload, _HEAD.size + components, count, section)
    values = np.zeros((count, components), np.float32)
    for i, width in enumerate(widths):
        if width and width != SPARSE_COLUMN:
            values[:, i] = _scaled(reader.column(width), step)
    sparse = [i for i, width in enumerate(widths) if width == SPARSE_COLUMN]
    shown = _read_flags(reader, len(sparse), section)
    totals = shown.sum(axis=0)
    scaled = _scaled(reader.column(value_width, int(totals.sum())) + np.uint64(1), step)
    parts = np.split(scaled, np.cumsum(totals))  # the last part is empty
    for i, flags, own in zip(sparse, shown.T, parts, strict=False):
        values[flags, i] = own
    reader.finish()
    vectors = product(values, rows[:components])
    return np.clip(vectors, -MAX_MAGNITUDE, MAX_MAGNITUDE, out=vectors)


def product(values: npt.NDArray[Real], matrix: npt.NDArray[Real]) -> npt.NDArray[Real]:
    """`values` [N, C] times `matrix` [C, D], in blocks so small that a BLAS starts no threads.

    For such small products, threads cost more time than they save.
    """
    out = np.empty((len(values), matrix.shape[1]), values.dtype)
    block = max(_SERIAL_PRODUCTS // max(matrix.size, 1), 1)
    for start in range(0, len(values), block):
        part = slice(start, start + block)
        np.matmul(values[part], matrix, out=out[part])
    return out


def _read_flags(reader: PlaneReader, columns: int, section: str) -> npt.NDArray[np.bool_]:
    """Whether each value of the sparse columns is nonzero, [N, columns]."""
    planes = [reader.column(1) for _ in range((columns + 7) // 8)]
    bits = np.unpackbits(np.stack(planes, axis=1).astype(np.uint8), axis=1) if planes else None
    if bits is None:
        return np.zeros((reader.count, 0), bool)
    if bits[:, columns:].any():
        raise DamagedError("flags of columns that do not exist", section=section)
    return bits[:, :columns].astype(bool)


def _scaled(values: npt.NDArray[np.unsignedinteger], step: float) -> npt.NDArray[np.float64]:
    return np.clip(unzigzag(values) * step, -MAX_MAGNITUDE, MAX_MAGNITUDE)


def with_vectors(leaves: Gaussians, vectors: FloatArray) -> Gaussians:
    """Add residual vectors [n, D] (degree 0 first, channel innermost) to `leaves` of degree 0."""
    split = vectors.reshape(len(leaves), vectors.shape[1] // 3, 3)
    return Gaussians(
        leaves.means,
        leaves.quats,
        leaves.scales,
        leaves.opacities,
        leaves.sh0 + split[:, 0],
        np.ascontiguousarray(split[:, 1:]),
    )

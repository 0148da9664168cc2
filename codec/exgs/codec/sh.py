"""SH and BASIS payloads: view dependence as coefficients in a basis fitted to the scene.

A leaf's residual vector holds what its base colour lacks: three numbers for degree 0, then its
higher SH coefficients, channel innermost. The vectors are rotated by a KLT (eigenvectors of their
weighted second moments), cut to the first components and quantized with one step per chunk.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.columns import PlaneReader, column_width, split_planes, unzigzag, zigzag
from exgs.codec.constants import MAX_MAGNITUDE
from exgs.codec.errors import DamagedError, UnsupportedError
from exgs.codec.geometry import check_steps
from exgs.scene.gaussians import FloatArray, Gaussians

_HEAD = struct.Struct("<HHf")
_BASIS_HEAD = struct.Struct("<HH")
_SERIAL_PRODUCTS = 1 << 17  # a BLAS starts threads for more, which cost more than they bring


@dataclass(frozen=True, slots=True, eq=False)
class ShBasis:
    """Rows are the components, most energy first: vector = coefficients @ rows."""

    rows: FloatArray  # [C, D], D = 3 + 3K

    @property
    def size(self) -> int:
        """Length D of a residual vector."""
        return int(self.rows.shape[1])


def pack_basis(basis: ShBasis) -> list[bytes]:
    """The BASIS payload: rows as float16."""
    components, size = basis.rows.shape
    return [_BASIS_HEAD.pack(components, size), basis.rows.astype("<f2").tobytes()]


def unpack_basis(payload: bytes, *, sh_degree: int, section: str) -> ShBasis:
    """Read a BASIS payload; raises DamagedError."""
    if len(payload) < _BASIS_HEAD.size:
        raise DamagedError("the payload is shorter than its head", section=section)
    components, size = _BASIS_HEAD.unpack_from(payload)
    if size != 3 * (sh_degree + 1) ** 2 or components > size:
        raise DamagedError(f"a basis of {components} x {size}", section=section)
    if len(payload) != _BASIS_HEAD.size + 2 * components * size:
        raise DamagedError("the basis does not fit its payload", section=section)
    rows = np.frombuffer(payload, "<f2", offset=_BASIS_HEAD.size).reshape(components, size)
    if not np.isfinite(rows).all():
        raise DamagedError("the basis is not finite", section=section)
    return ShBasis(rows.astype(np.float32))


def pack_sh(coefficients: npt.NDArray[np.integer], step: float) -> list[bytes]:
    """The SH payload of quantized coefficients [N, C]; trailing columns of zeros are left out."""
    used = np.flatnonzero(coefficients.any(axis=0))
    components = int(used[-1]) + 1 if len(used) else 0
    columns = [zigzag(coefficients[:, i]) for i in range(components)]
    widths = [column_width(column) for column in columns]
    planes = [
        plane
        for column, width in zip(columns, widths, strict=True)
        for plane in split_planes(column, width)
    ]
    return [_HEAD.pack(components, 0, step) + bytes(widths), *planes]


def unpack_sh(payload: bytes, basis: ShBasis, *, count: int, section: str) -> FloatArray:
    """Residual vectors [N, D] of an SH payload; raises DamagedError, UnsupportedError."""
    if len(payload) < _HEAD.size:
        raise DamagedError("the payload is shorter than its head", section=section)
    components, reserved, step = _HEAD.unpack_from(payload)
    if reserved:
        raise UnsupportedError("reserved bytes are set; update exgs", section=section)
    if components > len(basis.rows):
        raise DamagedError(
            f"{components} components, the basis has {len(basis.rows)}", section=section
        )
    check_steps((step,), section)
    if len(payload) < _HEAD.size + components:
        raise DamagedError("the payload is shorter than its head", section=section)
    widths = payload[_HEAD.size : _HEAD.size + components]
    reader = PlaneReader(payload, _HEAD.size + components, count, section)
    values = np.zeros((count, components), np.float32)
    for i, width in enumerate(widths):
        if width:
            value = unzigzag(reader.column(width)) * step
            values[:, i] = np.clip(value, -MAX_MAGNITUDE, MAX_MAGNITUDE)
    reader.finish()
    vectors = np.empty((count, basis.size), np.float32)
    block = max(_SERIAL_PRODUCTS // max(components * basis.size, 1), 1)
    for start in range(0, count, block):
        part = slice(start, start + block)
        np.matmul(values[part], basis.rows[:components], out=vectors[part])
    return np.clip(vectors, -MAX_MAGNITUDE, MAX_MAGNITUDE)


def with_vectors(leaves: Gaussians, vectors: FloatArray) -> Gaussians:
    """`leaves` of degree 0 with residual vectors [n, D], degree 0 first, channel innermost."""
    split = vectors.reshape(len(leaves), -1, 3)
    return Gaussians(
        leaves.means,
        leaves.quats,
        leaves.scales,
        leaves.opacities,
        leaves.sh0 + split[:, 0],
        np.ascontiguousarray(split[:, 1:]),
    )

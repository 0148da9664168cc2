"""Arrays in pages of memory of their own, which go back to the system as soon as they are dropped.

Allocators keep the gaps between what is left when cells come and go, up to a third of the memory of
a client. So arrays that stay for long are kept apart from short-lived ones.
"""

from __future__ import annotations

import math
import mmap
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from exgs.scene.gaussians import Gaussians

_T = TypeVar("_T", bound=np.generic)

_LEAST_BYTES = 64 << 10  # smaller arrays stay where they are: pages would be half empty


def own_zeros(shape: tuple[int, ...], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """An array of zeros. Pages that are not written take no memory."""
    size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if size_bytes < _LEAST_BYTES:
        return np.zeros(shape, dtype)
    try:
        pages = _pages(size_bytes)
    except OSError:  # the system allows no more mappings
        return np.zeros(shape, dtype)
    return np.frombuffer(pages, dtype, math.prod(shape)).reshape(shape)


def own_copy(values: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """A copy of an array; a small array itself."""
    if values.nbytes < _LEAST_BYTES:
        return values
    copy = own_zeros(values.shape, values.dtype)
    copy[...] = values
    return copy


def own_gaussians(of: Gaussians) -> Gaussians:
    """A copy of Gaussians, all columns in the same pages; a few Gaussians themselves."""
    columns = (of.means, of.quats, of.scales, of.opacities, of.sh0, of.shN)
    room = own_zeros((sum(column.size for column in columns),))
    if room.nbytes < _LEAST_BYTES:
        return of
    copies = []
    for column, part in zip(columns, np.split(room, _ends(columns)), strict=True):
        copies.append(part.reshape(column.shape))
        copies[-1][...] = column
    return Gaussians(*copies)


def _ends(columns: tuple[npt.NDArray[Any], ...]) -> list[int]:
    ends: list[int] = np.cumsum([column.size for column in columns])[:-1].tolist()
    return ends


def _pages(size_bytes: int) -> mmap.mmap:
    if hasattr(mmap, "MAP_PRIVATE"):  # adjacent private ones count as one mapping on Linux
        return mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size_bytes)

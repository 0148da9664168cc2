"""Working memory that is kept between calls, since allocating it takes longer than its use."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_CACHE_LINE_BYTES = 64


class Scratch:
    """Named arrays that only grow, each aligned to a cache line."""

    def __init__(self) -> None:
        self._held: dict[str, npt.NDArray[np.uint8]] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array of this shape with undefined contents."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        held = self._held.get(name)
        if held is None or held.size < size:
            raw = np.empty(size + size // 4 + _CACHE_LINE_BYTES, np.uint8)
            held = self._held[name] = raw[-raw.ctypes.data % _CACHE_LINE_BYTES :]
        return held[:size].view(dtype).reshape(shape)

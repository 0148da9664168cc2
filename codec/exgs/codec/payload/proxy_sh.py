"""View dependence of proxies: what stands behind the geometry columns of a PROXY payload.

A cell's proxies have a basis of their own, a few rows, and an SH payload in it. So they are whole
with their chunk, and wait for no other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.codec.errors import DamagedError
from exgs.codec.payload.geometry import unpack_columns
from exgs.codec.payload.sh import ShBasis, pack_sh, unpack_sh
from exgs.scene.gaussians import FloatArray, Gaussians


@dataclass(frozen=True, slots=True, eq=False)
class ProxySh:
    """Quantized view dependence of N proxies in a basis of their own."""

    rows: FloatArray  # [C, D], of values that float16 holds; D = 3 + 3K
    levels: npt.NDArray[np.int64]  # [N, C] coefficients in steps
    step: float

    @property
    def components(self) -> int:
        """Number C of components."""
        return len(self.rows)

    @property
    def sh_degree(self) -> int:
        """That of the scene."""
        return math.isqrt(self.rows.shape[1] // 3) - 1

    def select(self, index: npt.NDArray[np.int64]) -> ProxySh:
        """That of the proxies at `index`, in that order."""
        return ProxySh(self.rows, self.levels[index], self.step)


def pack_proxy_sh(sh: ProxySh) -> list[bytes]:
    """The rows as float16, then the SH payload."""
    return [sh.rows.astype("<f2").tobytes(), *pack_sh(sh.levels, sh.step)]


def unpack_proxies(
    payload: bytes, *, count: int, child_count: int, sh_degree: int, section: str
) -> tuple[Gaussians, npt.NDArray[np.uint32], FloatArray | None]:
    """Like `unpack_geometry`, of a PROXY payload; and the residual vectors [N, D] of its SH if any.

    D is that of the scene's `sh_degree`.
    """
    scene, child_counts, components, behind = unpack_columns(
        payload, count=count, child_count=child_count, section=section
    )
    if components:
        vectors = _unpack_sh(
            behind, components=components, sh_degree=sh_degree, count=count, section=section
        )
        return scene, child_counts, vectors
    if len(behind):
        raise DamagedError(f"{len(behind)} bytes behind the last column", section=section)
    return scene, child_counts, None


def _unpack_sh(
    payload: bytes, *, components: int, sh_degree: int, count: int, section: str
) -> FloatArray:
    """Residual vectors [N, D] of `count` proxies, with D for `sh_degree`; raises DamagedError."""
    size = 3 * (sh_degree + 1) ** 2
    if not sh_degree or not 1 <= components <= size:
        raise DamagedError(f"{components} components of SH of proxies", section=section)
    if len(payload) < 2 * components * size:
        raise DamagedError("the payload is shorter than its basis", section=section)
    rows = np.frombuffer(payload, "<f2", components * size).reshape(1, components, size)
    if not np.isfinite(rows).all():
        raise DamagedError("the basis is not finite", section=section)
    basis = ShBasis(rows.astype(np.float32))
    return unpack_sh(payload[rows.nbytes :], basis, count=count, section=section)

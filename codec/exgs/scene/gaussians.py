"""Frozen arrays of 3D Gaussians with activated parameters.

The axes are right-down-forward (RDF), as in an INRIA-style PLY. Scales are lengths and opacities
are in [0, 1]: readers convert the logs and logits of a PLY, so all other modules use the values
directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

SH_C0 = 0.28209479177387814  # Y_0^0: colour = 0.5 + SH_C0 * sh0 (Kerbl et al. 2023, section 4)


@dataclass(frozen=True, slots=True, eq=False)
class Gaussians:
    """N Gaussians. All arrays are float32, C-contiguous and read-only.

    Raises ValueError if shapes or dtypes are wrong.
    """

    means: FloatArray  # [N, 3] centres, world units
    quats: FloatArray  # [N, 4] unit quaternions, wxyz
    scales: FloatArray  # [N, 3] standard deviations along the axes, world units, > 0
    opacities: FloatArray  # [N] in [0, 1]
    sh0: FloatArray  # [N, 3] degree-0 coefficients, RGB
    shN: FloatArray  # [N, K, 3] higher coefficients, K = (degree + 1)^2 - 1, in PLY order

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        k = self.shN.shape[1] if self.shN.ndim == 3 else -1
        if k not in (0, 3, 8, 15):
            raise ValueError(f"shN has shape {self.shN.shape}, expected [N, 0|3|8|15, 3]")
        shapes = {
            "means": (n, 3),
            "quats": (n, 4),
            "scales": (n, 3),
            "opacities": (n,),
            "sh0": (n, 3),
            "shN": (n, k, 3),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, expected float32 {shape}")
            array = np.ascontiguousarray(array).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return int(self.means.shape[0])

    @property
    def sh_degree(self) -> int:
        """Degree of the spherical harmonics, 0 to 3."""
        return {0: 0, 3: 1, 8: 2, 15: 3}[self.shN.shape[1]]

    def select(self, index: npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice) -> Gaussians:
        """The Gaussians at `index` (integers, a mask or a slice), in that order."""
        return Gaussians(*(getattr(self, field.name)[index] for field in fields(self)))

    def without_sh(self) -> Gaussians:
        """The same Gaussians without higher SH."""
        return replace(self, shN=np.zeros((len(self), 0, 3), np.float32))

    @staticmethod
    def concatenate(parts: Sequence[Gaussians]) -> Gaussians:
        """Concatenate `parts`. Lower SH degrees are padded with zeros."""
        k = max(part.shN.shape[1] for part in parts)

        def padded(part: Gaussians) -> FloatArray:
            missing = k - part.shN.shape[1]
            return np.pad(part.shN, ((0, 0), (0, missing), (0, 0))) if missing else part.shN

        columns = [
            np.concatenate([padded(p) if f.name == "shN" else getattr(p, f.name) for p in parts])
            for f in fields(Gaussians)
        ]
        return Gaussians(*columns)

    @staticmethod
    def empty(sh_degree: int = 0) -> Gaussians:
        """Zero Gaussians of this SH degree."""
        k = (sh_degree + 1) ** 2 - 1
        shapes = ((0, 3), (0, 4), (0, 3), (0,), (0, 3), (0, k, 3))
        return Gaussians(*(np.zeros(shape, np.float32) for shape in shapes))

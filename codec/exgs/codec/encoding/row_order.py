"""An order of Gaussians that depends on their values alone, so that files do not depend on rows.

Views are generated from random samples of the scene, and ties of scores are broken by index. With
the rows in one fixed order, a scene gives the same file however its rows were ordered.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from exgs.codec.payload.morton import morton_encode
from exgs.scene.gaussians import Gaussians

_GRID_BITS = 21  # per axis


def value_order(scene: Gaussians) -> npt.NDArray[np.int64]:
    """Indices [N] of `scene` in Morton order of the means; ties are ordered by all values."""
    if not len(scene):
        return np.zeros(0, np.int64)
    means = scene.means.astype(np.float64)
    low = means.min(axis=0)
    extent = np.maximum(means.max(axis=0) - low, 1e-300)
    code = morton_encode(((means - low) / extent * ((1 << _GRID_BITS) - 1)).astype(np.int64))
    order = np.argsort(code, kind="stable")
    code = code[order]
    same = np.concatenate([[False], code[1:] == code[:-1], [False]])
    tied = np.flatnonzero(same[1:] | same[:-1])
    if len(tied):
        rows = scene.select(order[tied])
        higher = rows.shN.reshape(len(rows), 3 * rows.shN.shape[1])  # -1 would fail for degree 0
        columns = (higher, rows.sh0, rows.opacities[:, None], rows.quats, rows.scales, rows.means)
        keys = [key for values in columns for key in values.T]
        order[tied] = order[tied][np.lexsort([*keys, code[tied]])]
    return order

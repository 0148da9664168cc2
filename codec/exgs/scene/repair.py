"""Common checks of the readers of packed formats.

The rules are those of `read_ply`: rows that can't be drawn are dropped, zero scales and zero
quaternions are repaired, and a SceneWarning states their numbers. Counts in a header are compared
with the size of the file, so that a small file can't cause a large allocation.
"""

from __future__ import annotations

import warnings
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.gaussians import Gaussians

FloatArray = npt.NDArray[np.floating]

MIN_SCALE = 1e-12  # replaces zero scales (log scale -inf)
MAX_LENGTH = 1e12  # of positions and scales; products of larger values exceed float32
MAX_COLOR = 1e4  # of SH coefficients; larger values are not displayable and spoil codebooks
SH_KEPT = 15  # coefficients per channel, up to degree 3
SH_CUT = "SH of degree 4 are left out: degree 3 is kept"
NO_NUMBER = "dropped for values that are not finite"
TOO_LARGE = "dropped for a position or scale beyond 1e12 or a colour beyond 10,000"
FLAT = "with a scale below 1e-12, raised to it"
NO_ROTATION = "with a zero quaternion, turned into the identity"
_LENGTH_ERROR = 1e-3  # largest error of the squared length of a quaternion
_FREE_COUNT = 1 << 16  # Gaussians that a file of any size may state


def check_count(name: str, count: int, file_bytes: int) -> None:
    """Raise SceneError if `file_bytes` bytes can't hold `count` Gaussians.

    Packed formats need 5 bytes or more per Gaussian of a real scene. The limit is one byte.
    """
    if count < 0:
        raise SceneError(f"{name}: the header counts {count} Gaussians; the file is damaged")
    if count > max(_FREE_COUNT, file_bytes):
        raise SceneError(
            f"{name}: {file_bytes} bytes can't hold the {count} Gaussians that the header counts;"
            " the file was cut short or is damaged: fetch or export it again"
        )


def are_sane(
    means: FloatArray, scales: FloatArray, sh0: FloatArray, shN: FloatArray
) -> npt.NDArray[np.bool_]:
    """Whether positions, scales and colours of each Gaussian are within the limits, [N]."""
    sane: npt.NDArray[np.bool_] = (
        np.all((np.abs(means) <= MAX_LENGTH) & (scales <= MAX_LENGTH), axis=1)
        & np.all(np.abs(sh0) <= MAX_COLOR, axis=1)
        & np.all(np.abs(shN) <= MAX_COLOR, axis=(1, 2))
    )
    return sane


def require_sound(scene: Gaussians, name: str) -> Gaussians:
    """Return `scene`, without or with repaired values that no reader would let pass.

    Takes a fraction of a second. Raises SceneError and warns like `repaired`.
    """
    lengths = np.einsum("ni,ni->n", scene.quats, scene.quats)
    sound = (
        all(np.isfinite(getattr(scene, field.name)).all() for field in fields(scene))
        and bool((scene.scales >= MIN_SCALE).all())
        and bool(((scene.opacities >= 0) & (scene.opacities <= 1)).all())
        and bool((np.abs(lengths - 1) < _LENGTH_ERROR).all())
        and bool(are_sane(scene.means, scene.scales, scene.sh0, scene.shN).all())
    )
    if sound:
        return scene
    return repaired(name, **{field.name: getattr(scene, field.name) for field in fields(scene)})


def repaired(
    name: str,
    *,
    means: FloatArray,  # [N, 3]
    quats: FloatArray,  # [N, 4] wxyz, of any length
    scales: FloatArray,  # [N, 3] standard deviations
    opacities: FloatArray,  # [N]
    sh0: FloatArray,  # [N, 3]
    shN: FloatArray,  # [N, K, 3]
) -> Gaussians:
    """Build a scene from these values without rows that can't be drawn.

    A SceneWarning counts the faults. Raises SceneError if no row is usable.
    """
    count = len(means)
    with np.errstate(over="ignore"):
        columns = [
            np.ascontiguousarray(a, np.float32) for a in (means, quats, scales, opacities, sh0, shN)
        ]
    finite = np.asarray(~np.isnan(columns[2]).any(axis=1))
    for column in (*columns[:2], *columns[3:]):
        finite &= np.asarray(np.isfinite(column).all(axis=tuple(range(1, column.ndim))))
    sane = are_sane(columns[0], columns[2], columns[4], columns[5])
    faults = [
        (count - np.count_nonzero(finite), NO_NUMBER),
        (np.count_nonzero(finite & ~sane), TOO_LARGE),
    ]
    usable: npt.NDArray[np.bool_] = finite & sane
    if not usable.all():
        columns = [column[usable] for column in columns]
    flat = np.any(columns[2] < MIN_SCALE, axis=1)
    quats64 = columns[1].astype(np.float64)  # squares of large values exceed float32
    lengths = np.linalg.norm(quats64, axis=1)
    zero = lengths == 0
    faults += [
        (np.count_nonzero(flat), FLAT),
        (np.count_nonzero(zero), NO_ROTATION),
    ]
    text = "; ".join(f"{number} Gaussians {fault}" for number, fault in faults if number)
    if count and not len(columns[0]):
        raise SceneError(f"{name}: no usable Gaussian among {count}: {text}")
    if text:
        warnings.warn(f"{name}: {text}", SceneWarning, stacklevel=3)
    columns[1] = (quats64 / np.where(zero, 1.0, lengths)[:, None]).astype(np.float32)
    columns[1][zero] = (1, 0, 0, 0)
    columns[2] = np.maximum(columns[2], np.float32(MIN_SCALE))
    columns[3] = np.clip(columns[3], 0, 1)
    return Gaussians(*columns)

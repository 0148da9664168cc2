"""What every reader of a packed format does with the values it unpacked, and before it unpacks.

The rules are those of `read_ply`: rows that nobody could draw are dropped, flat scales and zero
quaternions are mended, and a SceneWarning says how many. Counts in a header are held against the
size of the file, so that a small file can't ask for much memory.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.gaussians import Gaussians

FloatArray = npt.NDArray[np.floating]

_MIN_SCALE = 1e-12  # what a flat axis gets
_MAX_LENGTH = 1e12  # of positions and scales: products of larger ones leave float32
_FREE_COUNT = 1 << 16  # as many Gaussians may be promised by a file of any size


def check_count(name: str, count: int, file_bytes: int) -> None:
    """Raise SceneError where `count` Gaussians can't honestly come from `file_bytes` bytes.

    Packed formats take 5 bytes and more for a Gaussian of a real scene; one byte is the limit.
    """
    if count < 0:
        raise SceneError(f"{name}: the header counts {count} Gaussians; the file is damaged")
    if count > max(_FREE_COUNT, file_bytes):
        raise SceneError(
            f"{name}: {file_bytes} bytes can't hold the {count} Gaussians that the header counts;"
            " the file was cut short or is damaged: fetch or export it again"
        )


def mended(
    name: str,
    *,
    means: FloatArray,  # [N, 3]
    quats: FloatArray,  # [N, 4] wxyz, of any length
    scales: FloatArray,  # [N, 3] standard deviations
    opacities: FloatArray,  # [N]
    sh0: FloatArray,  # [N, 3]
    shN: FloatArray,  # [N, K, 3]
) -> Gaussians:
    """The scene of these values without what can't be drawn; a SceneWarning counts the faults.

    Raises SceneError where no usable row of several is left.
    """
    count = len(means)
    with np.errstate(over="ignore"):
        columns = [
            np.ascontiguousarray(a, np.float32) for a in (means, quats, scales, opacities, sh0, shN)
        ]
    finite = np.asarray(~np.isnan(columns[2]).any(axis=1))
    for column in (*columns[:2], *columns[3:]):
        finite &= np.asarray(np.isfinite(column).all(axis=tuple(range(1, column.ndim))))
    near: npt.NDArray[np.bool_] = np.all(
        (np.abs(columns[0]) <= _MAX_LENGTH) & (columns[2] <= _MAX_LENGTH), axis=1
    )
    faults = [
        (count - np.count_nonzero(finite), "dropped for values that are not finite"),
        (np.count_nonzero(finite & ~near), "dropped for a position or scale beyond 1e12"),
    ]
    usable: npt.NDArray[np.bool_] = finite & near
    if not usable.all():
        columns = [column[usable] for column in columns]
    flat = np.any(columns[2] < _MIN_SCALE, axis=1)
    quats64 = columns[1].astype(np.float64)  # squares of large floats leave float32
    lengths = np.linalg.norm(quats64, axis=1)
    zero = lengths == 0
    faults += [
        (np.count_nonzero(flat), "with a scale below 1e-12, raised to it"),
        (np.count_nonzero(zero), "with a zero quaternion, turned into the identity"),
    ]
    text = "; ".join(f"{number} Gaussians {fault}" for number, fault in faults if number)
    if count and not len(columns[0]):
        raise SceneError(f"{name}: no usable Gaussian among {count}: {text}")
    if text:
        warnings.warn(f"{name}: {text}", SceneWarning, stacklevel=3)
    columns[1] = (quats64 / np.where(zero, 1.0, lengths)[:, None]).astype(np.float32)
    columns[1][zero] = (1, 0, 0, 0)
    columns[2] = np.maximum(columns[2], np.float32(_MIN_SCALE))
    columns[3] = np.clip(columns[3], 0, 1)
    return Gaussians(*columns)

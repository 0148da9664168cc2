"""Moves, rotates, scales, crops and merges scenes, including their spherical harmonics.

Positions are computed in float64 with the origin of the scene, so that distant scenes stay exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rotations import multiplied, quats_from_matrices
from exgs.scene.scene import Scene, Vector

Matrix = npt.NDArray[np.float64]

_BANDS = (0, 3, 8, 15)  # end index of the coefficients of each degree
_STEP_SHARE = 0.02  # largest position step, relative to the median width of Gaussians
_SAMPLES = 100_000  # Gaussians to compute a centre from
_DIRECTIONS = 32  # to fit rotated harmonics in; more than 2 * 3 + 1


def turned(gaussians: Gaussians, matrix: Matrix) -> Gaussians:
    """Rotate Gaussians about the origin by an orthogonal `matrix` [3, 3], which may mirror."""
    if np.array_equal(matrix, np.eye(3)):
        return gaussians
    proper = matrix if np.linalg.det(matrix) > 0 else -matrix  # an ellipsoid has no handedness
    quat = quats_from_matrices(proper[None])[0]
    quats = multiplied(quat, gaussians.quats.astype(np.float64))
    means = gaussians.means.astype(np.float64) @ matrix.T
    return replace(
        gaussians,
        means=means.astype(np.float32),
        quats=quats.astype(np.float32),
        shN=_turned_harmonics(gaussians.shN, matrix),
    )


def transformed(
    scene: Scene,
    *,
    rotation: Matrix | None = None,
    scale: float = 1.0,
    translation: Vector = (0.0, 0.0, 0.0),
) -> Scene:
    """Rotate `scene` by `rotation` [3, 3], then scale, then move it, in source coordinates.

    Raises SceneError if `rotation` is not a rotation or `scale` is not positive.
    """
    matrix = np.eye(3) if rotation is None else np.asarray(rotation, np.float64)
    if np.abs(matrix @ matrix.T - np.eye(3)).max() > 1e-6:
        raise SceneError("the rotation scales or shears: give an orthogonal matrix")
    if not 0 < scale < np.inf:
        raise SceneError(f"a scene can't be scaled by {scale:g}: give a positive number")
    gaussians = turned(scene.gaussians, matrix)
    if scale != 1:
        factor = np.float32(scale)
        gaussians = replace(
            gaussians, means=gaussians.means * factor, scales=gaussians.scales * factor
        )
    moved = scale * (matrix @ np.array(scene.origin)) + np.array(translation, np.float64)
    return rebased(replace(scene, gaussians=gaussians, origin=_vector(moved)))


def affine(gaussians: Gaussians, matrix: Matrix, translation: Matrix) -> Gaussians:
    """Apply x -> matrix x + translation with any invertible `matrix` [3, 3].

    Harmonics are rotated by the matrix after its columns are normalised.
    """
    lengths = np.linalg.norm(matrix, axis=0)
    rotation = matrix / lengths
    left, _, right = np.linalg.svd(rotation)
    rotation = left @ right  # orthogonal even if the matrix has a slight shear
    if np.allclose(lengths, lengths[0], rtol=1e-6) and np.allclose(rotation * lengths[0], matrix):
        result = turned(gaussians, rotation)
        factor = np.float32(lengths[0])
        means, scales, quats = result.means * factor, result.scales * factor, result.quats
        shN = result.shN
    else:
        means = (gaussians.means.astype(np.float64) @ matrix.T).astype(np.float32)
        scales, quats = _stretched(gaussians, matrix)
        shN = _turned_harmonics(gaussians.shN, rotation)
    means = (means.astype(np.float64) + translation).astype(np.float32)
    return replace(gaussians, means=means, scales=scales, quats=quats, shN=shN)


def cropped(scene: Scene, low: Vector, high: Vector) -> Scene:
    """The Gaussians whose means are inside a box in source coordinates.

    Raises SceneError if there are none.
    """
    means = scene.gaussians.means.astype(np.float64) + scene.origin
    inside = np.all((means >= low) & (means <= high), axis=1)
    if not inside.any():
        least, most = means.min(0), means.max(0)
        raise SceneError(
            "no Gaussian lies in the box to crop to; the scene reaches from"
            f" {_text(least)} to {_text(most)}"
        )
    return replace(scene, gaussians=scene.gaussians.select(inside))


def joined(scenes: Sequence[Scene]) -> Scene:
    """Merge scenes with common source coordinates. The result has the origin of the first one.

    Raises SceneError if their rendering modes or coordinate systems differ.
    """
    first = scenes[0]
    for other in scenes[1:]:
        if other.antialiased != first.antialiased:
            raise SceneError(
                "the scenes were trained in different rendering modes (with and without"
                " antialiasing); one file can't hold both"
            )
        if other.crs and first.crs and other.crs != first.crs:
            raise SceneError(f"the scenes have different systems: {first.crs} and {other.crs}")
    parts = [
        replace(
            scene.gaussians,
            means=(
                scene.gaussians.means + (np.array(scene.origin) - np.array(first.origin))
            ).astype(np.float32),
        )
        for scene in scenes
    ]
    crs = next((scene.crs for scene in scenes if scene.crs), "")
    return replace(first, gaussians=Gaussians.concatenate(parts), crs=crs)


def rebased(scene: Scene) -> Scene:
    """Give `scene` an integer origin near its centre if single precision needs one.

    It does if the float32 step at the median position is larger than 2% of the median width of the
    Gaussians. Positions that are float32 already lose nothing.
    """
    gaussians = scene.gaussians
    if not len(gaussians):
        return replace(scene, origin=(0.0, 0.0, 0.0))
    some = slice(None, None, 1 + len(gaussians) // _SAMPLES)
    middle = np.median(gaussians.means[some], axis=0).astype(np.float64)
    place = middle + scene.origin
    width = float(np.median(gaussians.scales[some].max(axis=1)))
    origin = (0.0, 0.0, 0.0)
    if _step_at(place) > _STEP_SHARE * width:
        origin = scene.origin
        if _step_at(middle) > _STEP_SHARE * width:
            origin = _vector(np.rint(place))
    if origin == scene.origin:
        return scene
    shift = np.array(scene.origin) - np.array(origin)
    means = (gaussians.means + shift).astype(np.float32)
    return replace(scene, gaussians=replace(gaussians, means=means), origin=origin)


def _step_at(place: Matrix) -> float:
    """The step between float32 numbers near the largest coordinate."""
    return float(np.spacing(np.float32(min(np.abs(place).max(), 1e30))))


def _vector(values: Matrix) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _text(values: Matrix) -> str:
    return ",".join(f"{value:.6g}" for value in values)


def _stretched(gaussians: Gaussians, matrix: Matrix) -> tuple[FloatArray, FloatArray]:
    """Scales and quaternions of ellipsoids under a matrix that is not a similarity."""
    axes = _axes(gaussians.quats.astype(np.float64)) * gaussians.scales[:, None, :]
    left, lengths, _ = np.linalg.svd(matrix @ axes)
    left[np.linalg.det(left) < 0, :, 2] *= -1
    return lengths.astype(np.float32), quats_from_matrices(left).astype(np.float32)


def _axes(quats: Matrix) -> Matrix:
    """Rotation matrices [N, 3, 3] of unit quaternions wxyz."""
    w, x, y, z = quats.T
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)


def _turned_harmonics(shN: FloatArray, matrix: Matrix) -> FloatArray:
    """Rotate SH coefficients [N, K, 3] by `matrix`.

    Each degree is closed under rotations and reflections, so a fit in a few directions is exact.
    """
    if not shN.shape[1]:
        return shN
    directions = np.random.default_rng(0).normal(size=(_DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before, after = _harmonics(directions), _harmonics(directions @ matrix.T)
    result = np.empty_like(shN)
    for start, end in pairwise(_BANDS):
        if end <= shN.shape[1]:
            turn = np.linalg.lstsq(after[:, start:end], before[:, start:end], rcond=None)[0]
            result[:, start:end] = np.einsum("ij,njc->nic", turn, shN[:, start:end])
    return result


def _harmonics(directions: Matrix) -> Matrix:
    """Values [D, 15] of the basis of Kerbl et al. 2023, up to one factor per degree."""
    x, y, z = directions.T
    xx, yy, zz = x * x, y * y, z * z
    terms = (
        *(-y, z, -x),
        *(2 * x * y, -2 * y * z, (2 * zz - xx - yy) / 3**0.5, -2 * x * z, xx - yy),
        -0.5900435899266435 * y * (3 * xx - yy),
        2.890611442640554 * x * y * z,
        -0.4570457994644658 * y * (4 * zz - xx - yy),
        0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
        -0.4570457994644658 * x * (4 * zz - xx - yy),
        1.445305721320277 * z * (xx - yy),
        -0.5900435899266435 * x * (xx - 3 * yy),
    )
    return np.stack(terms, axis=1)

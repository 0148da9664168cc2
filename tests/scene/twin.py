"""The slow, obvious twin of the rasterizers: float64, one Gaussian after another, all pixels.

Written from the formulas (Zwicker et al. 2002; Kerbl et al. 2023; gsplat 1.5.3 'classic') and
not from the product's kernels. Drawing has two sharp decisions, alpha >= 1/255 and next T >
1e-4; where a pixel stands within rounding of one, either answer is right, and the twin says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians

EPS2D, NEAR, FAR = 0.3, 0.01, 1e10
ROUNDING = 3e-5  # relative distance to a sharp decision that float32 cannot be held to


@dataclass(frozen=True)
class Drawn:
    """What the twin saw."""

    rgb: np.ndarray  # [H, W, 3]
    alpha: np.ndarray  # [H, W]
    depth: np.ndarray  # [H, W]
    weights: np.ndarray  # [N, H, W] alpha * T
    before: np.ndarray  # [N, H, W] T where it is drawn, else 0
    decided: np.ndarray  # [H, W] no sharp decision was within rounding


def rotation(quat: np.ndarray) -> np.ndarray:
    """Matrix [3, 3] of a quaternion (w, x, y, z)."""
    w, x, y, z = quat / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def sh_basis(direction: np.ndarray) -> np.ndarray:
    """The 16 real spherical harmonics to degree 3 at a unit direction, in PLY order."""
    x, y, z = direction
    return np.array(
        [
            0.28209479177387814,
            -0.4886025119029199 * y,
            0.4886025119029199 * z,
            -0.4886025119029199 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.31539156525252005 * (3 * z * z - 1),
            -1.0925484305920792 * x * z,
            0.5462742152960396 * (x * x - y * y),
            -0.5900435899266435 * y * (3 * x * x - y * y),
            2.890611442640554 * x * y * z,
            -0.4570457994644658 * y * (5 * z * z - 1),
            0.3731763325901154 * z * (5 * z * z - 3),
            -0.4570457994644658 * x * (5 * z * z - 1),
            1.445305721320277 * z * (x * x - y * y),
            -0.5900435899266435 * x * (x * x - 3 * y * y),
        ]
    )


def sh_colors(scene: Gaussians, camera: Camera) -> np.ndarray:
    """Colours [N, 3] seen from the camera: max(0, 0.5 + SH)."""
    coefficients = np.concatenate([scene.sh0[:, None], scene.shN], axis=1).astype(np.float64)
    colors = np.empty((len(scene), 3))
    for i, mean in enumerate(scene.means.astype(np.float64)):
        direction = mean - camera.position
        basis = sh_basis(direction / np.linalg.norm(direction))[: coefficients.shape[1]]
        colors[i] = 0.5 + basis @ coefficients[i]
    return np.maximum(colors, 0)


def project(
    scene: Gaussians, camera: Camera, i: int
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Mean [2] and covariance [2, 2] in pixels and the depth of Gaussian i, or None if culled."""
    R, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    K, W, H = camera.K, camera.width, camera.height
    x, y, z = R @ scene.means[i].astype(np.float64) + t
    if z < NEAR or z > FAR:
        return None
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    margin_x, margin_y = 0.15 * W / fx, 0.15 * H / fy
    tx = z * min((W - cx) / fx + margin_x, max(-(cx / fx + margin_x), x / z))
    ty = z * min((H - cy) / fy + margin_y, max(-(cy / fy + margin_y), y / z))
    J = np.array([[fx / z, 0, -fx * tx / z**2], [0, fy / z, -fy * ty / z**2]])
    axes = rotation(scene.quats[i].astype(np.float64)) @ np.diag(scene.scales[i].astype(np.float64))
    covariance = J @ R @ axes @ axes.T @ R.T @ J.T + EPS2D * np.eye(2)
    return np.array([fx * x / z + cx, fy * y / z + cy]), covariance, z


def draw(
    scene: Gaussians,
    camera: Camera,
    background: tuple[float, float, float] = (0.0, 0.0, 0.0),
    colors: np.ndarray | None = None,
    antialiased: bool = False,
) -> Drawn:
    """Draw `scene` front to back."""
    H, W = camera.height, camera.width
    color = sh_colors(scene, camera) if colors is None else colors.astype(np.float64)
    columns, rows = np.meshgrid(np.arange(W) + 0.5, np.arange(H) + 0.5)
    T, done, decided = np.ones((H, W)), np.zeros((H, W), bool), np.ones((H, W), bool)
    rgb, depth = np.zeros((H, W, 3)), np.zeros((H, W))
    weights = np.zeros((len(scene), H, W))
    before = np.zeros((len(scene), H, W))
    projected = {i: p for i in range(len(scene)) if (p := project(scene, camera, i)) is not None}
    for i in sorted(projected, key=lambda i: (projected[i][2], i)):
        mean, covariance, z = projected[i]
        inverse = np.linalg.inv(covariance)
        dx, dy = columns - mean[0], rows - mean[1]
        sigma = 0.5 * (inverse[0, 0] * dx**2 + inverse[1, 1] * dy**2) + inverse[0, 1] * dx * dy
        exact = float(scene.opacities[i]) * np.exp(-sigma)
        if antialiased:
            bare = np.linalg.det(covariance - EPS2D * np.eye(2))
            exact *= np.sqrt(max(bare, 0) / np.linalg.det(covariance))
        alpha = np.where(exact < 1 / 255, 0, np.minimum(0.999, exact))
        decided &= done | (abs(exact * 255 - 1) > ROUNDING)
        next_T = T * (1 - alpha)
        decided &= done | (alpha == 0) | (abs(next_T / 1e-4 - 1) > 30 * ROUNDING)
        done |= next_T <= 1e-4
        w = np.where(done, 0, alpha * T)
        before[i] = np.where(w > 0, T, 0)
        T = np.where(done, T, next_T)
        rgb += w[..., None] * color[i]
        depth += w * z
        weights[i] = w
    alpha = 1 - T
    return Drawn(
        rgb + T[..., None] * np.array(background),
        alpha,
        depth / np.maximum(alpha, 1e-10),
        weights,
        before,
        decided,
    )

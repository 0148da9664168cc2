"""A pinhole camera: pose, intrinsics and picture size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

SCREEN_FILTER = 0.3  # squared pixels, the variance that 3DGS adds along both axes (EWA)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera in OpenCV axes: x right, y down, z forward.

    `screen_filter` is the variance in squared pixels that is added to each projected Gaussian.
    """

    viewmat: Matrix  # [4, 4] world to camera
    K: Matrix  # [3, 3] intrinsics in pixels
    width: int
    height: int
    name: str = ""
    screen_filter: float = SCREEN_FILTER

    @property
    def position(self) -> Matrix:
        """Centre of projection in world units, [3]."""
        return -self.viewmat[:3, :3].T @ self.viewmat[:3, 3]

    @property
    def fov_y(self) -> float:
        """Vertical field of view in radians."""
        return float(2 * np.arctan2(self.height, 2 * self.K[1, 1]))

    def relative_to(self, origin: npt.ArrayLike) -> Camera:
        """The same view of a scene whose positions are relative to `origin` [3]."""
        viewmat = self.viewmat.copy()
        viewmat[:3, 3] += viewmat[:3, :3] @ np.asarray(origin, np.float64)
        return replace(self, viewmat=viewmat)

    def resized(self, width: int, height: int) -> Camera:
        """The same view with another picture size.

        The vertical field of view stays the same, pixels stay square, and the principal point
        keeps its offset from the centre.
        """
        s = height / self.height
        K = self.K.copy()
        K[:2, :] *= s
        K[0, 2] += (width - self.width * s) / 2
        return replace(self, K=K, width=width, height=height)

    def thinned(self, width: int, height: int) -> Camera:
        """Like `resized`, but the screen filter is scaled with the picture.

        So the picture samples the same projected Gaussians at fewer points, and what is fitted to
        it is valid at full size.
        """
        small = self.resized(width, height)
        return replace(small, screen_filter=self.screen_filter * (height / self.height) ** 2)


def look_at(
    eye: npt.ArrayLike, target: npt.ArrayLike, up: npt.ArrayLike, K: Matrix, width: int, height: int
) -> Camera:
    """A camera at `eye` that looks at `target`. `up` points upwards in the picture."""
    e, t, u = (np.asarray(a, np.float64) for a in (eye, target, up))
    distance = float(np.linalg.norm(t - e))
    if not distance > 0:
        raise ValueError(f"a camera at {e} can't look at its own place")
    z = (t - e) / distance
    x = np.cross(z, u)
    if np.linalg.norm(x) < 1e-9:  # the camera looks along `up`: choose any horizon
        x = np.cross(z, np.roll(u, 1) + 1e-3)
    x /= np.linalg.norm(x)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([x, np.cross(z, x), z])
    viewmat[:3, 3] = -viewmat[:3, :3] @ e
    return Camera(viewmat, K, width, height)


def pinhole(width: int, height: int, fov_y_deg: float) -> Matrix:
    """Intrinsics [3, 3] with square pixels, a centred principal point and this field of view.

    The field of view is vertical and in degrees.
    """
    f = 0.5 * height / np.tan(np.radians(fov_y_deg) / 2)
    return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])

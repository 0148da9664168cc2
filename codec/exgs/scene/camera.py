"""One pinhole camera: where it stands, how it projects, how large its picture is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

SCREEN_FILTER = 0.3  # squared pixels, the variance that 3DGS adds along both axes (EWA)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """A pinhole camera in OpenCV axes: x right, y down, z forward.

    `screen_filter` is the variance in squared pixels that is added to every footprint.
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
        """The same view of a scene whose positions are given from `origin` [3] on."""
        viewmat = self.viewmat.copy()
        viewmat[:3, 3] += viewmat[:3, :3] @ np.asarray(origin, np.float64)
        return replace(self, viewmat=viewmat)

    def resized(self, width: int, height: int) -> Camera:
        """The same view on another raster; the field of view along the height is kept, pixels stay
        square and the principal point moves with the centre."""
        s = height / self.height
        K = self.K.copy()
        K[:2, :] *= s
        K[0, 2] += (width - self.width * s) / 2
        return replace(self, K=K, width=width, height=height)

    def thinned(self, width: int, height: int) -> Camera:
        """`resized` to a picture that shows the same footprints at fewer points.

        The screen filter shrinks with the picture: what is learned from it holds at the full size.
        """
        small = self.resized(width, height)
        return replace(small, screen_filter=self.screen_filter * (height / self.height) ** 2)


def look_at(
    eye: npt.ArrayLike, target: npt.ArrayLike, up: npt.ArrayLike, K: Matrix, width: int, height: int
) -> Camera:
    """A camera at `eye` that looks at `target` with the world's `up` upwards in the picture."""
    e, t, u = (np.asarray(a, np.float64) for a in (eye, target, up))
    z = (t - e) / np.linalg.norm(t - e)
    x = np.cross(z, u)
    if np.linalg.norm(x) < 1e-9:  # looking along up: any horizon will do
        x = np.cross(z, np.roll(u, 1) + 1e-3)
    x /= np.linalg.norm(x)
    viewmat = np.eye(4)
    viewmat[:3, :3] = np.stack([x, np.cross(z, x), z])
    viewmat[:3, 3] = -viewmat[:3, :3] @ e
    return Camera(viewmat, K, width, height)


def pinhole(width: int, height: int, fov_y_deg: float) -> Matrix:
    """Intrinsics [3, 3] of a centred camera with square pixels and this vertical field of view."""
    f = 0.5 * height / np.tan(np.radians(fov_y_deg) / 2)
    return np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])

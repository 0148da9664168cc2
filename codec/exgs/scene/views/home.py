"""Chooses the home view, the first view of a viewer: whole, sharp, level, and without floaters.

Candidates are cameras around an object, cameras inside a room, or the cameras of photographs. Small
pictures of a thinned scene reject most candidates. Pictures of the whole scene rank the others. All
pictures are drawn on the CPU, so that every machine and every caller finds the same view.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.gaussians import SH_C0, FloatArray, Gaussians
from exgs.scene.views.made_up import SceneViews
from exgs.scene.views.survey import Array, Survey

WIDTH, HEIGHT = 320, 180  # pixels of the pictures that rank the views
FOV_Y_DEG = 50.0

_AZIMUTHS = 16
_ELEVATIONS_DEG = (14.0, 28.0)
_WITHIN = 96
_FINALISTS = 6
_MARGIN = 0.86  # share of the picture that the scene may fill
_EDGE_QUANTILES = (0.001, 0.999)  # quantiles of the matter that must lie in the picture
_BEYOND = 0.25  # relative to the bounds: matter up to this distance outside belongs to the scene
_SMALL = 0.05  # relative to the size: larger Gaussians need not be in the picture
_FEW = 100  # points
_FIT_POINTS = 4000
_FIT_ROUNDS = 8
_NEAR = 0.04  # relative to the size of the scene: nearer matter counts as an obstruction
_BLUR = 0.12  # relative to the height of the picture: Gaussians that look larger are fog
_SHOWN = 0.02  # least blending weight of a visible Gaussian
_LEVEL = 0.35  # sine of the largest pitch that counts as level
_DETAIL_QUANTILE = 0.98  # of the widths: wider Gaussians are clipped to this width

_ORBIT_ELEVATION_DEG = 20.0
_ORBIT_SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3)  # of the distance to the visible matter
_FADE = 0.65  # standard deviation of the weight of the middle, relative to half the picture

Image = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class ChosenView:
    """A camera, and the distance of the point that it looks at, which orbits have as centre."""

    camera: Camera
    distance: float  # world units
    up: Array  # [3] unit: the up direction of the scene
    is_up_known: bool  # False if neither an argument nor a floor tells it

    @property
    def target(self) -> Array:
        """The point that the camera looks at, [3]."""
        target: Array = self.camera.position + self.distance * self.camera.viewmat[2, :3]
        return target


def choose_home(
    scene: Gaussians,
    cameras: Sequence[Camera] = (),
    *,
    up: npt.ArrayLike | None = None,
    antialiased: bool = False,
) -> ChosenView:
    """The best of `cameras` in a wide picture, or the best generated view without `cameras`.

    `up` is the up direction of the scene, if known. The same scene gives the same home. Raises
    SceneError for a scene without Gaussians.
    """
    views = SceneViews(scene, width=WIDTH, height=HEIGHT, up=up)
    layout = views.layout
    inside = [wide for camera in _evenly(cameras, _WITHIN) for wide in _as_wide(camera)]
    inside = inside or views.within(_WITHIN)
    candidates = inside or _round(layout)
    if len(candidates) > _FINALISTS:
        first = _Ranker(layout.thinned, layout, antialiased)
        small = [camera.resized(WIDTH // 2, HEIGHT // 2) for camera in candidates]
        order = first.ranking(small, within=bool(inside))
        candidates = [candidates[number] for number in order[:_FINALISTS]]
    ranker = _Ranker(scene, layout, antialiased)
    best = candidates[ranker.ranking(candidates, within=bool(inside))[0]]
    distance = float(np.linalg.norm(best.position - layout.centre))
    if inside:
        distance = _roomy(layout, best, ranker.distance(best))
    return ChosenView(best, distance, layout.up, up is not None or layout.has_floor)


def _roomy(layout: Survey, camera: Camera, distance: float) -> float:
    """The distance of the orbit centre, at most `distance`, whose orbit has most free space."""
    turns = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    east, north = _horizon(layout.up)
    rise = math.radians(_ORBIT_ELEVATION_DEG)
    circle = math.cos(rise) * (np.cos(turns)[:, None] * east + np.sin(turns)[:, None] * north)
    circle += math.sin(rise) * layout.up
    shares = []
    for share in _ORBIT_SHARES:
        radius = share * distance
        places = camera.position + radius * camera.viewmat[2, :3] + radius * circle
        within = np.all((places >= layout.low) & (places <= layout.high), axis=1)
        shares.append(float((within & ~layout.holds_matter(places)).mean()))
    return distance * _ORBIT_SHARES[int(np.argmax(np.round(shares, 2)))]


def _evenly(cameras: Sequence[Camera], count: int) -> list[Camera]:
    step = max(1, -(-len(cameras) // count))
    return list(cameras[::step])


def _as_wide(camera: Camera) -> list[Camera]:
    """The camera of a photograph for a wide picture: the whole height, or the same area."""
    focal = float(camera.K[1, 1]) / camera.height
    wide = []
    for zoom in (1.0, max(1.0, math.sqrt(camera.height / camera.width))):
        f = focal * zoom * HEIGHT
        K = np.array([[f, 0, WIDTH / 2], [0, f, HEIGHT / 2], [0, 0, 1.0]])
        wide.append(replace(camera, K=K, width=WIDTH, height=HEIGHT))
    return wide[: 1 if camera.height <= camera.width else 2]


def _round(layout: Survey) -> list[Camera]:
    """Cameras on all sides, at a few elevations; the scene just fills each picture."""
    east, north = _horizon(layout.up)
    points = _to_be_seen(layout)
    cameras = []
    for elevation in np.radians(_ELEVATIONS_DEG):
        for azimuth in 2 * math.pi * np.arange(_AZIMUTHS) / _AZIMUTHS:
            level = math.cos(azimuth) * east + math.sin(azimuth) * north
            toward = math.cos(elevation) * level + math.sin(elevation) * layout.up
            cameras.append(_fitted(points, layout, toward))
    return cameras


def _to_be_seen(layout: Survey) -> Array:
    """[P, 3] points that a picture of the whole scene must show, including some out of bounds."""
    scene, beyond = layout.thinned, _BEYOND * (layout.high - layout.low)
    within = np.all(
        (scene.means > layout.low - beyond) & (scene.means < layout.high + beyond), axis=1
    )
    solid = (scene.opacities > 0.3) & (scene.scales.max(axis=1) < _SMALL * layout.size)
    points = scene.means[within & solid].astype(np.float64)
    if len(points) < _FEW:
        points = layout.points
    thinned: Array = points[:: max(1, len(points) // _FIT_POINTS)]
    return thinned


def _horizon(up: Array) -> tuple[Array, Array]:
    """Two level unit vectors at right angles."""
    east = np.cross(up, np.roll(up, 1))
    east = east / np.linalg.norm(east)
    return east, np.cross(east, up)


def _fitted(points: Array, layout: Survey, toward: Array) -> Camera:
    """The camera in direction `toward` from the scene whose picture holds `points`."""
    K = pinhole(WIDTH, HEIGHT, FOV_Y_DEG)
    limits = np.array([WIDTH, HEIGHT]) / (2 * K[1, 1]) * _MARGIN
    target, distance = layout.centre, layout.size
    camera = look_at(target + distance * toward, target, layout.up, K, WIDTH, HEIGHT)
    for _ in range(_FIT_ROUNDS):
        place = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        tangents = place[:, :2] / np.maximum(place[:, 2:], 0.05 * distance)
        low, high = np.quantile(tangents, _EDGE_QUANTILES, axis=0)
        aside = (low + high) / 2 * distance
        target = target + aside @ camera.viewmat[:2, :3]
        distance *= float(np.clip(np.max((high - low) / 2 / limits), 0.5, 2.0))
        camera = look_at(target + distance * toward, target, layout.up, K, WIDTH, HEIGHT)
    return camera


class _Ranker:
    """Rates pictures of one scene."""

    def __init__(self, scene: Gaussians, layout: Survey, antialiased: bool) -> None:
        self._scene = scene
        self._layout = layout
        self._rasterizer = CpuRasterizer(antialiased=antialiased)
        widths = scene.scales.max(axis=1, keepdims=True)
        self._surface = _root_surface(scene, float(np.quantile(widths, _DETAIL_QUANTILE)))
        gray = np.clip(0.5 + SH_C0 * scene.sh0.mean(axis=1, keepdims=True), 0, 1)
        self._gray_and_width: FloatArray = np.hstack([gray, widths, np.zeros_like(widths)])

    def ranking(self, cameras: Sequence[Camera], *, within: bool) -> list[int]:
        """The places of the cameras, the best first; with `within`, uncovered pixels are holes."""
        looks = [self._look(camera, within) for camera in cameras]
        detail = max(look.detail for look in looks) or 1.0
        edges = max(look.edges for look in looks) or 1.0

        def score(number: int) -> float:
            look = looks[number]
            return look.detail / detail + look.edges / edges - look.faults

        return sorted(range(len(cameras)), key=score, reverse=True)

    def _look(self, camera: Camera, within: bool) -> _Look:
        picture = self._rasterizer.render(self._scene, camera, colors=self._gray_and_width)
        gray, widths = picture.rgb[..., 0], picture.rgb[..., 1]
        shown = self._rasterizer.contributions(self._scene, camera).max > _SHOWN
        covered = picture.alpha > 0.5
        share = max(float(covered.mean()), 1e-6)
        depth = np.maximum(picture.depth, 1e-6)
        pixels = widths / np.maximum(picture.alpha, 1e-6) / depth * float(camera.K[1, 1])
        near = float((covered & (picture.depth < _NEAR * self._layout.size)).mean())
        fog = float((covered & (pixels > _BLUR * camera.height)).mean()) / share
        weight = _middle_weight(camera)
        holes = 1 - float((picture.alpha * weight).sum() / weight.sum()) if within else 0.0
        steep = max(0.0, abs(float(camera.viewmat[2, :3] @ self._layout.up)) - _LEVEL)
        return _Look(
            float(self._surface[shown].sum()),
            float((_edges(gray) * weight).sum()),
            1.5 * near + fog + holes + 0.5 * steep,
        )

    def distance(self, camera: Camera) -> float:
        """The distance of the matter in the middle of the picture."""
        picture = self._rasterizer.render(self._scene, camera)
        middle = picture.depth[HEIGHT // 3 : -HEIGHT // 3, WIDTH // 3 : -WIDTH // 3]
        shown = middle[middle > 0]
        return float(np.median(shown)) if len(shown) else self._layout.size


@dataclass(frozen=True, slots=True)
class _Look:
    """The measurements of one picture."""

    detail: float  # visible surface, as in `_root_surface`
    edges: float  # differences of neighbouring pixels, weighted towards the middle
    faults: float  # floaters in front, fog, holes, steepness; 0 for a good view


def _root_surface(scene: Gaussians, limit: float) -> npt.NDArray[np.float64]:
    a, b, c = np.minimum(scene.scales, limit).T.astype(np.float64)
    roots: npt.NDArray[np.float64] = np.sqrt(scene.opacities * (a * b + b * c + c * a))
    return roots


def _edges(gray: Image) -> Image:
    """Square roots of the differences of neighbouring pixels, [H, W]."""
    across, down = np.zeros_like(gray), np.zeros_like(gray)
    across[:, 1:] = np.abs(np.diff(gray, axis=1))
    down[1:] = np.abs(np.diff(gray, axis=0))
    edges: Image = np.sqrt(across + down)
    return edges


def _middle_weight(camera: Camera) -> Image:
    y, x = np.mgrid[-1 : 1 : camera.height * 1j, -1 : 1 : camera.width * 1j]
    weight: Image = np.exp(-(x**2 + y**2) / (2 * _FADE**2))
    return weight

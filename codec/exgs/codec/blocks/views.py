"""Views of a block: near views as for a scene, and views from farther away.

Importance and gains are also measured on views of the whole scene, and on photographs if there are
any. So all parts of a scene are seen from near and far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from exgs.codec.blocks.job import BlockCameras, Job, Overviews
from exgs.codec.blocks.photographs import PHOTOGRAPH_SHARE
from exgs.codec.encoding.efforts import Effort
from exgs.codec.measuring.pictures import evenly_spaced, thinned, zoomed
from exgs.codec.measuring.viewpoints import TRAINING_ZOOM, Viewpoints, viewpoints_of
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import SceneViews

_OVERVIEW_SHARE = 0.75  # of all generated views; the others are near one block each
_EXPOSED = "exposed"
_EXPOSED_SHARE = 4  # one view in four shows the block without occluders
_AROUND = 0.5  # margin of the neighbourhood, relative to the block's diagonal
_CANDIDATES = 3
_PROBE_WIDTH, _PROBE_HEIGHT = 64, 36
_TRAINING = 2  # number of this set of views
_FAR_SHARE = 4  # one view in four is farther away
_FAR = (1.5, 4.0)  # distance of these, relative to the block's diagonal
_ELEVATIONS_DEG = (10.0, 50.0)
_WIDTH, _HEIGHT, _FOV_Y_DEG = 640, 360, 50.0
_DRAWN_PIXELS = 40_000  # of a picture to which coarse layers are fitted
_WINDOW = (0.5, 99.5)  # percentiles of the bounds of Gaussians that a window contains
_WINDOW_SAMPLE = 20_000  # Gaussians by which windows are found
_WINDOW_SIGMAS = 2.0
_WINDOW_MARGIN = 0.05  # of the window's size, on each side
_WINDOW_MIN = 16  # pixels
_BEHIND = 0.01  # share of a block behind the camera from which on the whole picture is used


@dataclass(frozen=True, slots=True)
class SharedViews:
    """Views of one kind that show several blocks each. A block is measured in windows of them."""

    weight: float  # of the sum over the pixels of a view
    cameras: tuple[Camera, ...]  # one or more


def shared_views(
    job: Job, number: int, gain_views: int | None = None
) -> tuple[float, list[SharedViews]]:
    """The weight of a block's own views, and the shared views on which it is measured.

    With these weights, each block counts by what all views show of it. With `gain_views`, there are
    at most so many of each kind, for gains.
    """
    seen: BlockCameras = job.load("cameras", number)
    made, photographs = job.overviews.measured, seen.measured
    if gain_views is not None:
        made, photographs = (
            tuple(evenly_spaced(some, gain_views)) for some in (made, seen.for_gains)
        )
    generated = 1 - PHOTOGRAPH_SHARE if job.overviews.photographs else 1.0
    kinds = (
        (generated * _OVERVIEW_SHARE, made),
        ((1 - generated) * seen.seen_share, photographs),
    )
    shared = [SharedViews(job.blocks * share, cameras) for share, cameras in kinds if cameras]
    return generated * (1 - _OVERVIEW_SHARE), shared


def block_viewpoints(
    job: Job, number: int, scene: Gaussians, context: Gaussians, effort: Effort
) -> Viewpoints:
    """The viewpoints of a block whose Gaussians are `scene`, in its `context`.

    Most are views of its neighbourhood that show much of the block. The others omit occluders, so
    that every part of the block is seen. Photographs take the place of some training views.
    """
    seed = 3 * (job.options.seed * job.blocks + number)
    alone = SceneViews(scene, up=job.up)
    around = _Neighbourhood(job, number, context)
    photographs: BlockCameras = job.load("cameras", number)
    generated = effort.training_views - len(photographs.fitted)
    sets = []
    for kind, count in enumerate((effort.views, effort.held_out_views, generated)):
        far, bare = count // _FAR_SHARE, count // _EXPOSED_SHARE
        exposed = _named(alone.views(bare, seed + kind), _EXPOSED)
        near = _interleaved(around.views(count - far - bare, seed + kind), exposed)
        if kind == _TRAINING:
            near = [zoomed(camera, TRAINING_ZOOM) for camera in near]
        away = _far_views(job, number, far, seed + kind)
        sets.append(_interleaved(near, away))
    scoring, held_out, training = sets
    over = [window(camera, scene) for camera in (*photographs.fitted, *job.overviews.fitted)]
    return viewpoints_of(scoring, [*training, *over], held_out)


def overviews(
    sample: Gaussians,
    up: tuple[float, float, float],
    measured: int,
    fitted: int,
    drawn: int,
    photographs: Sequence[Camera] = (),
) -> Overviews:
    """So many views of the whole scene, of which `sample` is a sample, for each purpose.

    Some of the `photographs` take the place of generated views to which coarse layers are fitted.
    """
    made = SceneViews(sample, up=up)
    return Overviews(
        _named(made.views(measured, 0), "overview"),
        _named(made.views(fitted, 2), "overview"),
        tuple(
            thinned(camera, _DRAWN_PIXELS)
            for camera in with_photographs(lambda count: made.views(count, 2), photographs, drawn)
        ),
        tuple(photographs),
    )


def with_photographs(
    generate: Callable[[int], Sequence[Camera]], photographs: Sequence[Camera], count: int
) -> list[Camera]:
    """`count` views, most of them photographs as far as there are any, evenly mixed."""
    taken = evenly_spaced(photographs, round(PHOTOGRAPH_SHARE * count))
    return _interleaved(generate(count - len(taken)), taken)


def window(camera: Camera, scene: Gaussians) -> Camera:
    """The part of the picture of `camera` that shows nearly all of `scene`."""
    some = scene.select(slice(None, None, 1 + len(scene) // _WINDOW_SAMPLE))
    viewmat = camera.viewmat.astype(np.float32)
    local = some.means @ viewmat[:3, :3].T + viewmat[:3, 3]
    depth = local[:, 2]
    ahead = depth > np.float32(1e-3 * np.abs(depth).max())
    if ahead.mean() < 1 - _BEHIND:
        return camera
    size = np.array([camera.width, camera.height])
    focal, middle = camera.K[[0, 1], [0, 1]], camera.K[:2, 2]
    places = local[ahead, :2] / depth[ahead, None] * focal + middle
    reach = _WINDOW_SIGMAS * (some.scales.max(axis=1) / depth)[ahead, None] * focal
    low = np.percentile(places - reach, _WINDOW[0], axis=0)
    high = np.percentile(places + reach, _WINDOW[1], axis=0)
    margin = _WINDOW_MARGIN * (high - low)
    first = np.clip(np.floor(low - margin), 0, size - _WINDOW_MIN)
    last = np.clip(np.ceil(high + margin), first + _WINDOW_MIN, size)
    K = camera.K.copy()
    K[:2, 2] -= first
    width, height = (last - first).astype(int).tolist()
    return replace(camera, K=K, width=width, height=height)


def is_exposed(camera: Camera) -> bool:
    """Whether the view omits Gaussians in front of the block."""
    return camera.name.startswith(_EXPOSED)


def _named(cameras: Sequence[Camera], name: str) -> tuple[Camera, ...]:
    return tuple(replace(camera, name=f"{name} {i}") for i, camera in enumerate(cameras))


def _interleaved(many: Sequence[Camera], few: Sequence[Camera]) -> list[Camera]:
    """Both in one sequence, evenly mixed: stages take every second or fourth camera."""
    placed = [(float(i), 0, camera) for i, camera in enumerate(many)]
    step = (len(many) + 1) / max(len(few), 1)
    placed += [((i + 0.5) * step, 1, camera) for i, camera in enumerate(few)]
    return [camera for _, _, camera in sorted(placed, key=lambda entry: entry[:2])]


class _Neighbourhood:
    """A block and its surroundings, both merged to few Gaussians."""

    def __init__(self, job: Job, number: int, context: Gaussians) -> None:
        low, high = job.spill.low[number], job.spill.high[number]
        margin = _AROUND * float(np.linalg.norm(high - low))
        within = np.all((context.means > low - margin) & (context.means < high + margin), axis=1)
        outline: Gaussians = job.load("outline", number)
        self._whole = Gaussians.concatenate([outline, context.select(within)])
        self._is_own = np.zeros((len(self._whole), 3), np.float32)
        self._is_own[: len(outline)] = 1
        self._made = SceneViews(self._whole, up=job.up)
        self._rasterizer = default_rasterizer(antialiased=job.spill.facts.antialiased)

    def views(self, count: int, seed: int) -> list[Camera]:
        """The third of the generated views in which the block fills most of the picture."""
        made = self._made.views(_CANDIDATES * count, seed)
        shares = [self._share(camera) for camera in made]
        best = np.sort(np.argsort(-np.array(shares), kind="stable")[:count])
        return [made[i] for i in best]

    def _share(self, camera: Camera) -> float:
        """The share of a small picture that shows the block."""
        small = camera.resized(_PROBE_WIDTH, _PROBE_HEIGHT)
        picture = self._rasterizer.render(self._whole, small, colors=self._is_own).rgb
        return float(picture.mean())


def _far_views(job: Job, number: int, count: int, seed: int) -> list[Camera]:
    """Views of a block from outside, in all directions above the horizon."""
    rng = np.random.default_rng((seed, 7))
    low, high = job.spill.low[number], job.spill.high[number]
    centre, size = (low + high) / 2, float(np.linalg.norm(high - low))
    up = np.asarray(job.up, np.float64)
    east = np.cross(up, np.roll(up, 1))
    east /= np.linalg.norm(east)
    north = np.cross(east, up)
    start = rng.random()
    cameras = []
    for place in range(count):
        azimuth = 2 * math.pi * (start + place * 0.618034)
        elevation = math.radians(rng.uniform(*_ELEVATIONS_DEG))
        distance = size * _FAR[0] * (_FAR[1] / _FAR[0]) ** rng.random()
        level = math.cos(azimuth) * east + math.sin(azimuth) * north
        toward = math.cos(elevation) * level + math.sin(elevation) * up
        K = pinhole(_WIDTH, _HEIGHT, _FOV_Y_DEG)
        cameras.append(look_at(centre + distance * toward, centre, up, K, _WIDTH, _HEIGHT))
    return cameras

"""Made-up views stand where a person would: outside of objects, within rooms, above the ground."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.errors import SceneError
from exgs.scene.formats.ply import read_ply
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.home import choose_home
from exgs.scene.views.made_up import SceneViews, camera_path, synthesise_views
from exgs.scene.views.survey import survey
from tests.strategies import gaussians

UP = np.array([0.0, -1, 0])

Box = tuple[Sequence[float], Sequence[float]]  # two corners
ROOM: Box = ((-3, -2.6, -2.5), (3, 0, 2.5))
FURNITURE: list[Box] = [
    ((-1, -0.8, -0.6), (0.8, 0, 0.5)),
    ((-2.9, -2, 1.5), (-1.5, 0, 2.4)),
    ((1.5, -0.5, -2), (2.5, 0, -1)),
]


def flat_gaussians(
    means: np.ndarray, scales: np.ndarray, color: Sequence[float] = (0.5, 0.5, 0.5)
) -> Gaussians:
    count = len(means)
    quats = np.tile([1.0, 0, 0, 0], (count, 1))
    columns = (
        means,
        quats,
        np.broadcast_to(scales, (count, 3)),
        np.full(count, 0.95),
        np.tile(np.array(color) - 0.5, (count, 1)) / 0.282,
        np.zeros((count, 0, 3)),
    )
    return Gaussians(*(np.asarray(column, np.float32) for column in columns))


def box(low: Sequence[float], high: Sequence[float], spacing: float) -> Gaussians:
    """The six sides of a box, axis by axis."""
    rng = np.random.default_rng(0)
    lower, side = np.array(low, float), np.array(high, float) - np.array(low, float)
    parts = []
    for axis in range(3):
        area = side.prod() / side[axis]
        for end in (0, 1):
            places = rng.random((max(10, int(area / spacing**2)), 3))
            places[:, axis] = end
            scales = np.full(3, spacing)
            scales[axis] *= 0.05
            parts.append(flat_gaussians(lower + places * side, scales))
    return Gaussians.concatenate(parts)


@cache
def room() -> Gaussians:
    return Gaussians.concatenate([box(*sides, 0.06) for sides in (ROOM, *FURNITURE)])


@cache
def hollow_ball() -> Gaussians:
    normals = np.random.default_rng(0).normal(size=(20_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return flat_gaussians(normals * 2 + 5, np.full(3, 0.04))


@cache
def landscape() -> Gaussians:
    rng = np.random.default_rng(0)
    ground = rng.uniform(-30, 30, (30_000, 3)) * [1, 0, 1]
    parts = [flat_gaussians(ground, np.array([0.35, 0.02, 0.35]), (0.3, 0.6, 0.2))]
    for x, z in rng.uniform(-20, 20, (25, 2)):
        parts.append(box((x - 0.3, -3, z - 0.3), (x + 0.3, 0, z + 0.3), 0.15))
        parts.append(box((x - 1.5, -6, z - 1.5), (x + 1.5, -3, z + 1.5), 0.3))
    sky = rng.normal(size=(2000, 3))
    sky *= 300 / np.linalg.norm(sky, axis=1, keepdims=True)
    sky[:, 1] = -abs(sky[:, 1])
    parts.append(flat_gaussians(sky, np.full(3, 12.0), (0.5, 0.6, 1.0)))
    return Gaussians.concatenate(parts)


@cache
def views(make: Callable[[], Gaussians], seed: int = 0) -> tuple[Camera, ...]:
    return synthesise_views(make(), 30, seed=seed)


def positions(cameras: Sequence[Camera]) -> np.ndarray:
    return np.array([camera.position for camera in cameras])


def inside(points: np.ndarray, sides: Box, margin: float = 0.0) -> np.ndarray:
    low, high = np.array(sides[0]) - margin, np.array(sides[1]) + margin
    return np.all((points > low) & (points < high), axis=1)


def pictures(scene: Gaussians, cameras: Sequence[Camera]) -> list[tuple[float, float]]:
    """Coverage, and the depth that 5% of what is covered lies within."""
    rasterizer = default_rasterizer()
    seen = []
    for camera in cameras:
        picture = rasterizer.render(scene, camera.resized(160, 90))
        covered = picture.depth[picture.alpha > 0.5]
        assert len(covered)
        seen.append((float(picture.alpha.mean()), float(np.quantile(covered, 0.05))))
    return seen


@pytest.mark.parametrize("make", [room, hollow_ball, landscape])
def test_the_same_arguments_give_the_same_views(make) -> None:
    first, second = views(make), synthesise_views(make(), 30, seed=0)
    assert len({camera.name for camera in first}) == 30
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.viewmat, other.viewmat)
        assert np.array_equal(one.K, other.K)
        assert (one.width, one.height) == (640, 360)


@pytest.mark.parametrize("make", [room, hollow_ball, landscape])
def test_other_seeds_give_other_views_of_the_same_kind(make) -> None:
    training, held_out = (positions(views(make, seed)) for seed in (0, 1))
    apart = np.linalg.norm(training[:, None] - held_out[None], axis=2)
    spread = np.linalg.norm(training.std(axis=0))
    assert apart.min() > 0.005 * spread
    np.testing.assert_allclose(training.mean(0), held_out.mean(0), atol=0.6 * spread)
    assert 0.6 < np.linalg.norm(held_out.std(axis=0)) / spread < 1.6


def test_views_see_all_sides_of_an_object_from_outside() -> None:
    offsets = positions(views(hollow_ball)) - 5
    assert np.linalg.norm(offsets, axis=1).min() > 2.2
    azimuths = np.sort(np.arctan2(offsets[:, 0], offsets[:, 2]))
    assert np.diff(azimuths, append=azimuths[0] + 2 * np.pi).max() < np.pi / 3
    assert len(np.unique(np.round(offsets @ UP / 2))) >= 3


def test_views_of_a_room_stand_in_its_free_space() -> None:
    cameras = views(room)
    points = positions(cameras)
    assert inside(points, ROOM, -0.1).all()
    for sides in FURNITURE:
        assert not inside(points, sides).any()
    for coverage, near in pictures(room(), cameras):
        assert coverage > 0.98
        assert near > 0.2


def test_views_of_a_room_see_nearly_all_of_it() -> None:
    scene = room()
    rasterizer = default_rasterizer()
    seen = np.zeros(len(scene), bool)
    for camera in views(room):
        seen |= rasterizer.contributions(scene, camera).max > 0.01
    assert seen.mean() > 0.85  # what stands on the floor hides a part of it for good


def test_a_share_of_the_views_of_a_room_are_from_outside() -> None:
    made = SceneViews(room())
    cameras = made.views(20, outside=0.2)
    outside = ~inside(positions(cameras), ROOM, 0.1)
    assert outside.sum() == 4
    assert np.diff(np.flatnonzero(outside)).max() <= 6  # not all of them at one end
    assert inside(positions(made.views(20)), ROOM).all()


def test_views_of_a_landscape_stand_above_the_ground_and_not_in_the_sky() -> None:
    points = positions(views(landscape))
    heights = points @ UP
    assert heights.min() > 0
    assert heights.max() < 60
    assert abs(points[:, [0, 2]]).max() < 60


def test_an_object_before_a_large_background_is_looked_at_from_near() -> None:
    rng = np.random.default_rng(0)
    ground = rng.uniform(-5, 5, (20_000, 3)) * [1, 0, 1]
    around = rng.normal(size=(30_000, 3))
    around[:, 1] = -0.6 * abs(around[:, 1])
    distance = np.exp(rng.uniform(np.log(6), np.log(40), (30_000, 1)))
    around *= distance / np.linalg.norm(around, axis=1, keepdims=True)
    scene = Gaussians.concatenate(
        [
            box((-0.7, -1.5, -0.7), (0.7, -0.5, 0.7), 0.02),
            flat_gaussians(ground, np.array([0.07, 0.005, 0.07])),
            flat_gaussians(around, 0.015 * distance),
        ]
    )
    points = positions(synthesise_views(scene, 20))
    assert np.linalg.norm(points, axis=1).max() < 12
    assert (points @ UP).min() > 0


def test_views_are_upright() -> None:
    for camera in views(room):
        assert camera.viewmat[1, :3] @ UP < -0.5  # the picture's y axis points down
        assert abs(camera.viewmat[0, :3] @ UP) < 1e-9


def test_a_scene_that_lies_on_the_xy_plane_has_z_up() -> None:
    scene = Gaussians.concatenate(
        [
            flat_gaussians(
                np.random.default_rng(0).uniform(-1, 1, (5000, 3)) * [1, 1, 0],
                np.array([0.02, 0.02, 0.001]),
            ),
            box((-0.2, -0.2, 0), (0.2, 0.2, 0.6), 0.02),
        ]
    )
    assert survey(scene).up.tolist() == [0, 0, 1]
    assert (positions(synthesise_views(scene, 12))[:, 2] > -0.1).all()


def test_only_a_floor_tells_which_way_is_up() -> None:
    assert survey(landscape()).has_floor
    wall = np.random.default_rng(0).uniform(-1, 1, (5000, 3)) * [0, 1, 1]
    assert not survey(flat_gaussians(wall, np.array([0.001, 0.02, 0.02]))).has_floor


def test_floaters_do_not_draw_the_views_away() -> None:
    rng = np.random.default_rng(1)
    floaters = flat_gaussians(rng.normal(size=(200, 3)) * 500, np.full(3, 2.0))
    dirty = Gaussians.concatenate([hollow_ball(), floaters])
    distances = np.linalg.norm(positions(synthesise_views(dirty, 20)) - 5, axis=1)
    assert distances.max() < 12
    assert distances.min() > 2.2


@pytest.mark.parametrize("make", [room, hollow_ball, landscape])
def test_a_path_is_smooth(make) -> None:
    scene = make()
    cameras = camera_path(scene, 90, seed=2)
    assert len(cameras) == 90
    steps = np.diff(positions(cameras), axis=0) / survey(scene).size
    turns = np.diff([camera.viewmat[2, :3] for camera in cameras], axis=0)  # radians, nearly
    pace = np.linalg.norm(np.hstack([steps, turns]), axis=1)
    assert np.linalg.norm(steps, axis=1).max() < 0.06
    assert np.linalg.norm(turns, axis=1).max() < 0.25
    assert pace.max() < 3 * np.median(pace)
    assert np.linalg.norm(np.diff(turns, axis=0), axis=1).max() < 0.08
    assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 0.02


def test_a_path_through_a_room_keeps_clear_of_matter() -> None:
    for seed in range(2):
        cameras = camera_path(room(), 40, seed=seed)
        points = positions(cameras)
        assert inside(points, ROOM, -0.05).all()
        for sides in FURNITURE:
            assert not inside(points, sides).any()


@settings(max_examples=8, deadline=None)
@given(scene=gaussians(max_size=12))
def test_any_scene_has_views(scene: Gaussians) -> None:
    for cameras in (synthesise_views(scene, 3), camera_path(scene, 3)):
        assert len(cameras) == 3
        for camera in cameras:
            assert np.isfinite(camera.viewmat).all()


def test_no_scene_has_none() -> None:
    assert synthesise_views(hollow_ball(), 0) == ()
    assert camera_path(hollow_ball(), 0) == ()
    with pytest.raises(SceneError, match="no Gaussian"):
        synthesise_views(Gaussians.empty(), 3)
    with pytest.raises(ValueError, match="-1 views"):
        synthesise_views(hollow_ball(), -1)


@pytest.mark.parametrize("name", ["playbot.ply", "donut/donut.ply", "fox.ply"])
def test_views_of_real_scenes_show_them(data_dir: Path, name: str) -> None:
    scene = read_ply(data_dir / name).gaussians
    seen = pictures(scene, synthesise_views(scene, 12))
    coverage, near = np.array(seen).T
    size = survey(scene).size
    assert np.median(coverage) > 0.2
    assert coverage.min() > 0.04
    assert near.min() > 0.02 * size


def test_forty_views_of_half_a_million_gaussians_take_seconds(data_dir: Path) -> None:
    scene = read_ply(data_dir / "playbot.ply").gaussians
    synthesise_views(scene, 1)  # compiles
    start = time.process_time()
    synthesise_views(scene, 40)
    assert time.process_time() - start < 8  # of two cores: 4 s


def with_giants(kind: str, count: int) -> Gaussians:
    """A small ball, and `count` Gaussians of thousands of units around it."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(200 + count, 3)).astype(np.float32)
    scales = np.full((200 + count, 3), 0.1, np.float32)
    scales[200:] = 5000
    if kind == "plane":
        scales[200:, 1] = 0.01
    elif kind == "needle":
        scales[200:, 1:] = 0.01
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (200 + count, 1))
    colors = rng.normal(size=(200 + count, 3)).astype(np.float32)
    opacities = np.full(200 + count, 0.5, np.float32)
    harmonics = np.zeros((200 + count, 0, 3), np.float32)
    return Gaussians(means, quats, scales, opacities, colors, harmonics)


@pytest.mark.parametrize("count", [1, 5, 50])
@pytest.mark.parametrize("kind", ["ball", "plane", "needle"])
def test_gaussians_of_thousands_of_units_do_not_rule_the_views(kind: str, count: int) -> None:
    scene = with_giants(kind, count)
    layout = survey(scene)
    assert layout.size < 40
    views = synthesise_views(scene, 6)
    home = choose_home(scene)
    for camera in (*views, home.camera):
        assert np.isfinite(camera.viewmat).all()
        assert np.linalg.norm(camera.position) < 60
    assert 0 < home.distance < 60
    without = choose_home(scene.select(slice(200)))
    assert home.distance < 3 * without.distance


def test_a_scene_of_few_giants_has_views_too() -> None:
    for scene in (with_giants("ball", 8).select(slice(195, 208)), with_giants("ball", 1)):
        assert np.isfinite(choose_home(scene).camera.viewmat).all()


def test_the_home_view_shows_an_object_whole() -> None:
    rng = np.random.default_rng(0)
    means = rng.uniform((-3, -1, -1), (3, 1, 1), (3000, 3)).astype(np.float32)
    scene = replace(with_giants("ball", 0).select(np.zeros(3000, np.int64)), means=means)
    camera = choose_home(scene).camera
    place = means @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    at = (place @ camera.K.T)[:, :2] / place[:, 2:]
    inside = (at > 0) & (at < (camera.width, camera.height))
    assert inside.all()
    assert np.ptp(at, axis=0).max() > 0.5 * camera.width
    assert np.array_equal(camera.viewmat, choose_home(scene).camera.viewmat)


def test_a_home_view_among_cameras_shows_most() -> None:
    scene = with_giants("ball", 0)
    K = pinhole(270, 480, 50)
    good = look_at((0, 0, -8), (0, 0, 0), (0, -1, 0), K, 270, 480)
    away = look_at((0, 0, -8), (0, 0, -9), (0, -1, 0), K, 270, 480)
    home = choose_home(scene, [away, good, away])
    assert np.array_equal(home.camera.viewmat, good.viewmat)
    assert home.camera.width > home.camera.height

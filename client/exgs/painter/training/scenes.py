"""The scenes that training uses: rooms, photographs as Gaussians, solids, and scene files.

A source is a text that recipes, shards and logs use as a name: room:SEED, cutout:SEED,
photo:NUMBER, photo-cutout:NUMBER, photo-trained:NUMBER, photo-room:NUMBER,
photo-room-trained:NUMBER, photo-room-captured:NUMBER, solids:SEED, loose-solids:SEED, any of these
with -densified after the kind, the name of a scene file, or NAME.ply:SEED for a part of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from exgs.codec.errors import ExgsError
from exgs.codec.measuring.pictures import FitViews, clipped_pictures
from exgs.codec.merging.distill import distill
from exgs.painter.training.captures import Capture, seen_from
from exgs.painter.training.densified import densified
from exgs.painter.training.photo_rooms import photo_room
from exgs.painter.training.photographs import lift, read_photograph, relief_cameras
from exgs.painter.training.solids import solids_scene
from exgs.sample import sample_scene
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.views.made_up import synthesise_views

_FOV_Y_DEG = 45.0
_PART_SIZES = 20_000, 40_000  # Gaussians
_PAPERS = 8  # photographs per room
_START_SIZE, _START_ASTRAY = 1.3, 0.4  # size relative to spacing, shift relative to size
_START_OPACITIES = 0.1, 0.9
_TRAINING_VIEWS, _TRAINING_STEPS, _TRAINING_SIZE = 40, 400, (400, 270)
_UPRIGHT, _UPRIGHT_FOV_Y_DEG = (270, 400), 50.0  # portrait; wide views show the border
_DENSIFIED = "-densified"
_DENSIFIED_SIZES = 15_000, 40_000  # Gaussians
_DENSIFIED_WIDTH = 400  # pixels, of the training views


class RecipeError(ExgsError):
    """A recipe is invalid or can't be followed."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingScene:
    """A scene and views of it."""

    gaussians: Gaussians
    cameras: tuple[Camera, ...]


def check_source(source: str, data: Path) -> None:
    """Raise RecipeError if a file that `load_source` needs is missing."""
    kind, _, number = source.partition(":")
    if kind.startswith("photo"):
        _photograph_paths(data, source, int(number) if number.isdecimal() else 0)
    elif (not number or kind.endswith(".ply")) and not (data / kind).is_file():
        raise RecipeError(f"{source!r}: there is no {data / kind}")


def load_source(source: str, data: Path, views: int, size: tuple[int, int]) -> TrainingScene:
    """Load the scene called `source`, with `views` cameras of `size` (width, height).

    Photographs are the .jpg files of `data`/photos, sorted by name. Scene files are in `data`.
    Raises RecipeError, SceneError, OSError.
    """
    kind, _, number = source.partition(":")
    if not number:
        scene = read_scene(data / source).gaussians
        return TrainingScene(scene, synthesise_views(scene, views, width=size[0], height=size[1]))
    if not number.isdecimal():
        raise RecipeError(f"{source!r} is not a source: {number!r} is not a number")
    seed = int(number)
    rng = np.random.default_rng([seed, 0x5E])
    match kind:
        case "room":
            room = sample_scene(int(rng.integers(35_000, 70_000)), seed)
            return TrainingScene(room, synthesise_views(room, views, width=size[0], height=size[1]))
        case "cutout":
            return _cut_out(sample_scene(int(rng.integers(60_000, 90_000)), seed), views, size, rng)
        case "solids" | "loose-solids":
            solids = solids_scene(int(rng.integers(20_000, 60_000)), seed, loose=kind != "solids")
            cameras = _cameras_around(np.zeros(3), 1.0, views, size, rng)
            return TrainingScene(solids, cameras)
        case "photo" | "photo-cutout":
            [photograph] = _photographs(data, source, seed)
            count = int(rng.integers(15_000, 50_000))
            relief = lift(photograph, count, seed, cut_out=kind != "photo")
            return TrainingScene(relief, relief_cameras(*size, views, seed))
        case "photo-trained":
            [photograph] = _photographs(data, source, seed)
            relief = lift(photograph, int(rng.integers(40_000, 60_000)), seed)
            train_views = relief_cameras(
                *_TRAINING_SIZE, _TRAINING_VIEWS, int(rng.integers(1 << 31))
            )
            trained = _trained(relief, int(rng.integers(8_000, 20_000)), train_views, rng)
            return TrainingScene(trained, relief_cameras(*size, views, seed))
        case "photo-room" | "photo-room-trained" | "photo-room-captured":
            papers = _photographs(data, source, seed, _PAPERS)
            room = photo_room(papers, int(rng.integers(80_000, 120_000)), seed)
            if kind == "photo-room-captured":
                return _captured(room, views, size, seed, rng)
            cameras = synthesise_views(room, views, width=size[0], height=size[1])
            if kind == "photo-room":
                return TrainingScene(room, cameras)
            width, height = _TRAINING_SIZE
            train_views = synthesise_views(
                room, _TRAINING_VIEWS, width=width, height=height, seed=1
            )
            trained = _trained(room, int(rng.integers(20_000, 40_000)), train_views, rng)
            return TrainingScene(trained, cameras)
        case _ if kind.endswith(_DENSIFIED):
            base = f"{kind.removesuffix(_DENSIFIED)}:{seed}"
            made = load_source(base, data, _TRAINING_VIEWS + views, size)
            return _densified(made, views, seed, rng, held="room" in kind)
        case _ if kind.endswith(".ply"):
            return _part(read_scene(data / kind).gaussians, views, size, rng)
    raise RecipeError(
        f"{source!r} is not a source: use room:SEED, cutout:SEED, photo:NUMBER,"
        " photo-cutout:NUMBER, photo-trained:NUMBER, photo-room:NUMBER, photo-room-trained:NUMBER,"
        " photo-room-captured:NUMBER, solids:SEED, loose-solids:SEED, any of these with -densified"
        " after the kind, the name of a scene file, or NAME.ply:SEED for a part of a file"
    )


def _photographs(data: Path, source: str, first: int, count: int = 1) -> list[FloatArray]:
    """Read at most `count` photographs, starting with number `first`."""
    paths = _photograph_paths(data, source, first)
    return [read_photograph(path) for path in paths[first : first + count]]


def _photograph_paths(data: Path, source: str, first: int) -> list[Path]:
    """The paths of all photographs. Raises RecipeError if there is no number `first`."""
    paths = sorted((data / "photos").glob("*.jpg"))
    if first >= len(paths):
        raise RecipeError(f"{source!r}: {data / 'photos'} holds {len(paths)} photographs")
    return paths


def _trained(
    scene: Gaussians, count: int, train_views: Sequence[Camera], rng: np.random.Generator
) -> Gaussians:
    """Fit `count` Gaussians to pictures of `scene`, like scenes trained on photographs.

    Such scenes have few large and many small Gaussians of all opacities.
    """
    start = scene.select(np.sort(rng.choice(len(scene), count, replace=False)))
    scales = start.scales * np.float32(_START_SIZE * np.sqrt(len(scene) / count))
    astray = rng.normal(0, _START_ASTRAY, (count, 3)) * scales[:, :1]
    faint = rng.uniform(*_START_OPACITIES, count).astype(np.float32)
    start = replace(
        start, means=start.means + astray.astype(np.float32), scales=scales, opacities=faint
    )
    rasterizer = default_rasterizer()
    views = FitViews(train_views, clipped_pictures(scene, train_views, rasterizer))
    return distill(Gaussians.empty(0), start, views, rasterizer, steps=_TRAINING_STEPS)


def _captured(
    room: Gaussians, views: int, size: tuple[int, int], seed: int, rng: np.random.Generator
) -> TrainingScene:
    """The part of a room that portrait pictures from one position show, with wide views of it."""
    train_views, cameras = _held_by_hand(room, views, size, seed)
    seen = seen_from(room, train_views, default_rasterizer())
    count = min(int(rng.integers(20_000, 40_000)), len(seen))
    trained = _trained(seen, count, train_views, rng)
    return TrainingScene(trained, cameras)


def _held_by_hand(
    room: Gaussians, views: int, size: tuple[int, int], seed: int
) -> tuple[tuple[Camera, ...], tuple[Camera, ...]]:
    """Cameras near one position: in portrait format for training views, and wide ones."""
    capture = Capture(room, seed)
    train_views = capture.cameras(_TRAINING_VIEWS, _UPRIGHT, _UPRIGHT_FOV_Y_DEG)
    return train_views, capture.cameras(views, size, _FOV_Y_DEG)


def _densified(
    made: TrainingScene, views: int, seed: int, rng: np.random.Generator, *, held: bool
) -> TrainingScene:
    """A procedural scene fitted from a point cloud; with `held`, half of them are captures."""
    rasterizer, count = default_rasterizer(), int(rng.integers(*_DENSIFIED_SIZES))
    train_views, cameras, scene = (
        made.cameras[:_TRAINING_VIEWS],
        made.cameras[_TRAINING_VIEWS:],
        made.gaussians,
    )
    size = cameras[0].width, cameras[0].height
    if held and rng.random() < 0.5:
        train_views, cameras = _held_by_hand(scene, views, size, seed)
    else:
        height = round(_DENSIFIED_WIDTH * size[1] / size[0])
        train_views = tuple(camera.resized(_DENSIFIED_WIDTH, height) for camera in train_views)
    return TrainingScene(densified(scene, count, train_views, rasterizer, rng), cameras)


def _cut_out(
    room: Gaussians, views: int, size: tuple[int, int], rng: np.random.Generator
) -> TrainingScene:
    """The content of the centre of a room in front of empty background, viewed from around it."""
    low, high = (np.quantile(room.means.astype(np.float64), q, axis=0) for q in (0.02, 0.98))
    middle = (low + high) / 2
    radius = 0.3 * float((high - low)[[0, 2]].min())
    inside = np.linalg.norm((room.means - middle) * [1, 0.6, 1], axis=1) < radius
    return TrainingScene(room.select(inside), _cameras_around(middle, radius, views, size, rng))


def _part(
    scene: Gaussians, views: int, size: tuple[int, int], rng: np.random.Generator
) -> TrainingScene:
    """The content of a random ball in a scene, in front of empty background."""
    middle = scene.means[rng.integers(len(scene))].astype(np.float64)
    distance = np.linalg.norm(scene.means - middle, axis=1)
    count = min(int(rng.integers(*_PART_SIZES)), len(scene))
    radius = float(np.partition(distance, count - 1)[count - 1])
    cameras = _cameras_around(middle, 0.8 * radius, views, size, rng)
    return TrainingScene(scene.select(distance <= radius), cameras)


def _cameras_around(
    middle: np.ndarray, radius: float, views: int, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Camera, ...]:
    cameras = []
    for _ in range(views):
        turn, lift_by = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(0, 40))
        toward = [np.cos(lift_by) * np.cos(turn), -np.sin(lift_by), np.cos(lift_by) * np.sin(turn)]
        eye = middle + rng.uniform(2.2, 3.6) * radius * np.array(toward)
        K = pinhole(*size, _FOV_Y_DEG)
        cameras.append(look_at(eye, middle, (0, -1, 0), K, *size))
    return tuple(cameras)

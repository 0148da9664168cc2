"""Closed rooms covered with photographs, which have occlusion and the textures of real scenes.

Walls, floor, ceiling and some boxes. Each face shows a photograph as flat Gaussians in front of an
opaque layer, as in `photographs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exgs.painter.training.photographs import (
    BACK_DEPTH,
    BACK_OPACITY,
    COVER,
    OPACITIES,
    THICKNESS,
    Array,
    marks,
)
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rotations import quats_from_matrices

_ROOM_SIDES = (2.5, 5.0)  # metres
_ROOM_HEIGHTS = (2.2, 3.2)  # metres
_BOXES = (4, 9)  # number of boxes
_BOX_SIDES = (0.3, 1.2)  # metres
_BACK_SHARE = 0.2  # share of the Gaussians in the opaque layer behind
_LIGHT = (0.5, 1.1)  # brightness of a face


@dataclass(frozen=True, slots=True, eq=False)
class _Face:
    """A rectangle in world coordinates; y points down."""

    corner: Array  # [3]
    across: Array  # [3] along the rows of the photograph
    down: Array  # [3] along its columns
    outward: Array  # [3] unit vector away from the viewer


def photo_room(photographs: Sequence[FloatArray], count: int, seed: int) -> Gaussians:
    """A room of about `count` Gaussians without SH, covered with `photographs` [H, W, 3]."""
    rng = np.random.default_rng([seed, 0x900])
    faces = _room_and_boxes(rng)
    areas = np.array([np.linalg.norm(np.cross(face.across, face.down)) for face in faces])
    counts = np.maximum(count * areas / areas.sum(), 40).astype(int)
    parts = []
    for number, (face, share) in enumerate(zip(faces, counts, strict=True)):
        parts.append(_paper(face, photographs[number % len(photographs)], int(share), rng))
    return Gaussians.concatenate(parts)


def _room_and_boxes(rng: np.random.Generator) -> list[_Face]:
    width, depth = rng.uniform(*_ROOM_SIDES, 2)
    height = rng.uniform(*_ROOM_HEIGHTS)
    room = np.array([width, height, depth])
    faces = _box_faces(np.zeros(3), room, 0.0, inward=True)
    for _ in range(int(rng.integers(*_BOXES))):
        size = rng.uniform(*_BOX_SIDES, 3)
        size[1] = rng.uniform(_BOX_SIDES[0], 0.6 * height)
        place = rng.uniform(-0.4, 0.4, 3) * room
        place[1] = (height - size[1]) / 2  # on the floor
        faces += _box_faces(place, size, rng.uniform(0, 2 * np.pi), inward=False)
    return faces


def _box_faces(middle: Array, size: Array, turn: float, *, inward: bool) -> list[_Face]:
    """The six faces of a box of `size`, turned about the vertical; seen from inside if `inward`."""
    turned = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    faces = []
    for axis in range(3):
        u, v = (2, 1) if axis == 0 else (0, 1) if axis == 2 else (0, 2)
        for side in (-1, 1):
            normal, across, down = np.zeros(3), np.zeros(3), np.zeros(3)
            normal[axis], across[u], down[v] = side, size[u], size[v]
            corner = normal * size / 2 - across / 2 - down / 2
            outward = normal if inward else -normal
            faces.append(
                _Face(middle + turned @ corner, turned @ across, turned @ down, turned @ outward)
            )
    return faces


def _paper(face: _Face, photograph: FloatArray, count: int, rng: np.random.Generator) -> Gaussians:
    """Gaussians that show `photograph` on `face`."""
    height, width = photograph.shape[:2]
    places = marks(photograph, count, _BACK_SHARE, rng)
    right, low = places.x[:, None] / width, places.y[:, None] / height
    means = face.corner + right * face.across + low * face.down
    means[~places.front] += BACK_DEPTH * face.outward
    # The size follows the spacing, with one unit for both directions.
    pixel = np.array([np.linalg.norm(face.across) / width, np.linalg.norm(face.down) / height])
    sizes = COVER * np.sqrt(pixel.prod()) * places.spacing
    light = rng.uniform(*_LIGHT)
    opacities = np.full(len(means), BACK_OPACITY)
    opacities[places.front] = rng.uniform(*OPACITIES, np.count_nonzero(places.front))
    return places.gaussians(means, _lying(face, places.angle), sizes, THICKNESS, opacities, light)


def _lying(face: _Face, angle: Array) -> Array:
    """Unit quaternions [n, 4] whose first axis lies in the face at `angle` to its rows."""
    u = face.across / np.linalg.norm(face.across)
    v = face.down / np.linalg.norm(face.down)
    along = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
    aside = -np.sin(angle)[:, None] * u + np.cos(angle)[:, None] * v
    return quats_from_matrices(np.stack([along, aside, np.cross(along, aside)], axis=2))

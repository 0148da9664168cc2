"""Surveys a scene: its bounds, its up direction, its matter and its free space.

All values are estimated from a thinned scene and a coarse grid of optical thickness. A survey
therefore takes a fraction of a second for a scene of any size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from exgs.scene.gaussians import FloatArray, Gaussians

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SAMPLES_WITHIN = 45_000  # Gaussians of the thinned scene
_SAMPLES_BEYOND = 15_000
_FOR_BOUNDS = 200_000
_POINTS = 400_000
_CELLS = 48  # of the grid along its longest side
_LEAST_SIDE = 0.02  # of the bounds, relative to the longest: also a flat scene gets a volume
_LEAST_EXTENT = 1e-9  # relative to the distance from the origin: the limit of the arithmetic
_FAR = 0.75  # of the diagonal of the bounds, from the middle: far background begins here
_SOLID = 0.4  # least optical thickness of a cell with matter

# RDF scenes have y down. Blender, instant-ngp and nerfstudio write z up. y up remains from OpenGL
# if axes were not converted. Evidence: how many times the floor of the first each must have.
UPS = ((0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 0.0))
_FLOOR_EVIDENCE = (1.0, 1.5, 4.0)
_LEAST_FLOOR = 0.02  # of all matter
_ENOUGH = 500  # Gaussians, to tell a floor

DIRECTIONS = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)])


@dataclass(frozen=True)
class Survey:
    """The layout of a scene; lengths in world units."""

    thinned: Gaussians  # a random part of the scene with about the same total optical thickness
    points: Array  # [P, 3] on the matter within the bounds, each for the same area
    low: Array  # [3] lower corner of the bounds, without floaters and far background
    high: Array  # [3] upper corner
    up: Array  # [3] unit
    has_floor: bool  # whether a floor tells the up direction; otherwise it is that of RDF
    solid: Mask  # [X, Y, Z] cells with matter
    cell: float  # side of a cell of the grid
    origin: Array  # [3] corner of the grid
    beyond: Mask  # [26] directions filled by matter outside the grid: sky, far background

    @property
    def centre(self) -> Array:
        """The middle of the bounds."""
        return (self.low + self.high) / 2

    @property
    def size(self) -> float:
        """Diagonal of the bounds."""
        return float(np.linalg.norm(self.high - self.low))

    @cached_property
    def enclosure(self) -> Array:
        """[X, Y, Z] share of the directions that meet matter, from each cell."""
        total = np.zeros(self.solid.shape)
        for direction, beyond in zip(DIRECTIONS, self.beyond, strict=True):
            if beyond:
                total += 1
                continue
            met = self.solid
            reach = 1
            while reach < max(self.solid.shape):
                met = met | _shifted(met, direction * reach)
                reach *= 2
            total += met
        return total / len(DIRECTIONS)

    @cached_property
    def clearance(self) -> Array:
        """[X, Y, Z] distance to the nearest matter in cells, up to 8, along axes and diagonals."""
        distance = np.full(self.solid.shape, 8.0)
        near = self.solid
        for step in range(8):
            distance[near & (distance == 8)] = step
            near = dilated(near)
        return distance

    @property
    def within_bounds(self) -> Mask:
        """[X, Y, Z] whether the centre of each cell is within the bounds."""
        middles = self.position_of(np.moveaxis(np.indices(self.solid.shape), 0, -1))
        within: Mask = np.all((middles >= self.low) & (middles <= self.high), axis=-1)
        return within

    def cell_of(self, positions: Array) -> npt.NDArray[np.int64]:
        """Grid coordinates [.., 3] of positions [.., 3], clipped to the grid."""
        cells = np.floor((positions - self.origin) / self.cell).astype(np.int64)
        return np.clip(cells, 0, np.array(self.solid.shape) - 1)

    def holds_matter(self, positions: Array) -> Mask:
        """[..] whether positions [.., 3] lie in cells with matter; False outside the grid."""
        cells = np.floor((positions - self.origin) / self.cell)
        inside = np.all((cells >= 0) & (cells < self.solid.shape), axis=-1)
        held: Mask = inside & self.solid[tuple(np.moveaxis(self.cell_of(positions), -1, 0))]
        return held

    def position_of(self, cells: npt.NDArray[np.integer]) -> Array:
        """Centres of cells [.., 3]."""
        return self.origin + (cells + 0.5) * self.cell


def survey(scene: Gaussians) -> Survey:
    """Survey a scene with at least one Gaussian; the same scene gives the same survey."""
    rng = np.random.default_rng(0)
    s = scene.scales.astype(np.float64)
    area = 2 * np.pi * (s[:, 0] * s[:, 1] + s[:, 1] * s[:, 2] + s[:, 2] * s[:, 0]) / 2
    low, high = _bounds(scene, np.sqrt(area))
    within = np.all((scene.means >= low) & (scene.means <= high), axis=1)
    # Limit very large Gaussians (floors, haze) to the area that fits within the bounds.
    area[within] = np.minimum(area[within], np.pi * float((high - low).max()) ** 2)
    mass = scene.opacities * area + 1e-300
    # Sampled separately, because far background has most of the area and little of the detail.
    share = np.empty(len(scene))
    share[within] = _inclusion(mass[within], _SAMPLES_WITHIN)
    share[~within] = _inclusion(mass[~within], _SAMPLES_BEYOND)
    chosen = np.flatnonzero(rng.random(len(scene)) < share)
    if not len(chosen):
        chosen = np.array([int(mass.argmax())])
    grown = (1 / np.sqrt(share[chosen])).astype(np.float32)
    part = scene.select(chosen)
    thinned = Gaussians(
        part.means, part.quats, part.scales * grown[:, None], part.opacities, part.sh0, part.shN
    )
    weight, near = mass[chosen] / share[chosen], within[chosen]
    extent = float((high - low).max())
    points, point_area = _points(_cut(thinned, extent), np.where(near, weight, 0), rng)
    points = points[np.all((points >= low) & (points <= high), axis=1)]
    if not len(points):
        points = (low[None] + high) / 2
    offsets, far_area = _points(thinned, np.where(near, 0, weight), rng)
    offsets -= (low + high) / 2
    far = np.linalg.norm(offsets, axis=1) > _FAR * np.linalg.norm(high - low)
    beyond = _beyond(offsets[far], far_area)
    cell = max(extent, _LEAST_EXTENT * float(np.abs(low).max()), 1e-30) / _CELLS
    origin = low - 2 * cell
    shape = np.ceil((high - low) / cell).astype(np.int64) + 4
    cells = np.clip(np.floor((points - origin) / cell).astype(np.int64), 0, shape - 1)
    flat = np.ravel_multi_index(tuple(cells.T), tuple(shape))
    thickness = np.bincount(flat, minlength=int(shape.prod())) * point_area / cell**2
    solid = (thickness > _SOLID).reshape(shape)
    up, has_floor = _up(part, low, high)
    return Survey(thinned, points, low, high, up, has_floor, solid, cell, origin, beyond)


def _bounds(scene: Gaussians, width: Array) -> tuple[Array, Array]:
    """A box around nearly all detailed matter, limited to not much more than its central part.

    The weight of wide Gaussians (sky, far background) decreases with their width.
    """
    some = slice(None, None, 1 + len(scene) // _FOR_BOUNDS)
    means, width = scene.means[some], width[some]
    weight = scene.opacities[some].astype(np.float64)
    usual = 2 * float(np.median(width))
    weight = weight * usual / np.maximum(width, usual) + 1e-300
    edges = [_quantiles(means[:, axis], weight, (0.01, 0.2, 0.8, 0.99)) for axis in range(3)]
    outer_low, inner_low, inner_high, outer_high = np.array(edges, np.float64).T
    wide = (inner_high - inner_low).max()
    low = np.maximum(outer_low, inner_low - wide)
    high = np.minimum(outer_high, inner_high + wide)
    margin = 2 * float(np.median(scene.scales[some].max(1)))
    low, high = low - margin, high + margin
    thin = np.maximum(_LEAST_SIDE * (high - low).max() - (high - low), 0) / 2
    return low - thin, high + thin


def _cut(thinned: Gaussians, extent: float) -> Gaussians:
    """The scene with widths clipped to a quarter of the bounds, so that points stay near them."""
    return replace(thinned, scales=np.minimum(thinned.scales, np.float32(extent / 4)))


def _quantiles(values: FloatArray, weight: Array, at: tuple[float, ...]) -> Array:
    order = np.argsort(values)
    total = np.cumsum(weight[order], dtype=np.float64)
    index = np.searchsorted(total, np.array(at) * total[-1])
    return np.asarray(values[order[np.minimum(index, len(values) - 1)]], np.float64)


def _inclusion(mass: Array, count: int) -> Array:
    """Sampling probabilities in proportion to mass, at most 1, with the sum `count`."""
    if len(mass) <= count:
        return np.ones(len(mass))
    share = mass * (count / mass.sum())
    for _ in range(4):
        sure = share >= 1
        rest = mass[~sure].sum()
        share = np.where(sure, 1, mass * ((count - sure.sum()) / rest))
    clipped: Array = np.clip(share, 1e-6, 1)
    return clipped


def _points(thinned: Gaussians, weight: Array, rng: np.random.Generator) -> tuple[Array, float]:
    """Points distributed over the Gaussians by weight, and the area of one point."""
    ends = np.cumsum(weight)
    if ends[-1] <= 0:
        return np.empty((0, 3)), 0.0
    source = np.searchsorted(ends, (np.arange(_POINTS) + rng.random()) * (ends[-1] / _POINTS))
    source = np.minimum(source, len(weight) - 1)
    local = rng.standard_normal((_POINTS, 3)) * thinned.scales[source]
    w, x, y, z = thinned.quats[source].astype(np.float64).T
    v = np.stack([x, y, z], axis=1)
    t = 2 * np.cross(v, local)
    points = thinned.means[source] + local + w[:, None] * t + np.cross(v, t)
    return points, float(ends[-1] / _POINTS)


def _beyond(offsets: Array, point_area: float) -> Mask:
    """[26] whether matter at these offsets from the middle fills each direction."""
    distance = np.linalg.norm(offsets, axis=1)
    units = DIRECTIONS / np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)
    nearest = (offsets @ units.T).argmax(1)
    angle = np.bincount(nearest, point_area / distance**2, minlength=len(DIRECTIONS))
    filled: Mask = angle > _SOLID * 4 * np.pi / len(DIRECTIONS)
    return filled


def is_upside_down(scene: Gaussians) -> bool:
    """Whether the scene's floor lies where RDF has its ceiling: far more of it, and no other.

    Rooms, whose ceilings are as large as their floors, can't be told so.
    """
    if len(scene) < _ENOUGH:
        return False
    layout = survey(scene)
    below, aside, above = _floors(layout.thinned, layout.low, layout.high)
    return bool(above > _LEAST_FLOOR and above > _FLOOR_EVIDENCE[2] * below and above > 2 * aside)


def _up(part: Gaussians, low: Array, high: Array) -> tuple[Array, bool]:
    """The up convention with the largest floor, which is flat matter near the bottom.

    False where no convention has one, so that the first is taken.
    """
    floors = _floors(part, low, high)
    if floors.max() < _LEAST_FLOOR:
        return np.array(UPS[0]), False
    return np.array(UPS[int(np.argmax(floors / np.array(_FLOOR_EVIDENCE)))]), True


def _floors(part: Gaussians, low: Array, high: Array) -> Array:
    """[3] share of the matter that is floor, for each of UPS."""
    flat = part.scales.argmin(1)
    w, x, y, z = part.quats.astype(np.float64).T
    columns = np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], 1),
            np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], 1),
            np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1),
        ]
    )
    normals = columns[flat, np.arange(len(part))]
    inside = np.all((part.means >= low) & (part.means <= high), axis=1)
    extent = float((high - low).max())
    ordered = np.sort(part.scales, axis=1).astype(np.float64)
    wide = np.minimum(ordered, extent)
    mass = part.opacities * wide[:, 1] * wide[:, 2] * inside
    slab = extent * 0.04
    floors = []
    for up in np.array(UPS):
        level = np.abs(normals @ up) > 0.9
        height = part.means @ up
        bottom = float(np.where(up > 0, low, high) @ up)
        top = float(np.where(up > 0, high, low) @ up)
        bins = np.floor((height - bottom) / slab).astype(np.int64)
        lower = level & (bins >= 0) & (height <= (bottom + top) / 2) & inside
        floors.append(np.bincount(bins[lower], mass[lower], minlength=1).max())
    shares: Array = np.array(floors) / max(float(mass.sum()), 1e-300)
    return shares


def spaces(free: Mask) -> Iterator[Mask]:
    """The connected parts of a mask [X, Y, Z]; cells that share a corner are connected."""
    rest = free.copy()
    while rest.any():
        part = np.zeros_like(free)
        part[np.unravel_index(int(rest.argmax()), free.shape)] = True
        size = 0
        while (grown := int(np.count_nonzero(part))) > size:
            size = grown
            part = dilated(part) & rest
        rest &= ~part
        yield part


def _shifted(mask: Mask, by: npt.NDArray[np.integer]) -> Mask:
    """shifted[c] = mask[c + by], False beyond the edge."""
    result = np.zeros_like(mask)
    to, source = [], []
    for step, length in zip(by, mask.shape, strict=True):
        s = int(np.clip(step, -length, length))
        to.append(slice(max(0, -s), length - max(0, s)))
        source.append(slice(max(0, s), length - max(0, -s)))
    result[tuple(to)] = mask[tuple(source)]
    return result


def dilated(mask: Mask) -> Mask:
    result = mask
    for axis in np.eye(3, dtype=np.int64):
        result = result | _shifted(result, axis) | _shifted(result, -axis)
    return result

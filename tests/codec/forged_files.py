"""The parts of small valid files of random Gaussians, for `forge`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import zstandard

from exgs.codec.constants import ChunkKind
from exgs.codec.payload.fine import pack_fine
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry, unpack_geometry
from exgs.codec.payload.scale_levels import SizeSteps
from exgs.codec.payload.sh import ShBasis, pack_basis, pack_sh
from exgs.scene.gaussians import Gaussians
from tests.codec.forge import Parts, Root, Row, chunk, in_space, layers, quality, tile_box

COARSE = GeometrySteps(0.01, SizeSteps(0.1), 6, 5, 0.05, 0.1)
FINER = GeometrySteps(0.001, SizeSteps(0.01), 10, 8, 0.05, 0.1)


def random_scene(count: int, seed: int, sh_degree: int) -> Gaussians:
    """Gaussians in the unit cube."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    values = (
        rng.random((count, 3)),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(rng.normal(-3, 0.5, (count, 3))),
        rng.uniform(0.05, 1, count),
        rng.normal(0, 0.8, (count, 3)),
        rng.normal(0, 0.2, (count, (sh_degree + 1) ** 2 - 1, 3)),
    )
    return Gaussians(*(np.asarray(value, np.float32) for value in values))


def random_file(
    *,
    counts: Sequence[int] = (2, 2),
    proxies: Sequence[int] = (1, 0),
    levels: Sequence[int] = (0, 1),
    amplification: Sequence[float] = (1.0, 1.0),
    sh_degree: int = 1,
    sh_passes: int = 1,
    bases: int = 1,
    fine: bool = True,
    refined: int = 64,
    proxy_rows: int = 0,
    seed: int = 0,
    rows_per_page: int = 5,
) -> Parts:
    """The parts of a sound file of random Gaussians; cells of few Gaussians may be empty.

    The first `refined` layers have SH and FINE, proxies SH of up to `proxy_rows` components.
    Gaussians lie in the box of their tile.
    """
    rng = np.random.default_rng(seed)
    size = 3 * (sh_degree + 1) ** 2
    random = rng.normal(0, 0.4, (bases, max(size // 2, 1), size))
    basis = ShBasis(random.astype(np.float16).astype("<f4"))
    rows: list[Row] = []
    finest = levels[-1]
    for layer, (count, stand_ins, level) in enumerate(zip(counts, proxies, levels, strict=True)):
        below = levels[layer + 1] if layer + 1 < len(levels) else level
        leaf_tile = np.sort(rng.integers(0, 1 << finest, count))
        proxy_tile = np.sort(rng.integers(0, 1 << finest, stand_ins))
        for tile in range(1 << level):
            cell = (layer, tile, level, below, finest, rng)
            own_sh = (proxy_rows, size) if proxy_rows else None
            stand_in = _geometry(ChunkKind.PROXY, proxy_tile, *cell, own_sh=own_sh)
            leaf = _geometry(ChunkKind.LEAF, leaf_tile, *cell)
            rows += [row for row in (stand_in, leaf) if row.count] or [leaf]
            if not leaf.count or layer >= refined:
                continue
            if sh_degree and not any(row.kind == ChunkKind.BASIS for row in rows):
                rows.append(chunk(ChunkKind.BASIS, 0, 0, 0, b"".join(pack_basis(basis))))
            for number in range(sh_passes if sh_degree else 0):
                spread = 3 / np.arange(
                    1, basis.rows.shape[1] + 1
                )  # dense columns, then sparse ones
                values = np.rint(rng.normal(0, spread, (leaf.count, len(spread)))).astype(np.int64)
                sh = b"".join(pack_sh(values, 0.1 / (number + 1), (tile + number) % bases))
                rows.append(chunk(ChunkKind.SH, layer, tile, leaf.count, sh))
            if fine:
                payload = _fine(leaf, 1 << (below - level), rng)
                rows.append(chunk(ChunkKind.FINE, layer, tile, leaf.count, payload))
    root: Root = {
        "name": "a",
        "credit": "",
        "license": "CC0-1.0",
        "encoder": "by hand",
        "count": sum(counts),
        "sh_degree": sh_degree,
        "up": [0.0, -1.0, 0.0],
        "antialiased": False,
        "origin": [0.0, 0.0, 0.0],
        "layers": layers(list(zip(levels, counts, proxies, amplification, strict=True))),
        "quality": quality([(100, 20.0, 0.5)]),
    }
    return Parts(root, _in_pages(rows, rows_per_page))


def _geometry(
    kind: int,
    owner: np.ndarray[Any, Any],
    layer: int,
    tile: int,
    level: int,
    below: int,
    finest: int,
    rng: np.random.Generator,
    *,
    own_sh: tuple[int, int] | None = None,
) -> Row:
    """A LEAF or PROXY for those whose finest tile `owner` lies in the cell.

    `own_sh`: the rows of a basis and their length.
    """
    here = owner[owner >> (finest - level) == tile]
    scene = random_scene(len(here), int(rng.integers(1 << 30)), 0)
    corners = np.array([tile_box(finest, number) for number in here.tolist()]).reshape(-1, 2, 3)
    means = corners[:, 0] + scene.means * (corners[:, 1] - corners[:, 0])
    child_count = 1 << (below - level)
    child = (here >> (finest - below)) - tile * child_count
    placed = replace(scene, means=means.astype(np.float32))
    components = own_sh[0] if own_sh else 0
    packed = pack_geometry(placed, child, child_count, COARSE, sh_components=components)
    payload = b"".join(packed.columns)
    if own_sh:
        payload += rng.normal(0, 0.4, own_sh).astype("<f2").tobytes()
        spread = 3 / np.arange(1, components + 1)
        values = np.rint(rng.normal(0, spread, (len(here), components))).astype(np.int64)
        payload += b"".join(pack_sh(values, 0.1))
    return chunk(kind, layer, tile, len(here), payload)


def _fine(leaf: Row, child_count: int, rng: np.random.Generator) -> bytes:
    payload = zstandard.ZstdDecompressor().decompress(leaf.data)
    coarse, _ = unpack_geometry(payload, count=leaf.count, child_count=child_count, section="test")
    moved = coarse.means + rng.normal(0, 0.004, coarse.means.shape)
    target = replace(coarse, means=moved.astype(np.float32), scales=coarse.scales * np.float32(1.1))
    return b"".join(pack_fine(target, coarse, FINER))


def _in_pages(rows: list[Row], limit: int) -> list[list[Row]]:
    pages: list[list[Row]] = [[]]
    for row in rows:
        paired = row.kind == ChunkKind.LEAF and pages[-1] and pages[-1][-1].kind == ChunkKind.PROXY
        if len(pages[-1]) >= limit and not paired:
            pages.append([])
        pages[-1].append(row)
    return pages


def tiny_file() -> Parts:
    """One Gaussian of degree 0: header, root index, LEAF."""
    return random_file(
        counts=(1,), proxies=(0,), levels=(0,), amplification=(1.0,), sh_degree=0, fine=False
    )


def small_file() -> Parts:
    """Two layers of one and two tiles; a proxy, SH and FINE in the first; two pages."""
    return random_file(counts=(2, 3), seed=0, refined=1)


def paired_file(**options: Any) -> Parts:
    """Layers of 1 and 2 tiles: the first in the root, then a group of a page for each tile.

    Both pages list LEAF, SH and FINE of the same count; LEAF of both come first, then SH, FINE.
    """
    parts = random_file(counts=(2, 6), proxies=(1, 0), seed=17, rows_per_page=100, **options)
    rows = parts.pages[0]
    cells = [[row for row in rows if (row.layer, row.tile) == (1, tile)] for tile in (0, 1)]
    parts.pages = [[row for row in rows if row.layer == 0], *cells]
    parts.groups = [0, 0]
    parts.regions = [(1, 0), (1, 1)]
    parts.order = [*parts.pages[0], *(row for pair in zip(*cells, strict=True) for row in pair)]
    return parts


def divided_file(coarse_gain: float | None = None) -> Parts:
    """Layers of 1, 4 and 16 tiles: a page for all, then groups of four and of six pages.

    The regions of the last group are of levels 1 to 3, and the chunks of a group's pages lie
    between each other. The rows of the page of level 1 get the gain `coarse_gain`, if there is one.
    """
    levels = (0, 2, 4)
    parts = random_file(
        counts=(4, 20, 40),
        proxies=(6, 12, 0),
        levels=levels,
        amplification=(2.0, 1.5, 1.0),
        sh_passes=2,
        refined=2,
        seed=12,
        rows_per_page=1000,
    )
    rng = np.random.default_rng(1)
    # Of several magnitudes, some alike, a few of none or less.
    gains = rng.choice([-1.0, 0.0, 0.25, 1.5, 8.0, 60.0, 333.3], len(parts.pages[0]))
    rows = [replace(row, gain=float(gain)) for row, gain in zip(parts.pages[0], gains, strict=True)]
    first = [row for row in rows if row.layer == 0]
    of_cell = [[row for row in rows if (row.layer, row.tile) == (1, tile)] for tile in range(4)]
    # By kind, then by tile: each page has its PROXY, LEAF and the first SH in this order.
    early = [cell[i] for i in range(3) for cell in of_cell]
    late = [row for cell in of_cell for row in cell[3:]] + [row for row in rows if row.layer == 2]
    late = [late[i] for i in rng.permutation(len(late))]
    quarters = [(2, tile) for tile in range(4)]
    mixture = [(1, 0), (2, 0), (3, 2), (3, 3), (2, 2), (2, 3)]
    if coarse_gain is not None:
        coarse = {id(row) for row in in_space(late, levels, mixture)[0]}
        late = [replace(row, gain=coarse_gain) if id(row) in coarse else row for row in late]
    parts.pages = [
        first[:2],
        first[2:],
        *in_space(early, levels, quarters),
        *in_space(late, levels, mixture),
    ]
    parts.groups = [0, *[1] * len(quarters), *[2] * len(mixture)]
    parts.regions = [(0, 0), *quarters, *mixture]
    parts.order = [*first, *early, *late]
    return parts


def paged_file() -> Parts:
    """A file of 72 leaves in four layers, whose rows are in pages of at most 30."""
    return random_file(
        counts=(3, 20, 9, 40),
        proxies=(6, 9, 8, 0),
        levels=(0, 3, 3, 6),
        amplification=(1.0, 1.0, 1.0, 1.0),
        sh_passes=2,
        rows_per_page=30,
    )

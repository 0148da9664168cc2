"""Packs the cells of one layer into chunks, and decodes them again.

Later steps of the encoder (colour fits, SH, gains) start from the decoded values, so that they can
compensate quantization errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_CHUNK_COUNT, ChunkKind
from exgs.codec.encoding.klt import ShTransform, quantize
from exgs.codec.encoding.tiles import Cut
from exgs.codec.errors import SceneError
from exgs.codec.format.container import PackedChunk
from exgs.codec.format.frame import Buffer, pack_frame, store_frame
from exgs.codec.payload.fine import pack_fine, unpack_fine
from exgs.codec.payload.geometry import GeometrySteps, pack_geometry
from exgs.codec.payload.proxy_sh import ProxySh, pack_proxy_sh, unpack_proxies
from exgs.codec.payload.sh import pack_sh, unpack_sh, with_vectors
from exgs.codec.threads import in_threads
from exgs.scene.gaussians import FloatArray, Gaussians

T = TypeVar("T")
U = TypeVar("U")

Members = npt.NDArray[np.int64]  # [n] indices into the scene that is packed
Steps = Callable[[Members], GeometrySteps]


@dataclass(frozen=True, slots=True, eq=False)
class PackedCell:
    """The LEAF or PROXY chunk of a cell."""

    tile: int
    chunk: PackedChunk
    members: Members  # in payload order
    decoded: Gaussians  # [n] decoded values, with the SH of proxies
    base: FloatArray  # [n, 3] decoded degree-0 coefficients, without the SH of proxies
    is_rough: bool  # positions are coarser than wanted: the cell is too wide for its grid


@dataclass(frozen=True, slots=True, eq=False)
class PackedFine:
    """The FINE chunk of a cell."""

    tile: int
    chunk: PackedChunk
    decoded: Gaussians  # [n] decoded values


@dataclass(frozen=True, slots=True, eq=False)
class PackedSh:
    """One SH chunk of a cell."""

    tile: int
    chunk: PackedChunk
    basis: int  # number of its SH basis
    vectors: FloatArray  # [n, D] decoded vectors, which are added to the leaves


def pack_cells(
    kind: ChunkKind,
    layer: int,
    scene: Gaussians,
    fine_tile: npt.NDArray[np.int64],
    cut: Cut,
    steps: Steps,
    thorough: bool,
    *,
    extra_tiles: Iterable[int] = (),
    sh: Callable[[Members], ProxySh | None] | None = None,
) -> list[PackedCell]:
    """The packed cells of a layer, by tile.

    Tiles without Gaussians have no cell unless they are in `extra_tiles`. Raises SceneError if a
    cell has more Gaussians than a chunk can hold.

    Args:
        kind: LEAF or PROXY.
        layer: number of the layer.
        scene: N Gaussians; the colours are degree-0 coefficients.
        fine_tile: [N] finest tile of each Gaussian.
        cut: division of the layer into cells.
        steps: returns the quantization steps for the members of a cell.
        thorough: whether to compress slowly, for fewer bytes.
        extra_tiles: tiles that get a cell even if it is empty.
        sh: for proxies, returns the SH of the members of a cell.
    """

    groups = _indices_by_label(fine_tile // cut.span)

    def pack(tile: int) -> PackedCell:
        members = groups.get(tile, np.empty(0, np.int64))
        if len(members) > MAX_CHUNK_COUNT:
            raise SceneError(
                f"{len(members)} Gaussians lie in one place, a chunk can hold {MAX_CHUNK_COUNT};"
                " remove duplicates"
            )
        child = cut.children_of(fine_tile[members])
        coded_sh = sh(members) if sh is not None and len(members) else None
        packed = pack_geometry(
            scene.select(members),
            child,
            cut.children,
            steps(members),
            sh_components=coded_sh.components if coded_sh else 0,
        )
        columns = packed.columns
        if coded_sh is not None:
            columns = columns + pack_proxy_sh(coded_sh.select(packed.order))
        decoded, _, vectors = unpack_proxies(
            b"".join(columns),
            count=len(members),
            child_count=cut.children,
            sh_degree=coded_sh.sh_degree if coded_sh else 0,
            section="encoder",
        )
        base = decoded.sh0
        if vectors is not None:
            decoded = with_vectors(decoded, vectors)
        chunk = _chunk(kind, layer, tile, len(members), columns, thorough)
        return PackedCell(tile, chunk, members[packed.order], decoded, base, packed.is_rough)

    return _pack_all(pack, sorted({*groups, *extra_tiles}), thorough)


def pack_fine_cells(
    layer: int,
    scene: Gaussians,
    cells: Sequence[PackedCell],
    steps: Steps,
    thorough: bool,
) -> list[PackedFine]:
    """One FINE chunk for each of `cells`, which are the packed leaves of `scene` in a layer."""

    def pack(cell: PackedCell) -> PackedFine:
        columns = pack_fine(scene.select(cell.members), cell.decoded, steps(cell.members))
        decoded = unpack_fine(b"".join(columns), cell.decoded, section="encoder")
        chunk = _chunk(ChunkKind.FINE, layer, cell.tile, len(decoded), columns, thorough)
        return PackedFine(cell.tile, chunk, decoded)

    return _pack_all(pack, cells, thorough)


def pack_sh_cells(
    layer: int,
    cells: Sequence[PackedCell],
    vectors: Sequence[FloatArray],
    transform: ShTransform,
    bases: Sequence[int],
    steps: Sequence[float],
    thorough: bool,
) -> list[PackedSh]:
    """One SH chunk for each of `cells`.

    Args:
        layer: number of the layer.
        cells: packed leaves.
        vectors: [n, D] residual vectors in payload order, for each cell.
        transform: the SH bases of the file.
        bases: number of the basis, for each cell.
        steps: quantization step, for each cell.
        thorough: whether to compress slowly, for fewer bytes.
    """

    def pack(item: tuple[PackedCell, FloatArray, int, float]) -> PackedSh:
        cell, residuals, basis, step = item
        columns = pack_sh(quantize(residuals, transform, basis, step), step, basis)
        decoded = unpack_sh(
            b"".join(columns), transform.basis, count=len(residuals), section="encoder"
        )
        chunk = _chunk(ChunkKind.SH, layer, cell.tile, len(residuals), columns, thorough)
        return PackedSh(cell.tile, chunk, basis, decoded)

    return _pack_all(pack, zip(cells, vectors, bases, steps, strict=True), thorough)


def _indices_by_label(labels: npt.NDArray[np.int64]) -> dict[int, Members]:
    """The indices of each value in `labels` [N], in ascending order."""
    counts = np.bincount(labels)
    used = np.flatnonzero(counts)
    parts = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts[used])[:-1])
    return dict(zip(used.tolist(), parts, strict=True)) if len(used) else {}


def _pack_all(pack: Callable[[T], U], items: Iterable[T], thorough: bool) -> list[U]:
    """`pack` of every item, in parallel threads if `thorough`.

    Thorough compression releases the GIL for long periods. Fast packing is many short steps under
    the GIL, which threads would slow down.
    """
    return in_threads(pack, items) if thorough else [pack(item) for item in items]


def _chunk(
    kind: ChunkKind, layer: int, tile: int, count: int, columns: list[bytes], thorough: bool
) -> PackedChunk:
    buffers: list[Buffer] = list(columns)
    packed, raw_bytes = pack_frame(buffers, thorough=thorough)
    # The format limits the Gaussians per byte (MAX_FREE_COUNT). Chunks of many equal Gaussians
    # compress to less than that, so they are stored uncompressed.
    if kind in (ChunkKind.LEAF, ChunkKind.PROXY) and len(packed) < count:
        packed = store_frame(buffers)
    return PackedChunk(kind, layer, tile, count, 0.0, raw_bytes, packed)

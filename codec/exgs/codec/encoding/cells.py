"""Packing the cells of one layer: leaves and proxies become chunks, and what a decoder gets.

Everything that is measured later (colours, SH, gains) starts from the decoded values, so that
quantization errors are mended where a later step can mend them.
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

Members = npt.NDArray[np.int64]  # [n] index into the scene that is packed
Steps = Callable[[Members], GeometrySteps]


@dataclass(frozen=True, slots=True, eq=False)
class PackedCell:
    """One geometry chunk of a cell, LEAF or PROXY."""

    tile: int
    chunk: PackedChunk
    members: Members  # in payload order
    decoded: Gaussians  # [n] what a decoder gets, with the SH of proxies
    base: FloatArray  # [n, 3] degree-0 coefficients that it gets before it adds these
    is_rough: bool  # positions are not what was asked for: the cell is too wide for its grid


@dataclass(frozen=True, slots=True, eq=False)
class PackedFine:
    """The FINE chunk of a cell."""

    tile: int
    chunk: PackedChunk
    decoded: Gaussians  # [n] what a decoder gets


@dataclass(frozen=True, slots=True, eq=False)
class PackedSh:
    """One SH chunk of a cell."""

    tile: int
    chunk: PackedChunk
    basis: int  # its number
    vectors: FloatArray  # [n, D] what a decoder adds to the leaves


def pack_cells(
    kind: ChunkKind,
    layer: int,
    scene: Gaussians,
    fine_tile: npt.NDArray[np.int64],
    cut: Cut,
    steps: Steps,
    thorough: bool,
    *,
    also: Iterable[int] = (),
    sh: Callable[[Members], ProxySh | None] | None = None,
) -> list[PackedCell]:
    """The cells of `layer`.

    Tiles without members are left out unless they stand in `also`.

    Args:
        kind: LEAF or PROXY.
        scene: [N] Gaussians, with the colours to show.
        fine_tile: [N] finest tile of each.
        cut: how the layer is cut into cells.
        steps: quantizer steps for the members of a cell.
        thorough: whether packing may take long.
        also: tiles that have a cell with nothing in them too.
        sh: of proxies, the view dependence of the members of a cell.
    """

    groups = _grouped(fine_tile // cut.span)

    def pack(tile: int) -> PackedCell:
        members = groups.get(tile, np.empty(0, np.int64))
        if len(members) > MAX_CHUNK_COUNT:
            raise SceneError(
                f"{len(members)} Gaussians lie in one place, a chunk can hold {MAX_CHUNK_COUNT};"
                " remove those that are alike"
            )
        child = cut.children_of(fine_tile[members])
        shown = sh(members) if sh is not None and len(members) else None
        packed = pack_geometry(
            scene.select(members),
            child,
            cut.children,
            steps(members),
            sh_components=shown.components if shown else 0,
        )
        columns = packed.columns
        if shown is not None:
            columns = columns + pack_proxy_sh(shown.select(packed.order))
        decoded, _, vectors = unpack_proxies(
            b"".join(columns),
            count=len(members),
            child_count=cut.children,
            sh_degree=shown.sh_degree if shown else 0,
            section="encoder",
        )
        base = decoded.sh0
        if vectors is not None:
            decoded = with_vectors(decoded, vectors)
        chunk = _chunk(kind, layer, tile, len(members), columns, thorough)
        return PackedCell(tile, chunk, members[packed.order], decoded, base, packed.is_rough)

    return _each(pack, sorted({*groups, *also}), thorough)


def pack_fine_cells(
    layer: int,
    scene: Gaussians,
    cells: Sequence[PackedCell],
    steps: Steps,
    thorough: bool,
) -> list[PackedFine]:
    """One FINE chunk for each of `cells`, which were packed as leaves from `scene`."""

    def pack(cell: PackedCell) -> PackedFine:
        columns = pack_fine(scene.select(cell.members), cell.decoded, steps(cell.members))
        decoded = unpack_fine(b"".join(columns), cell.decoded, section="encoder")
        chunk = _chunk(ChunkKind.FINE, layer, cell.tile, len(decoded), columns, thorough)
        return PackedFine(cell.tile, chunk, decoded)

    return _each(pack, cells, thorough)


def pack_sh_cells(
    layer: int,
    cells: Sequence[PackedCell],
    vectors: Sequence[FloatArray],
    transform: ShTransform,
    bases: Sequence[int],
    steps: Sequence[float],
    thorough: bool,
) -> list[PackedSh]:
    """One SH chunk for each of `cells`, coding its `vectors` [n, D] in its basis with its step."""

    def pack(item: tuple[PackedCell, FloatArray, int, float]) -> PackedSh:
        cell, wanted, basis, step = item
        columns = pack_sh(quantize(wanted, transform, basis, step), step, basis)
        decoded = unpack_sh(
            b"".join(columns), transform.basis, count=len(wanted), section="encoder"
        )
        chunk = _chunk(ChunkKind.SH, layer, cell.tile, len(wanted), columns, thorough)
        return PackedSh(cell.tile, chunk, basis, decoded)

    return _each(pack, zip(cells, vectors, bases, steps, strict=True), thorough)


def _grouped(labels: npt.NDArray[np.int64]) -> dict[int, Members]:
    """Where each of the `labels` [N] stands, in rising order."""
    counts = np.bincount(labels)
    used = np.flatnonzero(counts)
    parts = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts[used])[:-1])
    return dict(zip(used.tolist(), parts, strict=True)) if len(used) else {}


def _each(pack: Callable[[T], U], items: Iterable[T], thorough: bool) -> list[U]:
    """`pack` of every item: zstd's long searches side by side, short ones in turn.

    Without the searches packing is many short steps, and threads wait for each other.
    """
    return in_threads(pack, items) if thorough else [pack(item) for item in items]


def _chunk(
    kind: ChunkKind, layer: int, tile: int, count: int, columns: list[bytes], thorough: bool
) -> PackedChunk:
    buffers: list[Buffer] = list(columns)
    packed, raw_bytes = pack_frame(buffers, thorough=thorough)
    # A file may hold few Gaussians beyond its bytes (MAX_FREE_COUNT): where many are alike, their
    # chunk is stored as it is.
    if kind in (ChunkKind.LEAF, ChunkKind.PROXY) and len(packed) < count:
        packed = store_frame(buffers)
    return PackedChunk(kind, layer, tile, count, 0.0, raw_bytes, packed)

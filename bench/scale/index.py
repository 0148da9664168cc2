"""The size of the index of large scenes, and the part that a reader of one corner reads.

    python -m bench.scale.index [--thorough]

Tables of 5 million to 2^28 Gaussians are packed without payloads. For 64 corners (evenly spaced
tiles of the last layer), the index is read as a client does: the head of the file, then every page
whose region overlaps the corner, in file order, by rules 2 to 5 of spec/format.md, section 6.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from exgs.codec.constants import HEADER_BYTES, ChunkKind
from exgs.codec.format.container import FileHead
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import content_hash
from exgs.codec.format.header import Header, pack_header
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page, parse_root
from exgs.codec.format.packing import PackedIndex, pack_index
from exgs.codec.format.paging import PagePlan
from exgs.codec.format.rows import PageRef
from exgs.scene.camera import look_at, pinhole
from exgs.wire.events import View
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import Scheduler
from tests.codec.synthetic import Listed, Synthetic, synthetic

COUNTS = (5_000_000, 50_000_000, 100_000_000, 1 << 28)
CORNERS = 64


@dataclass(frozen=True, slots=True)
class Way:
    """Bytes of index that a reader of one corner reads: head and pages."""

    to_full_cover: int  # until each layer of proxies has a chunk for the corner
    to_first_leaf: int  # until it has the first leaves of the corner
    to_all: int  # until it knows every chunk of the corner
    requests: int  # adjacent pages in one request, plus one for the head


def corners(scene: Synthetic, index: PackedIndex, count: int = CORNERS) -> Iterator[Way]:
    """The index bytes of `count` corners."""
    level = scene.facts.tile_level
    for number in range(count):
        yield way(scene, index, (number << level) // count + (1 << level) // (2 * count))


def way(scene: Synthetic, index: PackedIndex, tile: int) -> Way:
    """The index bytes of one tile of the last layer."""
    facts = scene.facts
    head = HEADER_BYTES + len(index.root)
    read, requests = head, 1
    covers = leaves = head
    rows = list(range(index.root_count))
    covered, has_leaf = _found(scene, rows, tile)
    for plans, frames in zip(index.plans, index.pages, strict=True):
        last = -2
        for place, (plan, frame) in enumerate(zip(plans, frames, strict=True)):
            if not _meets(plan, facts, tile):
                continue
            read += len(frame)
            requests += place != last + 1
            last = place
            more, leaf = _found(scene, plan.members, tile)
            if more - covered:
                covers = read
            if leaf and not has_leaf:
                leaves = read
            covered |= more
            has_leaf |= leaf
    return Way(covers, leaves, read, requests)


def _meets(plan: PagePlan, facts: SceneFacts, tile: int) -> bool:
    return tile >> (facts.tile_level - plan.region.level) == plan.region.tile


def _found(scene: Synthetic, members: list[int], tile: int) -> tuple[set[int], bool]:
    """The layers of proxies that these rows have for the corner, and whether they have leaves."""
    layers: set[int] = set()
    has_leaf = False
    for member in members:
        chunk: Listed = scene.chunks[member]
        if chunk.kind not in (ChunkKind.LEAF, ChunkKind.PROXY):
            continue
        own = scene.facts.layers[chunk.layer].tile_level
        if tile >> (scene.facts.tile_level - own) != chunk.tile:
            continue
        has_leaf |= chunk.kind is ChunkKind.LEAF
        if not scene.facts.layers[chunk.layer].leaf_count:
            layers.add(chunk.layer)
    return layers, has_leaf


def through_a_view(scene: Synthetic, index: PackedIndex) -> tuple[int, int]:
    """KiB of index and of chunks that a client with a view of one corner reads until its leaves."""
    file_bytes = HEADER_BYTES + len(index.root) + index.body_bytes
    header = Header(file_bytes, len(index.root), index.root_raw_bytes, content_hash(index.root))
    root = parse_root(index.root, header)
    plan = PartPlan(FileHead(header, root, pack_header(header) + index.root), ChunkTable(root))
    frames = [frame for group in index.pages for frame in group]
    scheduler = Scheduler(plan)
    box = scene.box_of(scene.facts.tile_level, (1 << scene.facts.tile_level) // 3)
    middle, size = np.add(box.low, box.high) / 2, np.linalg.norm(np.subtract(box.high, box.low))
    camera = look_at(middle - [0, 0, 2 * size], middle, (0, -1, 0), pinhole(640, 360, 50), 640, 360)
    scheduler.set_view(View(1, camera))
    index_bytes, chunk_bytes = HEADER_BYTES + len(index.root), 0
    while piece := scheduler.next(1 << 25):
        scheduler.record(piece)
        part = plan.ref(piece.part)
        if isinstance(part, PageRef):
            index_bytes += piece.length
            scheduler.add_page(part, parse_page(frames[part.id - 1], part, root.facts))
            continue
        chunk_bytes += piece.length
        if part.kind is ChunkKind.LEAF:
            break
    return index_bytes >> 10, chunk_bytes >> 10


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--thorough", action="store_true", help="pack pages as the encoder does")
    thorough = parser.parse_args().thorough
    print(
        "Gaussians | chunks | head KiB | pages | index MiB | share of file | bytes a row |", end=""
    )
    print(" KiB to all proxies of a corner | to its first leaves | to all of it | requests")
    for count in COUNTS:
        scene = synthetic(count)
        index = pack_index(scene.facts, scene.chunks, scene.box_of, thorough=thorough)
        ways = list(corners(scene, index))
        frames = [frame for group in index.pages for frame in group]
        total = HEADER_BYTES + len(index.root) + sum(map(len, frames))
        worst = [
            f"{max(values) / 1024:.0f}"
            for values in zip(
                *((w.to_full_cover, w.to_first_leaf, w.to_all) for w in ways), strict=True
            )
        ]
        read = [str(kib) for kib in through_a_view(scene, index)]
        requests = max(way.requests for way in ways)
        print(
            f"{count:,} | {len(scene.chunks):,} | {(HEADER_BYTES + len(index.root)) / 1024:.1f} | "
            f"{len(frames)} | {total / (1 << 20):.2f} | {total / index.body_bytes:.2%} | "
            f"{total / len(scene.chunks):.1f} | {' | '.join([*worst, str(requests), *read])}"
        )


if __name__ == "__main__":
    main()

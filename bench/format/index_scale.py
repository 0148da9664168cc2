"""How much index a scene of many Gaussians has, and how much of it a reader of one corner reads.

    python -m bench.format.index_scale [--thorough]

Tables of 5 million to 2^28 Gaussians are packed without payloads. For 64 corners (tiles of the last
layer, evenly spread) the way is followed down: the head of the file, then every page whose region
overlaps the corner, in file order, as rules 2 to 5 of spec/format.md, section 6, need it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from exgs.codec.constants import HEADER_BYTES, ChunkKind
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.packing import PackedIndex, pack_index
from exgs.codec.format.paging import PagePlan
from tests.codec.synthetic import Listed, Synthetic, synthetic

COUNTS = (5_000_000, 50_000_000, 100_000_000, 1 << 28)
CORNERS = 64


@dataclass(frozen=True, slots=True)
class Way:
    """Bytes of index that a reader of one corner reads: head, then pages."""

    to_full_cover: int  # until each layer of proxies has a chunk for the corner
    to_first_leaf: int  # until it has the first leaves of the corner
    to_all: int  # until it knows every chunk of the corner
    requests: int  # neighbours in the file in one, the head another


def corners(scene: Synthetic, index: PackedIndex, count: int = CORNERS) -> Iterator[Way]:
    """The ways to `count` corners."""
    level = scene.facts.tile_level
    for number in range(count):
        yield way(scene, index, (number << level) // count + (1 << level) // (2 * count))


def way(scene: Synthetic, index: PackedIndex, tile: int) -> Way:
    """The way to one tile of the last layer."""
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
    """The layers without leaves of which these rows have the cell, and whether they have leaves."""
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
        print(
            f"{count:,} | {len(scene.chunks):,} | {(HEADER_BYTES + len(index.root)) / 1024:.1f} | "
            f"{len(frames)} | {total / (1 << 20):.2f} | {total / index.body_bytes:.2%} | "
            f"{total / len(scene.chunks):.1f} | {' | '.join(worst)} | "
            f"{max(w.requests for w in ways)}"
        )


if __name__ == "__main__":
    main()

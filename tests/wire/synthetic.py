"""Plans of synthetic scenes: real tables of up to 2^28 Gaussians, and no chunk behind them."""

from __future__ import annotations

from exgs.codec.format.container import parse_head
from exgs.codec.format.header import pack_header
from exgs.codec.format.index import ChunkTable
from exgs.codec.format.index_io import parse_page
from exgs.codec.format.packing import pack_index
from exgs.wire.plan import PartPlan
from tests.codec.synthetic import synthetic


def synthetic_plan(count: int) -> PartPlan:
    """The plan of a scene of so many Gaussians, of which every page is known."""
    scene = synthetic(count)
    index = pack_index(scene.facts, scene.chunks, scene.box_of, thorough=False)
    head = parse_head(pack_header(index.header()) + index.root)
    table = ChunkTable(head.root)
    frames = [frame for group in index.pages for frame in group]
    for page, frame in zip(head.root.pages, frames, strict=True):
        table.add_page(page, parse_page(frame, page, head.root.facts))
    return PartPlan(head, table)

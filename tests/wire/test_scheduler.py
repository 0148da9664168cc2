"""What comes next: everything once, what is needed first, what is seen before what is not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.constants import ChunkKind
from exgs.codec.format.index_io import parse_page
from exgs.codec.format.rows import PageRef
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.events import View
from exgs.wire.parts import HaveSet, is_page, page_id, page_part
from exgs.wire.scheduler import Scheduler, Slice
from exgs.wire.visibility import box_weights
from tests.codec.forge import assemble
from tests.codec.forged_files import random_file
from tests.wire.exchange import BoxFile, camera_at

VIEWS = [View(1, camera_at(*eye)) for eye in ((0, 0, -3), (4, 0, 0), (0.1, 0.1, 0.1), (0, 0, 30))]

# Inside the box, towards +z: half of its tiles lie behind.
FORWARD = View(1, look_at((0, 0, 0.8), (0, 0, 3), (0, -1, 0), pinhole(96, 64, 70), 96, 64))


def _drain(scheduler: Scheduler, size: int = 4096) -> list[Slice]:
    pieces = []
    while (piece := scheduler.next(size)) is not None:
        scheduler.record(piece)
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("view", [None, *VIEWS])
@pytest.mark.parametrize("size", [1000, 1 << 20])
def test_every_byte_of_the_file_comes_once(box: BoxFile, view: View | None, size: int) -> None:
    scheduler = Scheduler(box.plan())
    scheduler.set_view(view)
    pieces = _drain(scheduler, size)
    spans = sorted((piece.file_offset, piece.file_offset + piece.length) for piece in pieces)
    assert spans[0][0] == box.head.header.poster_end
    assert spans[-1][1] == len(box.data)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert scheduler.missing_bytes == 0


@pytest.mark.parametrize("view", [None, *VIEWS])
def test_what_a_chunk_needs_comes_before_it(box: BoxFile, view: View | None) -> None:
    plan = box.plan()
    scheduler = Scheduler(plan)
    scheduler.set_view(view)
    done: set[int] = set()
    for piece in _drain(scheduler, 1 << 20):
        if not is_page(piece.part):
            unit = plan.units[plan.unit_of[piece.part]]
            if view is not None and unit.needs is not None:
                assert done.issuperset(plan.units[unit.needs].chunks)
            page = plan.page_of(piece.part)
            assert page is None or page_part(page.id) in done
            row = plan.table[piece.part]
            if row.kind is ChunkKind.SH and view is not None:
                basis = plan.units[plan.basis].chunks if plan.basis is not None else []
                assert done.issuperset(basis)
        done.add(piece.part)


@pytest.mark.parametrize("view", [None, *VIEWS])
def test_what_a_cell_is_drawn_with_comes_in_one_go(view: View | None) -> None:
    parts = random_file(
        counts=(0, 12, 20),
        proxies=(8, 5, 0),
        levels=(0, 1, 2),
        amplification=(1.0, 1.0, 1.0),
        sh_passes=2,
        rows_per_page=100,
    )
    plan = BoxFile(assemble(parts)).plan()
    assert len(plan.table.joined_sh) > 3
    scheduler = Scheduler(plan)
    scheduler.set_view(view)
    rows = [plan.table[p.part] for p in _drain(scheduler, 1 << 20) if not is_page(p.part)]
    rows = [row for row in rows if row.kind is not ChunkKind.BASIS]
    for before, row in pairwise(rows):
        if row.id in plan.table.joined_sh:
            assert before.kind in (ChunkKind.LEAF, ChunkKind.PROXY)
            assert (before.layer, before.tile) == (row.layer, row.tile)


def test_tiles_in_view_come_before_those_behind(box: BoxFile) -> None:
    plan = box.plan()
    scheduler = Scheduler(plan)
    scheduler.set_view(FORWARD)
    arrays = plan.arrays
    coverage = box_weights(arrays.low, arrays.high, FORWARD.camera).coverage
    assert coverage.min() == 0 < coverage.max()
    seen_last = hidden_first = None
    for number, piece in enumerate(_drain(scheduler, 1 << 20)):
        if is_page(piece.part) or plan.table[piece.part].kind is not ChunkKind.LEAF:
            continue
        if coverage[plan.unit_of[piece.part]] > 0:
            seen_last = number
        elif hidden_first is None:
            hidden_first = number
    assert seen_last is not None
    assert hidden_first is not None
    assert seen_last < hidden_first


def test_in_view_missing_bytes_reach_zero_before_all_has_come(box: BoxFile) -> None:
    scheduler = Scheduler(box.plan())
    scheduler.set_view(FORWARD)
    while scheduler.in_view_missing_bytes:
        piece = scheduler.next(1 << 20)
        assert piece is not None
        scheduler.record(piece)
    assert scheduler.missing_bytes > 0


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_whatever_happens_on_the_way_all_comes_in_the_end(
    box: BoxFile, data: st.DataObject
) -> None:
    plan = box.plan()
    scheduler = Scheduler(plan)
    held: dict[int, int] = {}
    chunk = st.integers(0, plan.chunk_count - 1)
    for _ in range(data.draw(st.integers(0, 25))):
        action = data.draw(st.sampled_from(["send", "view", "cancel", "want", "again"]))
        if action == "send":
            piece = scheduler.next(data.draw(st.integers(1, 8000)))
            if piece is not None:
                assert piece.offset == held.get(piece.part, 0)
                scheduler.record(piece)
                held[piece.part] = piece.offset + piece.length
        elif action == "view":
            scheduler.set_view(data.draw(st.sampled_from([None, *VIEWS])))
        elif action == "cancel":
            scheduler.cancel([data.draw(chunk)])
        elif action == "want":
            scheduler.want([data.draw(chunk)])
        else:
            part = data.draw(chunk)
            if scheduler.is_whole(part):
                scheduler.want([part], again=True)
                held[part] = 0
    scheduler.want(range(plan.chunk_count))
    for piece in _drain(scheduler):
        assert piece.offset == held.get(piece.part, 0)
        held[piece.part] = piece.offset + piece.length
    assert scheduler.missing_bytes == 0
    assert sum(held.values()) == len(box.data) - box.head.header.poster_end


@given(st.sets(st.integers(0, 15)), st.dictionaries(st.integers(0, 15), st.integers(1, 31)))
@settings(max_examples=40, deadline=None)
def test_what_is_held_is_not_sent(box: BoxFile, whole: set[int], begun: dict[int, int]) -> None:
    begun = {part: size for part, size in begun.items() if part not in whole}
    have = HaveSet(box.head.scene_hash, frozenset(whole), partial=begun)
    scheduler = Scheduler(box.plan(), have)
    scheduler.set_view(VIEWS[0])
    first: dict[int, int] = {}
    for piece in _drain(scheduler):
        first.setdefault(piece.part, piece.offset)
    assert not whole & first.keys()
    assert {part: first[part] for part in begun} == begun


@pytest.mark.parametrize("view", [None, *VIEWS])
def test_a_client_on_its_own_learns_the_pages_as_it_goes(box: BoxFile, view: View | None) -> None:
    plan = box.partial_plan()
    scheduler = Scheduler(plan)
    scheduler.set_view(view)
    received = 0
    while (piece := scheduler.next(1 << 20)) is not None:
        scheduler.record(piece)
        received += piece.length
        if is_page(piece.part):
            page = plan.ref(piece.part)
            assert isinstance(page, PageRef)
            assert page.id == page_id(piece.part)
            packed = box.read(page.offset, page.packed_bytes)
            scheduler.add_page(page, parse_page(packed, page, plan.facts))
    assert received == len(box.data) - box.head.header.poster_end


def _slow_coverage(bounds: np.ndarray, camera: Camera, samples: int = 4000) -> np.ndarray:
    """Share of the picture that each box's surface is seen in, by rays through random pixels."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 1, (samples, 2)) * [camera.width, camera.height]
    rays = np.linalg.solve(camera.K, np.c_[pixels, np.ones(samples)].T).T @ camera.viewmat[:3, :3]
    with np.errstate(divide="ignore"):
        near = (bounds[:, None, 0] - camera.position) / rays
        far = (bounds[:, None, 1] - camera.position) / rays
    enter = np.minimum(near, far).max(axis=2)
    leave = np.maximum(near, far).min(axis=2)
    result: np.ndarray = ((leave >= enter) & (leave > 0)).mean(axis=1)
    return result


@pytest.mark.parametrize("view", VIEWS)
def test_coverage_is_at_least_what_rays_see(box: BoxFile, view: View) -> None:
    arrays = box.plan().arrays
    low, high = arrays.low[~arrays.is_basis], arrays.high[~arrays.is_basis]
    seen = _slow_coverage(np.stack([low, high], axis=1), view.camera)
    weights = box_weights(low, high, view.camera)
    assert (weights.coverage >= seen - 0.03).all()
    assert (weights.coverage <= 1).all()
    assert (weights.around > 0).all()

"""The growing scene: chunks in any order give the same scene, and a fault leaves it as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.errors import DamagedError, UnsupportedError
from exgs.codec.format.container import unpack_chunk
from exgs.codec.format.frame import content_hash
from exgs.codec.format.rows import ChunkRef
from exgs.codec.payload.geometry import unpack_geometry
from tests.codec.drawing import draw, fingerprint, parts_of
from tests.codec.forge import assemble, chunk
from tests.codec.forged_files import divided_file, random_file

DATA = assemble(
    random_file(
        counts=(4, 0, 9),
        proxies=(5, 3, 0),
        levels=(0, 1, 2),
        amplification=(1.5, 1.25, 1.0),
        sh_passes=2,
        seed=8,
    )
)


def builder_of(data: bytes) -> tuple[SceneBuilder, list[tuple[ChunkRef, bytes]]]:
    pusher, arrived = parts_of(data)
    assert pusher.head is not None
    assert pusher.table is not None
    return SceneBuilder(pusher.head.root.facts, pusher.table), arrived


@pytest.mark.parametrize("data", [DATA, assemble(divided_file())], ids=["pages", "regions"])
@settings(deadline=None, max_examples=40)
@given(random=st.randoms(use_true_random=False))
def test_any_order_of_chunks_gives_the_same_scene(data: bytes, random: object) -> None:
    builder, arrived = builder_of(data)
    shuffled = list(arrived)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    for number, (ref, packed) in enumerate(shuffled):
        builder.add(ref, packed)
        builder.add(ref, packed)  # once more is harmless
        assert builder.has(ref.id)
        if number % 3 == 0:
            scene = builder.drawn()
            assert scene is builder.drawn()
    assert fingerprint(builder.drawn()) == fingerprint(draw(data))
    assert builder.layer == 2


def test_the_version_rises_exactly_when_the_scene_changes() -> None:
    builder, arrived = builder_of(DATA)
    seen = builder.version
    before = fingerprint(builder.drawn())
    for ref, packed in arrived:
        builder.add(ref, packed)
        now = fingerprint(builder.drawn())
        assert (now != before) <= (builder.version != seen)
        seen, before = builder.version, now


def test_leaves_are_amplified_by_the_top_layer_of_their_tile() -> None:
    builder, arrived = builder_of(DATA)
    whole = draw(DATA).gaussians
    for ref, packed in arrived:
        if ref.layer == 0 and ref.kind is not ChunkKind.BASIS:
            builder.add(ref, packed)
    assert not len(builder.drawn().gaussians)
    builder.add(*next(pair for pair in arrived if pair[0].kind is ChunkKind.BASIS))
    drawn = builder.drawn()
    leaves = drawn.gaussians.select(~drawn.is_proxy)
    assert len(leaves) == 4
    np.testing.assert_allclose(leaves.scales, whole.scales[:4] * np.float32(1.5), rtol=1e-6)
    assert not drawn.sh_pending.any()


def test_a_child_is_amplified_by_the_highest_layer_that_all_of_it_has() -> None:
    data = assemble(
        random_file(
            counts=(8, 8, 16),
            proxies=(0, 0, 0),
            levels=(0, 1, 3),
            amplification=(4.0, 2.0, 1.0),
            sh_degree=0,
            fine=False,
            seed=23,
            rows_per_page=100,
        )
    )
    builder, arrived = builder_of(data)
    plain = draw(data).gaussians.scales[:8]
    payload = unpack_chunk(*arrived[0])
    _, (first, second) = unpack_geometry(payload, count=8, child_count=2, section="test")
    assert first and second
    factors = []
    for ref, packed in arrived:
        builder.add(ref, packed)
        scales = builder.drawn().gaussians.scales[:8] / plain
        np.testing.assert_allclose(scales[:first], scales[0, 0], rtol=1e-6)
        np.testing.assert_allclose(scales[first:], scales[-1, 0], rtol=1e-6)
        factors.append((round(float(scales[0, 0])), round(float(scales[-1, 0]))))
    # The cell, its children, then the four cells of the last layer in each of these.
    assert factors == [(4, 4), (2, 4), *[(2, 2)] * 4, *[(1, 2)] * 4, (1, 1)]


def test_leaves_are_drawn_with_the_sh_joined_to_them_and_pend_until_all_have_come() -> None:
    builder, arrived = builder_of(DATA)
    first, second = [pair for pair in arrived if pair[0].kind is ChunkKind.SH][:2]
    assert (first[0].layer, first[0].tile) == (second[0].layer, second[0].tile) == (0, 0)
    drawn = []
    for ref, packed in arrived[: second[0].id + 1]:
        builder.add(ref, packed)
        drawn.append(builder.drawn())
    leaves = [np.count_nonzero(~state.is_proxy) for state in drawn]
    assert leaves == [0] * first[0].id + [4] * (second[0].id + 1 - first[0].id)
    assert drawn[first[0].id].sh_pending.sum() == 4
    assert not drawn[-1].sh_pending.any()


def test_sh_that_stand_apart_are_not_waited_for() -> None:
    parts = random_file(counts=(4,), proxies=(0,), levels=(0,), amplification=(1.0,))
    leaf, basis, sh, fine = [row for page in parts.pages for row in page]
    parts.pages = [[leaf, basis, fine, sh]]
    builder, arrived = builder_of(assemble(parts))
    builder.add(*arrived[0])
    assert builder.drawn().sh_pending.tolist() == [True] * 4
    for ref, packed in arrived[1:]:
        builder.add(ref, packed)
    assert not builder.drawn().sh_pending.any()


def test_a_dropped_cell_comes_again() -> None:
    builder, arrived = builder_of(DATA)
    for ref, packed in arrived:
        builder.add(ref, packed)
    whole = fingerprint(builder.drawn())
    cells = {(2, 1), (2, 0), (1, 0)}
    builder.drop(cells)
    assert builder.layer == 0
    assert fingerprint(builder.drawn()) != whole
    for ref, packed in reversed(arrived):
        builder.add(ref, packed)
    assert fingerprint(builder.drawn()) == whole
    assert builder.layer == 2


def test_a_fault_leaves_the_scene_as_it_was() -> None:
    builder, arrived = builder_of(DATA)
    for ref, packed in arrived:
        before, version = fingerprint(builder.drawn()), builder.version
        broken = packed[:-1] + bytes([packed[-1] ^ 1])
        with pytest.raises(DamagedError, match="hash"):
            builder.add(ref, broken)
        with pytest.raises(DamagedError):
            builder.add(replace(ref, hash=content_hash(broken), raw_bytes=7), broken)
        assert not builder.has(ref.id)
        assert builder.version == version
        assert fingerprint(builder.drawn()) == before
        builder.add(ref, packed)
    assert fingerprint(builder.drawn()) == fingerprint(draw(DATA))


def test_a_refinement_that_waited_in_vain_is_named_and_left_out() -> None:
    builder, arrived = builder_of(DATA)
    leaf = next(pair for pair in arrived if pair[0].kind is ChunkKind.LEAF and pair[0].count)
    fine = next(pair for pair in arrived if pair[0].kind is ChunkKind.FINE)
    assert (leaf[0].layer, leaf[0].tile) == (fine[0].layer, fine[0].tile)
    raw = bytes(28) + b"x"
    row = chunk(ChunkKind.FINE, 0, 0, leaf[0].count, raw)
    bad = replace(
        fine[0], raw_bytes=len(raw), packed_bytes=len(row.data), hash=content_hash(row.data)
    )
    proxy = next(pair for pair in arrived if pair[0].kind is ChunkKind.PROXY)
    builder.add(*proxy)
    builder.add(bad, row.data)
    with pytest.raises(DamagedError, match="FINE"):
        builder.add(*leaf)
    assert builder.has(leaf[0].id)
    assert not builder.has(bad.id)
    for pair in arrived[:5]:
        if pair[0].kind in (ChunkKind.BASIS, ChunkKind.SH):
            builder.add(*pair)
    assert np.count_nonzero(~builder.drawn().is_proxy) == leaf[0].count
    for ref, packed in arrived:
        builder.add(ref, packed)
    assert fingerprint(builder.drawn()) == fingerprint(draw(DATA))


def test_what_a_cell_has_is_not_replaced() -> None:
    builder, arrived = builder_of(DATA)
    for ref, packed in arrived:
        builder.add(ref, packed)
    whole = fingerprint(builder.drawn())
    for ref, packed in arrived:
        if ref.kind is ChunkKind.SH:
            continue
        with pytest.raises(DamagedError, match=f"{ref.kind.name} already"):
            builder.add(replace(ref, id=ref.id + 1000), packed)
    assert fingerprint(builder.drawn()) == whole


def test_kinds_of_later_versions_change_nothing() -> None:
    parts = random_file(counts=(2, 3), seed=1)
    plain = draw(assemble(parts))
    parts.pages[0].append(chunk(199, 0, 0, 5, b"?"))
    assert fingerprint(draw(assemble(parts))) == fingerprint(plain)
    parts.pages[0][-1] = replace(parts.pages[0][-1], hash=bytes(16))
    with pytest.raises(DamagedError, match="hash"):
        draw(assemble(parts))
    parts.pages[0][-1] = replace(parts.pages[0][-1], hash=None, kind=100)
    with pytest.raises(UnsupportedError, match="update exgs"):
        draw(assemble(parts))

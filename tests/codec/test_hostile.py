"""Files made to harm, with every hash right: typed errors or sound values, and little memory."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard

from exgs.codec.constants import MAX_MAGNITUDE, ChunkKind
from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.decoding.decode import decode, verify
from exgs.codec.errors import FormatError, LimitError
from exgs.codec.format.rows import ChunkRef
from exgs.scene.gaussians import Gaussians
from tests.codec.drawing import draw, fingerprint, parts_of
from tests.codec.forge import Parts, Root, Row, assemble, chunk, digest, squeeze
from tests.codec.forged_files import paired_file, random_file, small_file

INVALID = Path(__file__).parents[2] / "spec" / "vectors" / "invalid"
MEMORY_BYTES = 8 << 20


def check_values(scene: Gaussians) -> None:
    """Nothing that a rasterizer could choke on."""
    for name in ("means", "quats", "scales", "opacities", "sh0", "shN"):
        assert np.isfinite(getattr(scene, name)).all(), name
    np.testing.assert_allclose(np.linalg.norm(scene.quats, axis=1), 1, atol=1e-5)
    assert (scene.scales > 0).all()
    assert ((scene.opacities >= 0) & (scene.opacities <= 1)).all()


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, mostly near the front, where the fields are."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        near = rng.integers(2) and len(out) > 60
        place = int(rng.integers(60 if near else len(out)))
        out[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
    return bytes(out)


def unpacked(row: Row) -> bytes:
    return zstandard.ZstdDecompressor().decompress(row.data)


def survives(parts: Parts) -> bool:
    """Whether the file is drawn; raises whatever is not a FormatError."""
    try:
        check_values(draw(assemble(parts)).gaussians)
    except FormatError as error:
        assert "\n" not in str(error)
        return False
    return True


@pytest.mark.parametrize("seed", range(6))
def test_any_payload_gives_an_error_or_sound_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = random_file(counts=(3, 4), proxies=(2, 0), seed=seed, sh_degree=seed % 3)
    survived = 0
    for _ in range(250):
        pages = [list(page) for page in base.pages]
        page = pages[int(rng.integers(len(pages)))]
        at = int(rng.integers(len(page)))
        raw = mutated(unpacked(page[at]), rng)
        page[at] = replace(page[at], data=squeeze(raw))
        survived += survives(Parts(base.root, pages))
    assert 0 < survived < 250


@pytest.mark.parametrize("seed", range(4))
def test_any_index_gives_an_error_or_sound_values(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        parts = small_file() if rng.integers(2) else paired_file()
        way = rng.integers(3)
        if way == 0:
            raw: list[bytes] = []

            def keep(packed: bytes, raw: list[bytes] = raw) -> bytes:
                raw.append(mutated(packed, rng))
                return squeeze(raw[0])

            parts.wrap_root = keep
        else:

            def edit(root: Root, way: int = int(way)) -> None:
                table = root if way == 1 else root[str(rng.choice(["chunks", "pages"]))]
                name = str(rng.choice([*table]))
                table[name] = mutated(table[name], rng)

            if way == 1:
                parts.edit_page = edit
            else:
                parts.edit_index = edit
        survives(parts)


@pytest.mark.parametrize("width", [5, 8])
def test_the_largest_numbers_stay_finite(width: int) -> None:
    """Columns of ones in every bit, with the largest steps."""
    parts = random_file(counts=(3, 0), proxies=(0, 0), levels=(0, 0), sh_degree=1, seed=1)
    big = np.float32(MAX_MAGNITUDE).tobytes()
    rows = []
    for row in parts.pages[0] + [row for page in parts.pages[1:] for row in page]:
        raw = unpacked(row)
        full = b"\xff" * (width * row.count)
        if row.kind == ChunkKind.LEAF and row.count:
            head = bytes([width]) * 11 + raw[11:24] + big + raw[28:32] + big + raw[36:40]
            raw = head + big + big + raw[48:52] + full * 11
        elif row.kind == ChunkKind.FINE:
            raw = bytes([width]) * 10 + raw[10:12] + big * 4 + full * 10
        elif row.kind == ChunkKind.SH:
            raw = raw[:4] + big + bytes([width]) * raw[0] + full * raw[0]
        elif row.kind == ChunkKind.BASIS:
            raw = raw[:6] + np.float16(65504).tobytes() * ((len(raw) - 6) // 2)
        rows.append(chunk(row.kind, row.layer, row.tile, row.count, raw))
    check_values(draw(assemble(Parts(parts.root, [rows]))).gaussians)


@pytest.mark.parametrize("name", [path.stem for path in sorted(INVALID.glob("bomb-*.exgs"))])
def test_bombs_take_little_memory(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            decode(INVALID / f"{name}.exgs")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY_BYTES


def test_refinements_that_wait_take_no_more_than_their_bytes() -> None:
    """SH of large counts whose BASIS never comes are kept packed."""
    count = 1 << 16
    head = b"\x0c\x00\x00\x00" + np.float32(1).tobytes() + b"\x08" * 12
    sh = chunk(ChunkKind.SH, 0, 0, count, head + bytes(8 * 12 * count))
    assert len(sh.data) < 4096
    pusher, _ = parts_of(assemble(small_file()))
    assert pusher.head is not None
    assert pusher.table is not None
    builder = SceneBuilder(pusher.head.root.facts, pusher.table)
    tracemalloc.start()
    try:
        for number in range(100, 150):
            ref = ChunkRef(
                number, ChunkKind.SH, 0, 0, count, sh.raw, len(sh.data), 0.0, digest(sh.data), 0
            )
            builder.add(ref, sh.data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def test_gaussians_are_bounded_by_the_bytes_they_come_in() -> None:
    with pytest.raises(LimitError, match="4096 Gaussians in"):
        verify(INVALID / "bomb-gaussians.exgs")


def test_forged_files_are_sound_when_nothing_lies() -> None:
    assert fingerprint(draw(assemble(small_file()))) == fingerprint(draw(assemble(small_file())))
    assert survives(small_file())

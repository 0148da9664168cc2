"""Cut and flipped files: the scene so far or a typed error, never a wrong picture in silence."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from exgs.codec.errors import DamagedError, FormatError, TruncatedError
from exgs.codec.format.container import FilePusher
from tests.codec.drawing import draw, fingerprint, parts_of
from tests.codec.forge import JPEG, assemble
from tests.codec.forged_files import paired_file, random_file

FILES = 10
IN_SPACE = (8, 9)  # pages of a group, whose chunks lie between each other; 9 has a poster
FAULTS = 3000  # for each file


@cache
def file(seed: int) -> bytes:
    if seed in IN_SPACE:
        parts = paired_file()
        parts.poster = JPEG if seed == 9 else b""
        return assemble(parts)
    return assemble(
        random_file(
            counts=(2, 3),
            proxies=(2, 0),
            sh_degree=seed % 2,
            fine=seed % 3 > 0,
            seed=seed,
            rows_per_page=4,
        )
    )


@cache
def prefix_scenes(seed: int) -> dict[bytes, int]:
    """What the sound prefixes of a file show, with the least bytes that show it."""
    data = file(seed)
    pusher, arrived = parts_of(data)
    assert pusher.head is not None
    scenes: dict[bytes, int] = {}
    for end in [pusher.head.header.root_end, *(chunk.end for chunk, _ in arrived)]:
        scenes.setdefault(fingerprint(draw(data[:end])), end)
    return scenes


@pytest.mark.parametrize("seed", range(FILES))
def test_a_damaged_file_gives_an_error_or_a_sound_prefix(seed: int) -> None:
    data = file(seed)
    rng = np.random.default_rng(seed)
    drawn = refused = 0
    for _ in range(FAULTS):
        damaged = bytearray(data)
        first_fault = len(data)
        kind = rng.integers(4)
        if kind == 0:  # cut anywhere
            first_fault = int(rng.integers(len(data)))
            del damaged[first_fault:]
        elif kind == 1:  # flip some bits
            for bit in rng.integers(0, 8 * len(data), rng.integers(1, 4)):
                damaged[bit // 8] ^= 1 << (bit % 8)
                first_fault = min(first_fault, int(bit) // 8)
        elif kind == 2:  # overwrite a run, and cut
            first_fault = int(rng.integers(len(data)))
            run = bytes(rng.integers(0, 256, rng.integers(1, 20), np.uint8))
            damaged[first_fault : first_fault + len(run)] = run
            del damaged[int(rng.integers(len(damaged) + 1)) :]
        else:  # lose or repeat a run
            first_fault, size = (int(n) for n in rng.integers(0, len(data), 2))
            run = bytes(damaged[first_fault : first_fault + size])
            damaged[first_fault : first_fault + size] = run * 2 if rng.integers(2) else b""
        try:
            scene = fingerprint(draw(bytes(damaged)))
        except FormatError:
            refused += 1
            continue
        drawn += 1
        assert scene in prefix_scenes(seed)
        if bytes(damaged) != data[: len(damaged)]:
            assert prefix_scenes(seed)[scene] <= first_fault
    assert drawn
    assert refused


@pytest.mark.parametrize("seed", [0, 1, 2, *IN_SPACE])
def test_a_file_cut_at_any_byte_shows_ever_more(seed: int) -> None:
    data = file(seed)
    pusher, arrived = parts_of(data)
    assert pusher.head is not None
    start = pusher.head.header.root_end
    ends = [chunk.end for chunk, _ in arrived]
    leaves = -1
    before = b""
    for length in range(len(data) + 1):
        if length < start:
            with pytest.raises(TruncatedError) as caught:
                draw(data[:length])
            assert length < caught.value.needed_bytes <= start
            continue
        scene = draw(data[:length])
        found = int(np.count_nonzero(~scene.is_proxy))
        assert found >= leaves
        leaves = found
        now = fingerprint(scene)
        if length not in ends and length != start:
            assert now == before
        before = now
    assert leaves == pusher.head.root.facts.leaf_count


@pytest.mark.parametrize("seed", [0, 1, 2, *IN_SPACE])
def test_every_single_bit_counts(seed: int) -> None:
    data = file(seed)
    whole = fingerprint(draw(data))
    for bit in np.random.default_rng(seed).choice(8 * len(data), 700, replace=False):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        try:
            scene = fingerprint(draw(bytes(damaged)))
        except FormatError:
            continue
        assert scene != whole  # only a header that says 'longer' is left, and is not believed
        pytest.fail(f"bit {bit} was not noticed")


def test_a_fault_behind_what_has_been_drawn_is_told_apart() -> None:
    data = file(0)
    pusher = FilePusher()
    _, arrived = parts_of(data)
    last, _ = arrived[-1]
    chunks = pusher.receive_data(data[: last.offset])
    damaged = bytearray(data[last.offset :])
    damaged[0] ^= 1
    chunks += pusher.receive_data(bytes(damaged))
    assert len(chunks) == len(arrived)
    assert pusher.complete
    with pytest.raises(DamagedError, match="hash"):
        draw(data[: last.offset] + bytes(damaged))

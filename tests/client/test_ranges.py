"""Ranges in any order and of any cut give the parts that reading from the front gives."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.client.delivery import Delivery
from exgs.client.errors import DamagedOnTheWayError
from exgs.client.growing import GrowingScene
from exgs.client.ranges import ByteRange, RangeReader
from exgs.codec.container import FilePusher
from exgs.codec.errors import FormatError
from exgs.codec.index import ChunkRef
from exgs.scene.camera import look_at, pinhole
from tests.client.scenes import write_box

CAMERAS = [
    look_at(eye, (0, 0, 0), (0, -1, 0), pinhole(64, 48, 60), 64, 48)
    for eye in ((0, 0, -6), (6, 0, 0), (0.5, 0, 0.5))
]


class _Arrivals(GrowingScene):
    """Keeps what arrives instead of drawing it."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: dict[int, bytes] = {}

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        assert chunk.id not in self.chunks, "a chunk came twice"
        self.chunks[chunk.id] = packed


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ranges") / "box.exgs"
    write_box(path, 1500)
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(box: bytes) -> dict[int, bytes]:
    return {chunk.id: packed for chunk, packed in FilePusher().receive_data(box)}


@given(seed=st.integers(0, 1 << 32), step=st.sampled_from([300, 3000, 30_000]))
@settings(deadline=None, max_examples=60)
def test_any_interleaving_gives_the_whole_file_once(
    box: bytes, whole: dict[int, bytes], seed: int, step: int
) -> None:
    rng = random.Random(seed)
    arrivals = _Arrivals()
    reader = RangeReader(Delivery(arrivals))
    on_the_way: list[tuple[ByteRange, int]] = []
    for _ in range(10_000):
        if reader.is_done:
            break
        size = rng.randint(1, step)
        wanted = reader.claim(size, least_bytes=rng.randint(0, step), most_bytes=size * 2)
        if wanted is not None:
            assert wanted.end - wanted.start <= size * 2
            on_the_way.append((wanted, wanted.start))
        else:
            assert on_the_way, "neither done nor anything to wait for"
        match rng.randrange(20):
            case 0:
                reader.release()
                on_the_way = []
            case 1:
                reader.look(rng.choice(CAMERAS))
            case _ if on_the_way:
                number = rng.randrange(len(on_the_way))
                wanted, position = on_the_way.pop(number)
                end = min(wanted.end, len(box), position + rng.randint(1, step))
                reader.take(position, box[position:end])
                if end < min(wanted.end, len(box)):
                    on_the_way.append((wanted, end))
                else:
                    reader.finish(wanted)
    assert arrivals.chunks == whole


def test_a_server_that_sends_the_whole_file_is_asked_once(
    box: bytes, whole: dict[int, bytes]
) -> None:
    arrivals = _Arrivals()
    reader = RangeReader(Delivery(arrivals))
    front = reader.claim(1000)
    assert front is not None
    assert reader.claim_all(front)
    for start in range(0, len(box), 1000):
        reader.take(start, box[start : start + 1000])
        assert reader.claim(1000) is None
    assert arrivals.chunks == whole
    assert reader.is_done


def test_a_flipped_bit_is_a_typed_error(box: bytes) -> None:
    for position in (3, 30, 500, 5000, len(box) - 5):
        reader = RangeReader(Delivery(_Arrivals()))
        damaged = bytearray(box)
        damaged[position] ^= 1
        front = reader.claim(1000)
        assert front is not None
        reader.claim_all(front)
        with pytest.raises((FormatError, DamagedOnTheWayError)) as caught:
            reader.take(0, bytes(damaged))
        reader.release()
        if isinstance(caught.value, DamagedOnTheWayError):
            assert reader.claim(1) is not None


def test_what_a_camera_sees_comes_first(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs", 12_000)
    data = (tmp_path / "box.exgs").read_bytes()
    orders = []
    for camera in CAMERAS[:2]:
        arrivals = _Arrivals()
        reader = RangeReader(Delivery(arrivals))
        reader.look(camera)
        while (wanted := reader.claim(1)) is not None:
            reader.take(wanted.start, data[wanted.start : wanted.end])
            reader.finish(wanted)
        assert reader.is_done
        orders.append(list(arrivals.chunks))
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]

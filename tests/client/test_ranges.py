"""Ranges in any order and of any cut give the parts that reading from the front gives."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.client.arrivals import Arrivals
from exgs.client.delivery import Delivery
from exgs.client.errors import DamagedAtServerError
from exgs.client.profiles.ranges import ByteRange, RangeReader
from exgs.codec.errors import FormatError
from exgs.codec.format.container import FilePusher
from exgs.codec.format.rows import ChunkRef
from exgs.scene.camera import look_at, pinhole
from tests.client.scenes import write_box

CAMERAS = [
    look_at(eye, (0, 0, 0), (0, -1, 0), pinhole(64, 48, 60), 64, 48)
    for eye in ((0, 0, -6), (6, 0, 0), (0.5, 0, 0.5))
]


class _Arrivals(Arrivals):
    """Keeps what arrives instead of drawing it."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: dict[int, bytes] = {}

    def add_chunk(self, chunk: ChunkRef, packed: bytes) -> None:
        assert chunk.id not in self.chunks, "a chunk came twice"
        self.chunks[chunk.id] = packed

    def drop(self, chunks: Iterable[ChunkRef]) -> None:
        for chunk in chunks:
            del self.chunks[chunk.id]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ranges") / "box.exgs"
    write_box(path, 1500)
    return path.read_bytes()


@pytest.fixture(scope="module")
def whole(box: bytes) -> dict[int, bytes]:
    return {chunk.id: packed for chunk, packed in FilePusher().receive_data(box)}


def _receive_in_any_order(reader: RangeReader, box: bytes, seed: int, step: int) -> None:
    """Receive all that is wanted by ranges whose bytes come interleaved, and are lost at times."""
    rng = random.Random(seed)
    on_the_way: list[tuple[ByteRange, int]] = []
    for _ in range(10_000):
        if reader.is_done:
            return
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
    raise AssertionError("it never ends")


@given(seed=st.integers(0, 1 << 32), step=st.sampled_from([300, 3000, 30_000]))
@settings(deadline=None, max_examples=60)
def test_any_interleaving_gives_the_whole_file_once(
    box: bytes, whole: dict[int, bytes], seed: int, step: int
) -> None:
    arrivals = _Arrivals()
    _receive_in_any_order(RangeReader(Delivery(arrivals)), box, seed, step)
    assert arrivals.chunks == whole


@given(
    seed=st.integers(0, 1 << 32),
    step=st.sampled_from([300, 3000, 30_000]),
    memory_bytes=st.sampled_from([1, 50_000, 200_000, 300_000, 1 << 30]),
)
@settings(deadline=None, max_examples=60)
def test_a_memory_budget_leaves_nothing_waiting(
    box: bytes, whole: dict[int, bytes], seed: int, step: int, memory_bytes: int
) -> None:
    arrivals = _Arrivals()
    delivery = Delivery(arrivals, memory_bytes=memory_bytes)
    reader = RangeReader(delivery)
    _receive_in_any_order(reader, box, seed, step)
    assert arrivals.chunks.items() <= whole.items()
    delivery.lift_budget()
    reader.revise()
    _receive_in_any_order(reader, box, seed + 1, step)
    assert arrivals.chunks == whole


@pytest.mark.parametrize("memory_bytes", [1, 100_000, 1_000_000])
def test_a_front_that_ends_inside_a_chunk_that_is_left_out_ends(
    tmp_path: Path, memory_bytes: int
) -> None:
    write_box(tmp_path / "box.exgs", 9000)
    data = (tmp_path / "box.exgs").read_bytes()
    reader = RangeReader(Delivery(_Arrivals(), memory_bytes=memory_bytes))
    while (wanted := reader.claim(1 << 20)) is not None:
        reader.take(wanted.start, data[wanted.start : wanted.end])
        reader.finish(wanted)
    assert reader.is_done


def test_a_server_that_sends_the_whole_file_is_asked_once(
    box: bytes, whole: dict[int, bytes]
) -> None:
    arrivals = _Arrivals()
    reader = RangeReader(Delivery(arrivals))
    front = reader.claim(1000)
    assert front is not None
    everything = reader.claim_all(front)
    assert everything is not None
    for start in range(0, len(box), 1000):
        reader.take(start, box[start : start + 1000])
        assert reader.claim(1000) is None
    reader.finish(everything)
    assert arrivals.chunks == whole
    assert reader.is_done


@pytest.mark.parametrize("position", [3, 30, 500])
def test_a_flipped_bit_in_the_head_is_a_typed_error(box: bytes, position: int) -> None:
    reader = RangeReader(Delivery(_Arrivals()))
    front = reader.claim(1000)
    assert front is not None
    with pytest.raises(FormatError):
        reader.take(0, box[:position] + bytes([box[position] ^ 1]) + box[position + 1 :])


def test_a_part_that_comes_damaged_is_asked_for_again_and_nothing_else_is(
    box: bytes, whole: dict[int, bytes]
) -> None:
    arrivals = _Arrivals()
    reader = RangeReader(Delivery(arrivals))
    front = reader.claim(1000)
    assert front is not None
    everything = reader.claim_all(front)
    assert everything is not None
    reader.take(0, box[:-5] + bytes([box[-5] ^ 1]) + box[-4:])
    reader.finish(everything)
    again = reader.claim(1 << 20)
    assert again is not None
    assert reader.came_damaged(again)
    assert box[again.start : again.end] == whole[max(whole)]
    reader.take(again.start, box[again.start : again.end])
    reader.finish(again)
    assert reader.is_done
    assert arrivals.chunks == whole


def test_a_part_that_is_damaged_on_the_server_is_given_up(box: bytes) -> None:
    reader = RangeReader(Delivery(_Arrivals()))
    damaged = box[:-5] + bytes([box[-5] ^ 1]) + box[-4:]
    asked = 0
    with pytest.raises(DamagedAtServerError, match="upload the file again"):
        while (wanted := reader.claim(1 << 20)) is not None:
            asked += 1
            reader.take(wanted.start, damaged[wanted.start : wanted.end])
            reader.finish(wanted)
    assert asked < 20


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

"""The receiver: updates by part from a server or a file, in an event loop or on a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from exgs.client import (
    DamagedAtServerError,
    Part,
    StreamError,
    Update,
    parse_link,
    receive,
    receive_in_thread,
)
from exgs.codec import DrawnScene, FormatError, decode
from exgs.scene import Gaussians
from exgs.scene.camera import look_at, pinhole
from tests.client.scenes import write_box
from tests.client.test_stream import served
from tests.client.test_streaming_profile import streaming
from tests.client.updates import updates_of

COUNT = 6000
LEFT = look_at((-1, 0, 0), (-3, 0, 0), (0, -1, 0), pinhole(48, 32, 40), 48, 32)
RIGHT = look_at((1, 0, 0), (3, 0, 0), (0, -1, 0), pinhole(48, 32, 40), 48, 32)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("received") / "box.exgs"
    write_box(path, COUNT)
    return path


@contextmanager
def _source(box: Path, kind: str) -> Iterator[str]:
    """The box by one of three ways."""
    if kind == "file":
        yield str(box)
    elif kind == "static":
        with served(box.parent) as site:
            yield f"{site.url}/box.exgs"
    else:
        with streaming(box) as server:
            yield server.url


KINDS = pytest.mark.parametrize("kind", ["file", "static", "streaming"])


def _sorted(scene: Gaussians) -> list[np.ndarray]:
    order = np.lexsort(scene.means.T)
    return [c[order] for c in (scene.means, scene.quats, scene.scales, scene.sh0, scene.shN)]


def _together(parts: Iterable[Gaussians]) -> Gaussians:
    return Gaussians.concatenate([Gaussians.empty(), *parts])


def _is_same(one: Gaussians, other: Gaussians) -> bool:
    pairs = zip(_sorted(one), _sorted(other), strict=True)
    return len(one) == len(other) and all(np.array_equal(a, b) for a, b in pairs)


def _renderer(parts: dict[Part, Gaussians], update: Update) -> None:
    """What a renderer that keeps parts does with an update."""
    for part in update.dropped:
        del parts[part]
    for part in update.added:
        assert part not in parts
    for part in update.refined | update.replaced:
        assert part in parts
    for part in update.added | update.refined | update.replaced:
        parts[part] = update.part_gaussians(part)


@KINDS
def test_every_way_brings_the_same_scene_update_by_update(box: Path, kind: str) -> None:
    parts: dict[Part, Gaussians] = {}
    with _source(box, kind) as source, receive_in_thread(source, camera=LEFT) as scene:
        received_bytes = 0
        for update in scene:
            _renderer(parts, update)
            assert parts.keys() == update.parts
            assert update.received_bytes >= received_bytes
            received_bytes = update.received_bytes
            assert sum(map(len, parts.values())) == len(update.gaussians)
        assert scene.is_over
        assert update.is_complete
        assert update.is_ready
        assert update.layer == 2
        assert _is_same(update.gaussians, decode(box).gaussians)
    assert _is_same(_together(parts.values()), decode(box).gaussians)


@KINDS
def test_it_works_inside_an_event_loop_which_goes_on_meanwhile(box: Path, kind: str) -> None:
    async def main(source: str) -> Update:
        beats = 0

        async def beat() -> None:
            nonlocal beats
            while True:
                beats += 1
                await asyncio.sleep(0)

        beating = asyncio.create_task(beat())
        async with receive(source) as scene:
            update = [update async for update in scene][-1]
        beating.cancel()
        assert beats > 10
        assert not [t for t in asyncio.all_tasks() if t is not asyncio.current_task()][1:]
        return update

    with _source(box, kind) as source:
        update = asyncio.run(main(source))
    assert update.is_complete
    assert len(update.gaussians) == COUNT


def _ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("exgs")]


@KINDS
def test_leaving_early_leaves_nothing_behind(box: Path, kind: str) -> None:
    link = None if kind == "file" else parse_link("1mbit,20ms")

    async def main(source: str) -> float:
        async with receive(source, link=link) as scene:
            async for update in scene:
                if update.has_changes:
                    break
            start_s = time.monotonic()
        assert not _ours()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return time.monotonic() - start_s

    with _source(box, kind) as source:
        assert asyncio.run(main(source)) < 3
        with receive_in_thread(source, link=link) as scene:
            next(iter(scene))
        assert not _ours()
        assert list(scene) == []


def test_a_task_that_is_cancelled_leaves_nothing_behind_and_loses_no_update(box: Path) -> None:
    async def main(source: str) -> dict[Part, Gaussians]:
        parts: dict[Part, Gaussians] = {}
        async with receive(source, link=parse_link("4mbit,5ms")) as scene:
            while True:
                try:
                    async with asyncio.timeout(0.01):
                        update = await anext(scene)
                except TimeoutError:
                    continue
                except StopAsyncIteration:
                    break
                _renderer(parts, update)
        begun = asyncio.Event()
        endless = asyncio.create_task(_take_all(source, begun))
        await begun.wait()
        endless.cancel()
        await asyncio.gather(endless, return_exceptions=True)
        assert endless.cancelled()
        assert not _ours()
        return parts

    with served(box.parent) as site:
        parts = asyncio.run(main(f"{site.url}/box.exgs"))
    assert _is_same(_together(parts.values()), decode(box).gaussians)


async def _take_all(source: str, begun: asyncio.Event) -> None:
    async with receive(source, link=parse_link("100kbit")) as scene:
        begun.set()
        async for _ in scene:
            pass


def test_another_thread_may_look_and_close(box: Path) -> None:
    with streaming(box) as server:
        scene = receive_in_thread(server.url, link=parse_link("300kbit,5ms"))
        taken: list[Update] = []
        begun = threading.Event()

        def turn_and_leave() -> None:
            begun.wait(10)
            scene.look(RIGHT)
            scene.close()

        other = threading.Thread(target=turn_and_leave)
        other.start()
        with scene:
            for update in scene:
                taken.append(update)
                begun.set()
            other.join()
    assert taken
    assert not taken[-1].is_complete
    assert not _ours()


POSTER = b"RIFF\x00\x00\x00\x00WEBP" + bytes(range(256)) * 8


@KINDS
def test_the_poster_comes_before_the_gaussians(tmp_path: Path, kind: str) -> None:
    write_box(tmp_path / "box.exgs", COUNT, poster=POSTER)
    link = None if kind == "file" else parse_link("1mbit,20ms")
    with (
        _source(tmp_path / "box.exgs", kind) as source,
        receive_in_thread(source, link=link, poster=True) as scene,
    ):
        updates = iter(scene)
        first = next(update for update in updates if update.poster is not None)
        assert first.poster == scene.poster == POSTER
        if kind != "file":  # a file is read faster than its updates are taken
            assert not first.is_complete
        assert list(updates)[-1].poster == POSTER


def test_a_stream_is_asked_for_the_poster_only_on_demand(tmp_path: Path) -> None:
    write_box(tmp_path / "box.exgs", 300, poster=POSTER)
    with streaming(tmp_path / "box.exgs") as server:
        with receive_in_thread(server.url) as scene:
            assert [update for update in scene if update.poster is not None] == []
        assert server.poster_requests == 0


@KINDS
def test_a_poster_that_is_missing_or_damaged_is_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "box.exgs"
    for poster in (b"", POSTER):
        write_box(path, COUNT, poster=poster)
        data = bytearray(path.read_bytes())
        if poster:
            data[data.index(POSTER) + 20] ^= 1
            path.write_bytes(data)
        with _source(path, kind) as source, receive_in_thread(source, poster=True) as scene:
            updates = list(scene)
        assert updates[-1].is_complete
        assert scene.poster is None


def test_unknown_options_are_refused(box: Path) -> None:
    with pytest.raises(TypeError, match="unknown option 'cash'"):
        receive(box, cash="folder")  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", ["static", "streaming"])
def test_it_is_ready_for_the_view_before_everything_is_here(tmp_path: Path, kind: str) -> None:
    write_box(tmp_path / "box.exgs", 20_000)
    with (
        _source(tmp_path / "box.exgs", kind) as source,
        receive_in_thread(source, camera=LEFT, link=parse_link("2mbit,5ms")) as scene,
    ):
        states = []
        for update in scene:
            states.append((update.is_ready, update.is_complete))
            if states.count((True, False)) == 1 and states[-1] == (True, False):
                scene.look(RIGHT)  # and what that sees is still to come
    first = states.index((True, False))
    assert (False, False) in states[first:]
    assert states[-1] == (True, True)


def test_a_broken_connection_is_reported_and_restored(box: Path) -> None:
    with streaming(box, "drop") as server, receive_in_thread(server.url) as scene:
        updates = [(update.trouble, update.reconnections) for update in scene]
    assert any(trouble and "connecting again" in trouble for trouble, _ in updates)
    assert updates[-1] == (None, 1)


def test_what_goes_wrong_is_raised_where_updates_are_taken(box: Path, tmp_path: Path) -> None:
    async def main(source: str) -> None:
        async with receive(source) as scene:
            async for _ in scene:
                pass

    with served(box.parent) as site:
        for url in (f"{site.url}/none.exgs", "ws://127.0.0.1:1/scenes/x/stream"):
            with pytest.raises(StreamError):
                asyncio.run(main(url))
            with receive_in_thread(url) as scene, pytest.raises(StreamError):
                list(scene)
            assert list(scene) == []
    (tmp_path / "junk.exgs").write_bytes(b"not a scene" * 100)
    with receive_in_thread(tmp_path / "junk.exgs") as scene, pytest.raises(FormatError):
        list(scene)
    data = box.read_bytes()
    (tmp_path / "cut.exgs").write_bytes(data[:-1000])
    with (
        receive_in_thread(tmp_path / "cut.exgs") as scene,
        pytest.raises(StreamError, match="ends"),
    ):
        list(scene)
    (tmp_path / "bad.exgs").write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    with (
        receive_in_thread(tmp_path / "bad.exgs") as scene,
        pytest.raises(FormatError, match="hash"),
    ):
        list(scene)
    with (
        served(tmp_path) as site,
        receive_in_thread(f"{site.url}/bad.exgs") as scene,
        pytest.raises(DamagedAtServerError),
    ):
        list(scene)
    for wrong in ("ftp://x/y.exgs", "nothing.exgs", "ws://x/y.exgs"):
        with pytest.raises(StreamError):
            receive(wrong)


def test_an_update_that_was_overtaken_says_so_and_a_snapshot_stays(box: Path) -> None:
    kept: list[tuple[Update, DrawnScene, np.ndarray]] = []
    for update in updates_of(box.read_bytes(), 4096):
        if kept:
            with pytest.raises(RuntimeError, match="snapshot"):
                _ = kept[-1][0].gaussians
        if update.has_changes:
            snapshot = update.snapshot()
            kept.append((update, snapshot, snapshot.gaussians.means.copy()))
    assert len(kept) > 3
    for _, snapshot, means in kept:
        assert np.array_equal(snapshot.gaussians.means, means)


def test_arrays_are_reused_and_equal_to_what_the_parts_say(box: Path) -> None:
    addresses = set()
    for update in updates_of(box.read_bytes(), 4096):
        if not update.has_changes:
            continue
        drawn = update.drawn
        assert not drawn.gaussians.means.flags.writeable
        addresses.add(drawn.gaussians.means.ctypes.data)
        of_parts = [update.part_gaussians(part) for part in update.parts]
        assert _is_same(drawn.gaussians, _together(of_parts))
        proxies = sum(len(update.part_gaussians(part)) for part in update.parts if part.is_proxy)
        assert np.count_nonzero(drawn.is_proxy) == proxies
    assert len(addresses) == 1


def test_limits_end_the_iteration_and_the_rest_can_be_fetched(box: Path) -> None:
    with (
        served(box.parent) as site,
        receive_in_thread(f"{site.url}/box.exgs", max_bytes=80_000) as scene,
    ):
        update = list(scene)[-1]
        assert not update.is_complete
        assert scene.received_bytes == 80_000
        scene.fetch_rest()
        assert list(scene)[-1].is_complete


@KINDS
def test_memory_is_bounded_and_cells_come_and_go_with_the_view(box: Path, kind: str) -> None:
    parts: dict[Part, Gaussians] = {}
    views, dropped = [RIGHT, LEFT, RIGHT], 0
    with (
        _source(box, kind) as source,
        receive_in_thread(source, camera=LEFT, memory_bytes=COUNT * 150) as scene,
    ):
        for update in scene:
            _renderer(parts, update)
            assert _is_same(update.gaussians, _together(parts.values()))
            assert not update.is_complete
            dropped += len(update.dropped)
            if update.is_ready:
                if not views:
                    break
                scene.look(views.pop())
        assert dropped
        scene.fetch_rest()
        for update in scene:
            _renderer(parts, update)
        assert update.is_complete
    assert _is_same(_together(parts.values()), decode(box).gaussians)

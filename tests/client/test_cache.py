"""The cache keeps what came, trusts nothing that it finds on disk, and never stops a stream."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exgs.client.cache import Cache, read_cache
from exgs.codec.format.container import FileHead, FilePusher
from exgs.codec.format.frame import content_hash
from exgs.codec.format.rows import ChunkRef
from exgs.present.stream import StreamOptions, stream
from exgs.scene.camera import look_at, pinhole
from tests.client.scenes import write_box
from tests.client.test_stream import served

URL = "http://example.org/box.exgs"
Parts = tuple[FileHead, list[tuple[ChunkRef, bytes]]]


@pytest.fixture(scope="module")
def parts(
    tmp_path_factory: pytest.TempPathFactory,
) -> Parts:
    path = tmp_path_factory.mktemp("cache") / "box.exgs"
    write_box(path)
    pusher = FilePusher()
    chunks = pusher.receive_data(path.read_bytes())
    assert pusher.head is not None
    # The file's one page would come first; rows of the root are enough here.
    return pusher.head, [(c, packed) for c, packed in chunks if c.id < 16]


def _fill(folder: Path, parts: Parts) -> list[str]:
    notes: list[str] = []
    cache = Cache(folder, URL, notes.append)
    head, chunks = parts
    cache.begin(head)
    for chunk, packed in chunks:
        for offset in range(0, len(packed), 2000):
            cache.add(chunk.id, offset, packed[offset : offset + 2000])
    cache.close()
    return notes


def test_what_was_kept_comes_back(parts: Parts, tmp_path: Path) -> None:
    assert _fill(tmp_path, parts) == []
    stored = Cache(tmp_path, URL, print).load()
    assert stored is not None
    assert stored.resume.head.scene_hash == parts[0].scene_hash
    assert [(c.id, p) for c, p in stored.chunks] == [(c.id, p) for c, p in parts[1]]
    assert Cache(tmp_path, URL + "2", print).load() is None


@given(kept=st.floats(0, 1), flip=st.none() | st.tuples(st.floats(0, 1), st.integers(0, 7)))
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_cache_gives_only_what_is_whole(
    parts: Parts,
    tmp_path: Path,
    kept: float,
    flip: tuple[float, int] | None,
) -> None:
    folder = tmp_path / "cache"
    if not folder.exists():
        _fill(folder, parts)
    whole = next(folder.glob("*.cache")).read_bytes()
    broken = bytearray(whole[: round(kept * len(whole))])
    if broken and flip is not None:
        place, bit = flip
        broken[round(place * (len(broken) - 1))] ^= 1 << bit
    stored = read_cache(bytes(broken))
    if stored is not None and stored.resume.head.scene_hash == parts[0].scene_hash:
        assert stored.good_bytes <= len(broken)
        for chunk, packed in stored.chunks:
            assert content_hash(packed) == chunk.hash
        assert stored.resume.chunks == {chunk.id for chunk, _ in stored.chunks}


def test_a_run_goes_on_behind_the_fault_that_it_cut_off(parts: Parts, tmp_path: Path) -> None:
    _fill(tmp_path, parts)
    path = next(tmp_path.glob("*.cache"))
    path.write_bytes(path.read_bytes()[:-1000])
    cache = Cache(tmp_path, URL, print)
    stored = cache.load()
    assert stored is not None
    chunk, packed = parts[1][-1]
    held = len(stored.resume.partial.get(chunk.id, b""))
    cache.begin(parts[0])
    cache.add(chunk.id, held, packed[held:])
    cache.close()
    again = Cache(tmp_path, URL, print).load()
    assert again is not None
    assert len(again.chunks) == len(parts[1])


def test_a_disk_that_fails_is_a_note_and_not_an_error(parts: Parts, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert len(_fill(blocked / "cache", parts)) == 1
    in_use = Cache(tmp_path / "shared", URL, print)
    in_use.begin(parts[0])
    assert _fill(tmp_path / "shared", parts) == [
        f"not caching in {tmp_path / 'shared'}: another run uses it"
    ]
    in_use.close()


def test_a_full_disk_ends_the_caching_and_what_was_kept_stays_good(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [40_000]
    write = os.write

    def write_while_there_is_room(file: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(file, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("exgs.client.cache.os.write", write_while_there_is_room)
    assert _fill(tmp_path, parts) == [f"not caching in {tmp_path}: No space left on device"]
    stored = Cache(tmp_path, URL, print).load()
    assert stored is not None
    assert 0 < len(stored.chunks) < len(parts[1])
    assert [(c.id, p) for c, p in stored.chunks] == [
        (c.id, p) for c, p in parts[1][: len(stored.chunks)]
    ]


def test_a_client_that_is_killed_mid_write_leaves_a_cache_that_can_be_trusted(
    tmp_path: Path,
) -> None:
    write_box(tmp_path / "box.exgs", 6000)
    size = (tmp_path / "box.exgs").stat().st_size
    cache = tmp_path / "cache"
    with served(tmp_path) as site:
        url = f"{site.url}/box.exgs"
        script = (
            "import sys, pathlib; from exgs.cli.main import main;"
            "main(['stream', *sys.argv[1:], '--link', '2mbit', '--size', '64x48', '-w', '-q'])"
        )
        command = [sys.executable, "-c", script, url, "-o", str(tmp_path / "out")]
        for share in (0.3, 0.6):
            process = subprocess.Popen([*command, "--cache", str(cache)])
            while sum(path.stat().st_size for path in cache.glob("*.cache")) < share * size:
                assert process.poll() is None
                time.sleep(0.002)
            process.kill()
            process.wait()
            left = Cache(cache, url, print)
            stored = left.load()
            left.close()
            assert stored is not None
            for chunk, packed in stored.chunks:
                assert content_hash(packed) == chunk.hash
        camera = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(64, 48, 70), 64, 48)
        report = stream(
            url, tmp_path / "last", StreamOptions(choose_camera=lambda *_: camera, cache=cache)
        )
    assert report.rows[-1].psnr_db == float("inf")
    assert report.received_bytes < 0.5 * size

"""The cache keeps what came, trusts nothing that it finds on disk, and never stops a stream."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exgs.client.cache import Cache, read_cache
from exgs.codec.container import FileHead, FilePusher
from exgs.codec.frame import content_hash
from exgs.codec.index import ChunkRef
from tests.client.scenes import write_box

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


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_cache_gives_only_what_is_whole(
    parts: Parts,
    tmp_path: Path,
    data: st.DataObject,
) -> None:
    folder = tmp_path / "cache"
    if not folder.exists():
        _fill(folder, parts)
    whole = next(folder.glob("*.cache")).read_bytes()
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    if broken and data.draw(st.booleans()):
        broken[data.draw(st.integers(0, len(broken) - 1))] ^= 1 << data.draw(st.integers(0, 7))
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

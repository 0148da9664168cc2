"""Scenes in an object store work like scenes in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from exgs.server.app import start
from exgs.server.catalog import Catalog
from exgs.server.config import ServerConfig
from exgs.server.storage import ObjectStore, RootError, UnreadableError
from tests.client.scenes import write_box
from tests.server.support import Site, camera_at, serving, streaming, until

URL = "memory://scenes/of/this"


@pytest.fixture
def bucket(box_bytes: bytes) -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    files.pipe("/scenes/of/this/box.exgs", box_bytes)
    files.pipe("/scenes/of/this/notes.txt", b"no scene")
    files.pipe("/scenes/of/this/deeper/other.exgs", box_bytes)
    files.pipe("/scenes/of/secret.exgs", box_bytes)
    yield files
    files.rm("/scenes", recursive=True)


def _on_bucket(main, **options) -> None:  # type: ignore[no-untyped-def]
    async def run() -> None:
        async with asyncio.timeout(30), serving(URL, **options) as site:
            await main(site)

    asyncio.run(run())


def test_objects_are_served_by_range_and_as_streams(
    bucket: fsspec.AbstractFileSystem, box_bytes: bytes
) -> None:
    async def main(site: Site) -> None:
        assert (await site.get("/scenes/box.exgs")).body == box_bytes
        part = await site.get("/scenes/box.exgs", Range="bytes=100-70000")
        assert (part.status, part.body) == (206, box_bytes[100:70_001])
        async with streaming(site, camera=camera_at(0, 0, -3)) as client:
            await client.step()
            client.session.send_view(camera_at(3, 0, 0))
            await client.flush()
            await client.finish()
            assert client.session.missing_bytes == 0

    _on_bucket(main)


@pytest.mark.parametrize(
    "name", ["notes", "other", "deeper%2fother", "secret", "..%2fsecret", "%2e%2e%2fsecret"]
)
def test_only_scenes_directly_below_the_prefix_are_served(
    bucket: fsspec.AbstractFileSystem, name: str
) -> None:
    async def main(site: Site) -> None:
        assert (await site.get(f"/scenes/{name}.exgs")).status == 404

    _on_bucket(main)


def test_bytes_of_a_replaced_object_are_never_mixed(
    bucket: fsspec.AbstractFileSystem, tmp_path: Path, box_bytes: bytes
) -> None:
    write_box(tmp_path / "next.exgs", 9000, seed=3)
    other = (tmp_path / "next.exgs").read_bytes()

    async def main(site: Site) -> None:
        before = await site.get("/scenes/box.exgs", Range="bytes=0-99")
        bucket.pipe("/scenes/of/this/box.exgs", other)

        async def is_new() -> bool:
            answer = await site.get("/scenes/box.exgs")
            if answer.headers["Etag"] == before.headers["Etag"]:
                assert answer.body == box_bytes  # from the blocks that were read before
                return False
            assert answer.body == other
            return True

        await until(is_new)

    _on_bucket(main, reload_s=0.1)


def test_a_read_notices_that_the_object_has_changed(
    bucket: fsspec.AbstractFileSystem, box_bytes: bytes
) -> None:
    source = ObjectStore(URL).open("box")
    assert asyncio.run(source.read(5, 10)) == box_bytes[5:15]
    bucket.pipe("/scenes/of/this/box.exgs", box_bytes[::-1])
    assert asyncio.run(source.read(5, 10)) == box_bytes[5:15]  # from the cache
    with pytest.raises(UnreadableError, match="has changed"):
        source.read_now(5, 10)


def test_many_readers_of_a_block_read_it_once(
    bucket: fsspec.AbstractFileSystem, box_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ObjectStore(URL)
    source = store.open("box")
    fetched = []
    cat_file = store.files.cat_file
    monkeypatch.setattr(
        store.files, "cat_file", lambda *args, **kw: fetched.append(kw) or cat_file(*args, **kw)
    )

    async def main() -> list[bytes]:
        return await asyncio.gather(*(source.read(i, 100) for i in range(50)))

    assert asyncio.run(main()) == [box_bytes[i : i + 100] for i in range(50)]
    assert len(fetched) == 1


@pytest.mark.parametrize("url", ["nosuchstore://bucket", "memory://not/there"])
def test_a_missing_store_is_named_in_the_error(url: str) -> None:
    async def main() -> None:
        async with start(ServerConfig(root=url, port=0)):
            pass

    with pytest.raises(RootError, match=url):
        asyncio.run(main())


def test_scene_files_that_are_not_served_are_named_once_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("UPPER.EXGS", "deep/inner.exgs", "deep/notes.txt", "other.ply"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "link.exgs").symlink_to(tmp_path / "deep" / "inner.exgs")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    catalog = Catalog(tmp_path)
    catalog.refresh()
    catalog.refresh()
    said = [(r.file, r.reason) for r in caplog.records if r.message == "file not served"]  # type: ignore[attr-defined]
    assert [name for name, _ in said] == ["UPPER.EXGS", "deep/inner.exgs", "link.exgs"]
    for (_, reason), word in zip(said, ("rename", "subfolder", "symbolic link"), strict=True):
        assert word in reason

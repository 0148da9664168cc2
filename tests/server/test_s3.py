"""Scenes in S3, with a local S3 server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.scenes import write_box
from tests.server.support import Site, camera_at, serving, streaming, until

moto = pytest.importorskip(
    "moto.server", reason="needs a local S3 server: moto[s3], flask, flask-cors"
)
pytest.importorskip("s3fs", reason="needs s3fs")


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A local S3 server that fsspec uses for s3:// URLs."""
    from fsspec.config import conf, set_conf_files

    server = moto.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    settings = {"s3": {"endpoint_url": url, "key": "k", "secret": "s", "skip_instance_cache": True}}
    (tmp_path / "fsspec.json").write_text(json.dumps(settings))
    before = dict(conf)
    set_conf_files(str(tmp_path), conf)
    yield url
    server.stop()
    conf.clear()
    conf.update(before)


def test_scenes_in_s3_are_served_and_updated(
    endpoint: str, tmp_path: Path, box_bytes: bytes
) -> None:
    import s3fs

    files = s3fs.S3FileSystem()
    files.mkdir("bucket")
    files.pipe("bucket/prefix/box.exgs", box_bytes)
    write_box(tmp_path / "next.exgs", 500, seed=3)

    async def main() -> None:
        async with asyncio.timeout(60), serving("s3://bucket/prefix", reload_s=0.2) as site:
            assert (await site.get("/scenes/box.exgs")).body == box_bytes
            part = await site.get("/scenes/box.exgs", Range="bytes=5-9")
            assert part.body == box_bytes[5:10]
            async with streaming(site, camera=camera_at(0, 0, -3)) as client:
                await client.finish()
                assert client.session.missing_bytes == 0
            other = (tmp_path / "next.exgs").read_bytes()
            await asyncio.to_thread(files.pipe, "bucket/prefix/box.exgs", other)

            async def is_new() -> bool:
                return await _size(site) == len(other)

            await until(is_new, timeout_s=10)

    asyncio.run(main())


async def _size(site: Site) -> int:
    head = await site.get("/scenes/box.exgs", method="HEAD")
    return int(head.headers["Content-Length"])

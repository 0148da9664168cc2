"""Scenes in a local S3 server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.client.scenes import write_box
from tests.server.support import Site, camera_at, serving, streaming, until


def test_scenes_in_s3_are_served_and_updated(s3: str, tmp_path: Path, box_bytes: bytes) -> None:
    import s3fs

    files = s3fs.S3FileSystem()
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

"""A file of another server, forwarded to the page of `exgs view URL`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp

from exgs.server.app import start
from exgs.server.config import ServerConfig
from exgs.server.remote import PATH, RemoteFile
from tests.codec.forge import assemble
from tests.codec.forged_files import small_file
from tests.server.support import Answer, Site, serving


async def fetch(site: Site, method: str = "GET", **headers: str) -> Answer:
    return await site.get(PATH, method, **headers)


def test_ranges_of_one_file_are_forwarded(tmp_path: Path) -> None:
    data = assemble(small_file())
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "there" / "one.exgs").write_bytes(data)

    async def main() -> None:
        async with serving(tmp_path / "there", token="secret") as there:
            url = f"{there.server.url}/scenes/one.exgs"
            remote = RemoteFile(url, {"Authorization": "Bearer secret"})
            config = ServerConfig(root=tmp_path / "here", port=0)
            async with start(config, remote=remote) as here, aiohttp.ClientSession() as http:
                site = Site(here, http)
                whole = await fetch(site)
                assert (whole.status, whole.body) == (200, data)
                part = await fetch(site, Range="bytes=10-19", If_Match=whole.headers["Etag"])
                assert (part.status, part.body) == (206, data[10:20])
                assert part.headers["Content-Range"] == f"bytes 10-19/{len(data)}"
                changed = await fetch(site, Range="bytes=10-19", If_Match='"other"')
                assert changed.status == 412
                head = await fetch(site, "HEAD")
                assert (head.headers["Content-Length"], head.body) == (str(len(data)), b"")
                assert (await site.get("/remote/other.exgs")).status == 404

    asyncio.run(main())


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    async def main() -> None:
        remote = RemoteFile("http://127.0.0.1:9/one.exgs")
        config = ServerConfig(root=tmp_path, port=0)
        async with start(config, remote=remote) as here, aiohttp.ClientSession() as http:
            answer = await fetch(Site(here, http))
            assert answer.status == 502
            assert b"http://127.0.0.1:9/one.exgs can't be read" in answer.body

    asyncio.run(main())

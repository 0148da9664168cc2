"""Real TCP over an emulated link: slow, late, lossy. Needs root, `ip` and /dev/net/tun."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.net.link import SERVER_ADDRESS, Ends, Shape, can_emulate, emulated_link, inside
from exgs.server.app import RunningServer, start
from exgs.server.config import Patience, ServerConfig
from tests.client.scenes import write_box
from tests.server.support import Site, camera_at, streaming
from tests.transport.receiver import parts_of, receive_scene

pytestmark = pytest.mark.skipif(
    not can_emulate() or not shutil.which("ip"), reason="needs root, ip and /dev/net/tun"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_box(folder / "box.exgs", 40_000)
    return folder


@contextmanager
def _serving(ends: Ends, config: ServerConfig) -> Iterator[RunningServer]:
    """A server at the far end of a link, in a thread of its own."""
    ready, stop = threading.Event(), threading.Event()
    found: list[RunningServer] = []

    async def serve() -> None:
        async with start(config) as server:
            found.append(server)
            ready.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        with inside(ends.server):
            asyncio.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        stop.set()
        thread.join()


def _over(shape: Shape, root: Path, main: Any, patience: Patience | None = None) -> None:
    """Run a coroutine of a client at this end of a link, with the server at the other."""
    config = ServerConfig(root=root, host=SERVER_ADDRESS, port=0, patience=patience or Patience())
    with emulated_link(shape) as ends, _serving(ends, config) as server, inside(ends.client):
        work: Coroutine[Any, Any, None] = main(server)
        asyncio.run(asyncio.wait_for(work, 60))


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "static"])
def test_a_scene_comes_whole_over_a_lossy_link(root: Path, streaming: bool) -> None:
    async def main(server: RunningServer) -> None:
        authority = f"{server.host}:{server.port}"
        ledger = await receive_scene(authority, "box", streaming=streaming)
        assert ledger.is_complete
        assert parts_of((root / "box.exgs").read_bytes(), ledger)
        assert ledger.twice_bytes == ledger.reconnections == 0

    _over(Shape(rate_bps=8e6, delay_s=0.02, loss=0.02), root, main)


def test_a_new_view_is_answered_before_the_link_is_empty(root: Path) -> None:
    async def main(server: RunningServer) -> None:
        async with aiohttp.ClientSession() as http:
            site = Site(server, http)
            async with streaming(site, camera=camera_at(0, 0, -3)) as client:
                while len(client.fragments) < 20:
                    assert await client.step()
                serial = client.session.send_view(camera_at(3, 0, 0))
                asked_s = time.monotonic()
                await client.flush()
                while client.fragments[-1].view_serial != serial:
                    assert await client.step()
                reaction_s = time.monotonic() - asked_s
                assert client.session.missing_bytes
        assert reaction_s < 1.5  # where a whole layer is queued, it is several seconds

    _over(Shape(rate_bps=2e6, delay_s=0.05, loss=0.0), root, main)


def test_a_slow_link_is_shared_by_readers_that_nobody_cuts(root: Path) -> None:
    """100 kbit/s for three; each gets some kilobytes in the time that a stalled one is given."""
    patience = Patience(piece_s=3.0)

    async def main(server: RunningServer) -> None:
        async with aiohttp.ClientSession() as http:
            site = Site(server, http)
            async with streaming(site) as client:

                async def read_stream() -> None:
                    while await client.step():
                        pass
                    raise AssertionError("the stream was cut")

                async def read_file() -> None:
                    async with http.get(f"{server.url}/scenes/box.exgs") as answer:
                        await answer.read()

                readers = [read_stream(), read_file(), read_file()]
                tasks = [asyncio.create_task(reader) for reader in readers]
                done, left = await asyncio.wait(
                    tasks, timeout=6, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
                for task in done:
                    task.result()
                assert len(left) == len(tasks), "the link is not slow"
                assert client.fragments

    _over(Shape(rate_bps=1e5, delay_s=0.05, loss=0.0), root, main, patience)

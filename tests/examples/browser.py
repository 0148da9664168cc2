"""A headless Chromium, driven over its own protocol: as little of it as a screenshot needs."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
_ARGUMENTS = (
    *("--headless=new", "--remote-debugging-port=0", "--no-first-run", "--hide-scrollbars"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--window-size=800,600"),
)


class Page:
    """One page that is open."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and wait for its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get("id") == number:
                result: dict[str, Any] = message["result"]
                return result

    async def screenshot(self) -> bytes:
        """What the page shows, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])

    async def text(self) -> str:
        """The page's text."""
        found = await self.call("Runtime.evaluate", expression="document.body.innerText")
        return str(found["result"].get("value", ""))


@asynccontextmanager
async def page_at(url: str) -> AsyncIterator[Page]:
    """A page of a browser of its own that shows `url`."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        process = await asyncio.create_subprocess_exec(
            *(CHROMIUM, *_ARGUMENTS, *sandbox, f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as http:
                async with http.get(f"http://127.0.0.1:{port}/json") as answer:
                    pages = [p for p in await answer.json() if p["type"] == "page"]
                address = pages[0]["webSocketDebuggerUrl"]
                async with http.ws_connect(address, max_msg_size=0) as socket:
                    page = Page(socket)
                    await page.call("Page.navigate", url=url)
                    yield page
        finally:
            process.kill()
            await process.wait()


async def _port(file: Path) -> int:
    async with asyncio.timeout(30):
        while not (file.exists() and file.read_text().strip()):
            await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])

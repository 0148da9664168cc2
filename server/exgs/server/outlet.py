"""Limits the queue of one connection in the kernel, with information from the kernel."""

from __future__ import annotations

import asyncio
import random

from exgs.server.flow.pacing import Pacer
from exgs.server.kernel import delivery_of, socket_of


class Outlet:
    """Decides when a stream may choose its next fragment."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._socket = socket_of(transport)
        self._pacer = Pacer(asyncio.get_running_loop().time())

    @property
    def fragment_bytes(self) -> int:
        """The length of the next fragment."""
        return self._pacer.fragment_bytes

    async def opens(self) -> None:
        """Wait until the next fragment may be sent."""
        loop = asyncio.get_running_loop()
        while True:
            now_s = loop.time()
            known = delivery_of(self._socket)
            look_s = self._pacer.next_look_s(now_s, known, random.random())
            if look_s is None:
                return
            await asyncio.sleep(look_s - now_s)

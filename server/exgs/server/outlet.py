"""Limits the queue of one connection in the kernel, with information from the kernel."""

from __future__ import annotations

import asyncio
import random

from exgs.server.flow.pacing import Pacer
from exgs.server.kernel import delivery_of, limit_rate, socket_of

_LITTLE = 0.05  # relative change of a rate


class Outlet:
    """Decides when a stream may choose its next fragment."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self._socket = socket_of(transport)
        self._pacer = Pacer(asyncio.get_running_loop().time())
        self._most_rate: float | None = None  # told to the kernel

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
            self._pace(self._pacer.most_rate)
            if look_s is None:
                return
            await asyncio.sleep(look_s - now_s)

    def _pace(self, rate: float | None) -> None:
        """Tell the kernel the highest rate, unless it has changed little."""
        told = self._most_rate
        if rate is not None and told is not None and abs(rate - told) < _LITTLE * told:
            return
        if rate != told:
            self._most_rate = rate
            limit_rate(self._socket, rate)

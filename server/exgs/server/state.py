"""The shared state of the handlers of one server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from exgs.server.catalog import Catalog
from exgs.server.config import ServerConfig
from exgs.server.gate import Gate
from exgs.server.metrics import Metrics
from exgs.server.web_page import WebPage


class OpenStream(Protocol):
    """The part of a stream that the server needs to stop it."""

    def go_away(self) -> None:
        """Ask the client to reconnect later."""
        ...

    def abort(self) -> None:
        """Abort the connection."""
        ...


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True)
class State:
    """The components of one server."""

    config: ServerConfig
    catalog: Catalog
    gate: Gate
    metrics: Metrics
    page: WebPage | None = None  # None if it is not built
    streams: set[OpenStream] = field(default_factory=set)
    all_streams_gone: asyncio.Event = field(default_factory=_set_event)
    is_closing: bool = False

    def enter(self, stream: OpenStream) -> None:
        """Register an open stream."""
        self.streams.add(stream)
        self.all_streams_gone.clear()
        self.metrics.streams.set(len(self.streams))

    def leave(self, stream: OpenStream) -> None:
        """Remove a stream that has ended."""
        self.streams.discard(stream)
        if not self.streams:
            self.all_streams_gone.set()
        self.metrics.streams.set(len(self.streams))


STATE: web.AppKey[State] = web.AppKey("state", State)

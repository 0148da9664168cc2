"""What the handlers of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from exgs.server.catalog import Catalog
from exgs.server.config import ServerConfig
from exgs.server.gate import Gate
from exgs.server.metrics import Metrics

if TYPE_CHECKING:
    from exgs.server.streams import Stream


@dataclass(slots=True)
class State:
    """One server's parts."""

    config: ServerConfig
    catalog: Catalog
    gate: Gate
    metrics: Metrics
    streams: set[Stream] = field(default_factory=set)
    is_closing: bool = False


STATE: web.AppKey[State] = web.AppKey("state", State)

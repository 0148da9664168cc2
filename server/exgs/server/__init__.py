"""The server: .exgs files by range requests and streams, from a folder or an object store.

>>> import asyncio
>>> from exgs.server import ServerConfig, serve
>>> asyncio.run(serve(ServerConfig("scenes", port=8080)))                     # doctest: +SKIP

`serve` runs until SIGTERM or SIGINT. `start` runs in the event loop of another program.
`create_app` returns an aiohttp application that can be mounted in another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exgs.scene.lazy import lazy_names

if TYPE_CHECKING:
    from exgs.server.app import RunningServer, create_app, serve, start
    from exgs.server.config import Patience, Quota, ServerConfig
    from exgs.server.storage import RootError

__all__ = [
    "Patience",
    "Quota",
    "RootError",
    "RunningServer",
    "ServerConfig",
    "create_app",
    "serve",
    "start",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Patience": "exgs.server.config",
        "Quota": "exgs.server.config",
        "RootError": "exgs.server.storage",
        "RunningServer": "exgs.server.app",
        "ServerConfig": "exgs.server.config",
        "create_app": "exgs.server.app",
        "serve": "exgs.server.app",
        "start": "exgs.server.app",
    },
)

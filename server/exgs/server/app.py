"""The whole server: routes, start, graceful shutdown.

`serve` runs it until SIGTERM or SIGINT. `start` runs it in the event loop of another program.
`create_app` returns the application alone, to be mounted in another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from exgs.server.access import check_metrics, cross_origin_headers
from exgs.server.catalog import Catalog
from exgs.server.config import ServerConfig
from exgs.server.express import express
from exgs.server.files import get_file, get_poster, list_scenes
from exgs.server.gate import Gate, address_of
from exgs.server.log import OneLineRefusals
from exgs.server.metrics import Metrics
from exgs.server.pages import add_slash, get_asset, get_element, get_home, get_scene_page
from exgs.server.remote import RemoteFile, add_remote
from exgs.server.state import STATE, State
from exgs.server.streams import stream_scene
from exgs.server.web_page import ELEMENT, load_page

_BACKLOG = 1024  # connections waiting to be accepted
_GONE = 499  # like nginx: the client closed the connection before the end of the response

log = logging.getLogger("exgs.server")
_http_log = logging.getLogger("exgs.server.http")
_http_log.addFilter(OneLineRefusals())


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts connections."""

    host: str
    port: int
    scheme: str

    @property
    def url(self) -> str:
        """http://HOST:PORT."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def create_app(config: ServerConfig, *, remote: RemoteFile | None = None) -> web.Application:
    """Create the application. Its catalogue is empty until startup, which may raise RootError.

    `remote` is a file of another server, to be forwarded.

    Limits on connections, on the time for a request's head and on slow readers work only with
    `serve` and `start`, which accept the connections themselves.
    """
    metrics = Metrics()
    app = web.Application(middlewares=[_middleware])
    app[STATE] = State(config, Catalog(config.root), Gate(config, metrics), metrics, load_page())
    app.add_routes(
        [
            web.get("/", get_home),
            web.get("/assets/{file:[^/]+}", get_asset),
            web.get(f"/{ELEMENT}", get_element),
            web.get("/scenes", list_scenes),
            web.get("/scenes/{file:[^/]+}.exgs", get_file),
            web.get("/scenes/{name:[^/]+}", add_slash),
            web.get("/scenes/{name:[^/]+}/", get_scene_page),
            web.get("/scenes/{name:[^/]+}/poster", get_poster),
            web.get("/scenes/{name:[^/]+}/stream", stream_scene, allow_head=False),
            web.get("/healthz", _healthz),
            web.get("/readyz", _readyz),
            web.get("/metrics", _metrics),
        ]
    )
    if remote is not None:
        add_remote(app, remote)
    app.on_response_prepare.append(_add_headers)
    app.cleanup_ctx.append(_catalog)
    app.on_shutdown.append(_send_away)
    return app


@asynccontextmanager
async def start(
    config: ServerConfig, *, remote: RemoteFile | None = None
) -> AsyncIterator[RunningServer]:
    """Run a server in this event loop. Raises OSError, RootError."""
    app = create_app(config, remote=remote)
    state = app[STATE]
    patience = config.patience
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_http_log,
        keepalive_timeout=patience.idle_s,
        lingering_time=0,
        shutdown_timeout=patience.shutdown_s / 4,
    )
    await runner.setup()
    try:
        if runner.server is None:
            raise RuntimeError("the runner is not set up")
        listener = await asyncio.get_running_loop().create_server(
            state.gate.protocol_factory(runner.server, partial(express, state)),
            config.host,
            config.port,
            ssl=config.tls,
            ssl_handshake_timeout=patience.head_s if config.tls else None,
            backlog=_BACKLOG,
        )
        sweeping = asyncio.create_task(state.gate.sweep())
        try:
            host, port = listener.sockets[0].getsockname()[:2]
            yield RunningServer(host, port, "https" if config.tls else "http")
        finally:
            listener.close()
            sweeping.cancel()
    finally:
        await runner.cleanup()


async def serve(
    config: ServerConfig,
    *,
    ready: Callable[[str, int], None] | None = None,
    remote: RemoteFile | None = None,
) -> None:
    """Run a server until SIGTERM or SIGINT. Raises OSError, RootError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with start(config, remote=remote) as server:
            log.info("serving", extra={"url": server.url})
            if ready is not None:
                ready(server.host, server.port)
            await stop.wait()
            log.info("stopping")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@web.middleware
async def _middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware for every request: rate limit, cross-origin headers, metrics, log."""
    state = request.app[STATE]
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    peer = address_of(request.transport)
    state.gate.request_begins(request)
    status, sent_bytes = _GONE, 0
    try:
        if not state.gate.is_request_allowed(peer):
            raise web.HTTPTooManyRequests(headers={hdrs.RETRY_AFTER: "1"})
        is_preflight = request.method == hdrs.METH_OPTIONS
        response = web.Response(status=204) if is_preflight else await handler(request)
        status = response.status
        if request.method != hdrs.METH_HEAD:
            sent_bytes = response.content_length or 0
        return response
    except web.HTTPException as error:
        status = error.status
        raise
    except ConnectionError:
        return web.Response(status=_GONE)  # not delivered
    except Exception:
        status = 500
        raise
    finally:
        state.gate.request_ends(request)
        state.metrics.count_answer(status)
        if log.isEnabledFor(logging.INFO):
            seen = {
                "peer": peer,
                "method": request.method,
                "path": request.path,
                "status": status,
                "bytes": sent_bytes,
                "duration_s": round(loop.time() - start_s, 4),
            }
            log.info("request", extra=seen)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "exgs"
    varies = response.headers.get(hdrs.VARY)
    response.headers.update(cross_origin_headers(request.app[STATE].config, request))
    if varies and response.headers[hdrs.VARY] != varies:
        response.headers[hdrs.VARY] = f"{varies}, {response.headers[hdrs.VARY]}"


async def _healthz(_request: web.Request) -> web.Response:
    """GET /healthz: 200 while the process runs."""
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    """GET /readyz: 200 while the catalogue is loaded and the server is not stopping."""
    if request.app[STATE].is_closing:
        raise web.HTTPServiceUnavailable(text="stopping\n")
    return web.Response(text="ready\n")


async def _metrics(request: web.Request) -> web.Response:
    state = request.app[STATE]
    check_metrics(state.config, request)
    state.metrics.scenes.set(len(state.catalog.scenes))
    state.metrics.refused_files.set(state.catalog.refused_count)
    return web.Response(
        body=generate_latest(state.metrics.registry),
        headers={hdrs.CONTENT_TYPE: CONTENT_TYPE_LATEST},
    )


async def _catalog(app: web.Application) -> AsyncIterator[None]:
    """Read the folder at startup and watch it."""
    state = app[STATE]
    await asyncio.to_thread(state.catalog.refresh)
    watching = asyncio.create_task(state.catalog.watch(state.config.reload_s))
    yield
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


async def _send_away(app: web.Application) -> None:
    """Ask all streams to reconnect later."""
    state = app[STATE]
    state.is_closing = True
    for stream in list(state.streams):
        stream.go_away()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(state.config.patience.shutdown_s / 2):
            await state.all_streams_gone.wait()
    for stream in list(state.streams):
        stream.abort()

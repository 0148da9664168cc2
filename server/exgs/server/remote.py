"""One file on another server, forwarded to the viewer page.

A page may read from another server only if that server permits it (CORS). `exgs view URL` therefore
has its own server read the file. Only this file is forwarded, and only ranges of it that the page
asks for are fetched.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
from aiohttp import hdrs, web

PATH = "/remote/scene.exgs"

_ASKED = (hdrs.RANGE, hdrs.IF_MATCH, hdrs.IF_RANGE)
_ANSWERED = (
    hdrs.CONTENT_TYPE,
    hdrs.CONTENT_LENGTH,
    hdrs.CONTENT_RANGE,
    hdrs.ACCEPT_RANGES,
    hdrs.ETAG,
    hdrs.RETRY_AFTER,
)
_PIECE_BYTES = 32 << 10
_CONNECT_S = 10.0
_SILENCE_S = 30.0


@dataclass(frozen=True)
class RemoteFile:
    """A URL, the headers that its server wants, such as Authorization, and trusted certificates.

    Without `tls`, the certificates that the system trusts.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None


def add_remote(app: web.Application, remote: RemoteFile) -> None:
    """Forward `remote` at PATH."""
    app.router.add_get(PATH, _get_remote)
    app[_REMOTE] = remote
    app.cleanup_ctx.append(_session)


_REMOTE = web.AppKey("remote", RemoteFile)
_SESSION = web.AppKey("session", aiohttp.ClientSession)


async def _session(app: web.Application) -> AsyncIterator[None]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_SILENCE_S)
    # Bytes are forwarded as they come; an encoded body would have other ranges.
    headers = {hdrs.ACCEPT_ENCODING: "identity"}
    async with aiohttp.ClientSession(
        headers=headers, timeout=timeout, auto_decompress=False, trust_env=True
    ) as session:
        app[_SESSION] = session
        yield


async def _get_remote(request: web.Request) -> web.StreamResponse:
    """GET and HEAD of the remote file."""
    remote = request.app[_REMOTE]
    asked = {str(name): request.headers[name] for name in _ASKED if name in request.headers}
    try:
        async with request.app[_SESSION].request(
            request.method, remote.url, headers={**remote.headers, **asked}, ssl=remote.tls or True
        ) as answer:
            found = {name: answer.headers[name] for name in _ANSWERED if name in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=found)
            response.headers[hdrs.CACHE_CONTROL] = "no-cache"
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    await response.write(piece)
            await response.write_eof()
            return response
    except (aiohttp.ClientError, TimeoutError) as error:
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError("the page has gone") from error
        text = f"{remote.url} can't be read: {str(error) or type(error).__name__}\n"
        return web.Response(status=HTTPStatus.BAD_GATEWAY, text=text)

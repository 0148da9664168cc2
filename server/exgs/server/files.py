"""The static profile: the list of scenes, and files by range requests.

Bytes are written in pieces that the client must read in time. So a slow reader takes the memory of
one piece, and a stalled reader is disconnected.
"""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import quote

from aiohttp import hdrs, web

from exgs.server.access import check, may_read
from exgs.server.catalog import Scene
from exgs.server.conditions import Answer, decide
from exgs.server.state import STATE, State
from exgs.server.storage import UnreadableError

_PIECE_BYTES = 32 << 10
AT_ONCE_BYTES = 64 << 10  # written together with the head
_HASH_DIGITS = 32
_YEAR_S = 31_536_000

log = logging.getLogger("exgs.server")


async def list_scenes(request: web.Request) -> web.Response:
    """GET /scenes."""
    state = request.app[STATE]
    await check(state.config, request)
    scenes = [
        entry_of(scene, state.config.prefix)
        for scene in state.catalog.scenes
        if await may_read(state.config, request, scene.name)
    ]
    return web.json_response({"scenes": scenes}, headers={hdrs.CACHE_CONTROL: "no-cache"})


async def get_file(request: web.Request) -> web.StreamResponse:
    """GET and HEAD of /scenes/NAME.exgs and of /scenes/NAME.HASH.exgs.

    Raises ConnectionError if the connection ends before the response is complete.
    """
    state = request.app[STATE]
    name = request.match_info["file"]
    scene, is_immutable = find_scene(state, name)
    await check(state.config, request, name if scene is None else scene.name)
    if scene is None:
        raise web.HTTPNotFound
    answer = decide(request.method, request.headers, f'"{scene.hash}"', scene.size_bytes)
    headers = answer_headers(state, scene, answer, is_immutable=is_immutable)
    if answer.status not in (200, 206):
        return web.Response(status=answer.status, headers=headers)
    return await _send(request, scene, answer, headers)


async def get_poster(request: web.Request) -> web.Response:
    """GET and HEAD of /scenes/NAME/poster."""
    state = request.app[STATE]
    name = request.match_info["name"]
    await check(state.config, request, name)
    scene = state.catalog.get(name)
    if scene is None or scene.poster is None:
        raise web.HTTPNotFound
    poster = scene.poster
    answer = decide(request.method, request.headers, poster.etag, len(poster.data))
    headers = {
        hdrs.ETAG: poster.etag,
        hdrs.CACHE_CONTROL: _cache_control(state, False),
        hdrs.CONTENT_TYPE: poster.content_type,
        "X-Content-Type-Options": "nosniff",
    }
    if answer.status in (304, 412):
        return web.Response(status=answer.status, headers=headers)
    return web.Response(body=poster.data, headers=headers)


def find_scene(state: State, name: str) -> tuple[Scene | None, bool]:
    """The scene of NAME or NAME.HASH, and whether the name is immutable."""
    scene = state.catalog.get(name)
    if scene is not None:
        return scene, False
    name, dot, digest = name.rpartition(".")
    if dot and len(digest) == _HASH_DIGITS:
        scene = state.catalog.get(name)
    return (scene, True) if scene is not None and scene.hash == digest else (None, False)


def answer_headers(
    state: State, scene: Scene, answer: Answer, *, is_immutable: bool
) -> dict[str, str]:
    """Headers of a response about a file."""
    headers = {
        hdrs.ETAG: f'"{scene.hash}"',
        hdrs.ACCEPT_RANGES: "bytes",
        hdrs.CACHE_CONTROL: _cache_control(state, is_immutable),
        hdrs.CONTENT_TYPE: "application/octet-stream",
        "X-Content-Type-Options": "nosniff",
    }
    if answer.status == 206:
        last = answer.end - 1
        headers[hdrs.CONTENT_RANGE] = f"bytes {answer.start}-{last}/{scene.size_bytes}"
    elif answer.status == 416:
        headers[hdrs.CONTENT_RANGE] = f"bytes */{scene.size_bytes}"
    return headers


async def _send(
    request: web.Request, scene: Scene, answer: Answer, headers: dict[str, str]
) -> web.StreamResponse:
    state = request.app[STATE]
    length = answer.end - answer.start
    has_body = request.method != hdrs.METH_HEAD
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = length
    start = answer.start if has_body else answer.end
    try:
        if has_body and length <= AT_ONCE_BYTES:
            body = await scene.read(start, length)
            response = web.Response(status=answer.status, headers=headers, body=body)
            start = answer.end
            state.metrics.file_bytes.inc(length)
        else:
            await response.prepare(request)
        while start < answer.end:
            piece = await scene.read(start, min(_PIECE_BYTES, answer.end - start))
            start += len(piece)
            await response.write(piece)
            state.metrics.file_bytes.inc(len(piece))
            await asyncio.sleep(0)  # let other tasks run, even if this reader never makes us wait
        await response.prepare(request)
        await response.write_eof()
    except UnreadableError as error:
        log.error("scene can't be read", extra={"scene": scene.name, "error": str(error)})
        state.gate.drop(request.transport, "file")  # the only way to end it early
        raise ConnectionAbortedError(str(error)) from error
    return response


def _cache_control(state: State, is_immutable: bool) -> str:
    is_public = state.config.token is None and state.config.authorize is None
    who = "public" if is_public else "private"
    if is_immutable:
        return f"{who}, max-age={_YEAR_S}, immutable, no-transform"
    return f"{who}, no-cache, no-transform"


def entry_of(scene: Scene, prefix: str = "") -> dict[str, object]:
    """The entry of a scene in the list. `prefix` is the path before those of its URLs."""
    facts = scene.plan.facts
    place = f"{prefix}/scenes/{quote(scene.name, safe='')}"
    poster = {} if scene.poster is None else {"poster": f"{place}/poster"}
    return {
        "name": scene.name,
        "bytes": scene.size_bytes,
        "hash": scene.hash,
        "url": f"{place}.exgs",
        "stream": f"{place}/stream",
        **poster,
        "layers": len(facts.layers),
        "count": facts.leaf_count,
        "sh_degree": facts.sh_degree,
        "credit": facts.credit,
        "license": facts.license,
    }

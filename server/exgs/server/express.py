"""A fast path for plain requests of one small range, which bypasses the web framework.

Static clients send mostly such requests, and the framework took half of their time. For any other
request `express` returns None, and the framework handles it. Both give the same responses.
"""

from __future__ import annotations

import logging
import re
import time

from aiohttp import hdrs
from aiohttp.helpers import rfc822_formatted_time

from exgs.server.conditions import decide
from exgs.server.files import AT_ONCE_BYTES, answer_headers, find_scene
from exgs.server.state import State
from exgs.server.storage import UnreadableError

_REQUEST = re.compile(
    r"GET (/scenes/([A-Za-z0-9_-]+(?:\.[0-9a-f]{32})?)\.exgs) HTTP/1\.1\r\n"
    r"((?:[A-Za-z-]+: [\x21-\x7e](?:[\x20-\x7e]{0,500}[\x21-\x7e])?\r\n){2,24})\r\n"
)
_RANGE = re.compile(r"bytes=\d{1,15}-\d{1,15}")
# Headers that do not change such a response.
_INERT = {"accept", "accept-encoding", "accept-language", "cache-control", "dnt", "host", "pragma"}
_INERT |= {"priority", "referer", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"}
_INERT |= {"user-agent"}
_KNOWN = frozenset(_INERT | {"range", "if-match", "connection"})

log = logging.getLogger("exgs.server")


def express(state: State, data: bytes, address: str) -> bytes | None:
    """The whole response to a request that arrived in one piece; None: use the framework."""
    start_s = time.monotonic()
    config = state.config
    if config.token is not None or config.authorize is not None or state.is_closing:
        return None
    found = _REQUEST.fullmatch(data.decode("latin-1"))
    if found is None:
        return None
    asked: dict[str, str] = {}
    for line in found[3].split("\r\n")[:-1]:
        name, _, value = line.partition(": ")
        name = name.lower()
        if name in asked:
            return None
        asked[name] = value
    wanted = asked.get("range", "")
    if "host" not in asked or not _RANGE.fullmatch(wanted):
        return None
    if asked.get("connection", "keep-alive").lower() != "keep-alive":
        return None
    if not asked.keys() <= _KNOWN:
        return None
    scene, is_immutable = find_scene(state, found[2])
    if scene is None:
        return None
    conditions: dict[str, str] = {hdrs.RANGE: wanted}
    if "if-match" in asked:
        conditions[hdrs.IF_MATCH] = asked["if-match"]
    answer = decide("GET", conditions, f'"{scene.hash}"', scene.size_bytes)
    length = answer.end - answer.start
    if answer.status != 206 or length > AT_ONCE_BYTES:
        return None
    try:
        body = scene.read_at_once(answer.start, length)
    except UnreadableError:
        return None
    # The framework counts the requests that it handles and refuses those beyond the limit.
    if body is None or not state.gate.is_request_allowed(address):
        return None
    headers = answer_headers(state, scene, answer, is_immutable=is_immutable)
    if config.cors_origins:
        headers[hdrs.VARY] = hdrs.ORIGIN
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    state.metrics.file_bytes.inc(length)
    state.metrics.count_answer(206)
    if log.isEnabledFor(logging.INFO):
        seen = {"peer": address, "method": "GET", "path": found[1], "status": 206, "bytes": length}
        duration_s = round(time.monotonic() - start_s, 4)
        log.info("request", extra={**seen, "duration_s": duration_s})
    front = (
        f"HTTP/1.1 206 Partial Content\r\n{head}Content-Length: {length}\r\n"
        f"Date: {rfc822_formatted_time()}\r\nServer: exgs\r\n\r\n"
    )
    return front.encode("latin-1") + body

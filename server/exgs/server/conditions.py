"""Range and conditional headers of RFC 9110, without a server: headers in, decision out.

Only single ranges are supported. Several ranges, or an invalid one, give the whole file, as the RFC
allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_RANGE = re.compile(r"bytes\s*=\s*(\d{0,19})-(\d{0,19})", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'\s*(W/)?("[^"]*")\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Answer:
    """The status and the bytes of a response."""

    status: int  # 200, 206, 304, 412, 416
    start: int = 0
    end: int = 0


def decide(method: str, headers: Mapping[str, str], etag: str, size_bytes: int) -> Answer:
    """The response to GET or HEAD for a file with this strong ETag (RFC 9110, section 13.2.2)."""
    match = headers.get("If-Match")
    if match is not None and not _matches(match, etag, weak=False):
        return Answer(412)
    none_match = headers.get("If-None-Match")
    if none_match is not None and _matches(none_match, etag, weak=True):
        return Answer(304)
    wanted = headers.get("Range")
    if_range = headers.get("If-Range")
    if method != "GET" or wanted is None or (if_range is not None and if_range.strip() != etag):
        return Answer(200, 0, size_bytes)
    return _range(wanted, size_bytes)


def _matches(condition: str, etag: str, *, weak: bool) -> bool:
    if condition.strip() == "*":
        return True
    position = 0
    while found := _TAG.match(condition, position):
        position = found.end()
        if found[2] == etag and (weak or found[1] is None):
            return True
    return False


def _range(wanted: str, size_bytes: int) -> Answer:
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or not (found[1] or found[2]):
        return Answer(200, 0, size_bytes)
    if not found[1]:
        length = min(int(found[2]), size_bytes)
        return Answer(206, size_bytes - length, size_bytes) if length else Answer(416)
    start = int(found[1])
    end = min(int(found[2]) + 1, size_bytes) if found[2] else size_bytes
    if found[2] and int(found[2]) < start:
        return Answer(200, 0, size_bytes)  # not a range
    return Answer(206, start, end) if start < size_bytes else Answer(416)

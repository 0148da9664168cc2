"""Requests that bypass the framework get the same answers as with the framework."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.server import app
from exgs.server.catalog import Scene
from exgs.server.config import Quota
from exgs.server.express import express
from exgs.server.state import State
from tests.server.support import Site, on_site, serving

HOST = "Host: x\r\n"
RANGE = "Range: bytes=10-99\r\n"


def _request(target: str, *headers: str, first: str = "GET", version: str = "1.1") -> bytes:
    return f"{first} {target} HTTP/{version}\r\n{''.join(headers)}\r\n".encode("latin-1")


def _box(*headers: str, **line: str) -> bytes:
    return _request("/scenes/box.exgs", *headers, **line)


PLAIN = [
    _box(HOST, RANGE),
    _box(HOST, "range: bytes=0-0\r\n"),
    _box(HOST, "Range: bytes=5000-70000\r\n"),
    _box(HOST, "User-Agent: a b\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n", RANGE),
    _box(HOST, RANGE, "If-Match: *\r\n"),
    _box(HOST, RANGE, "Connection: keep-alive\r\n"),
]
OTHERS = [
    _box(RANGE),
    _box(HOST, HOST, RANGE),
    _box(HOST),
    _box(HOST, RANGE, RANGE),
    _box(HOST, "Range: bytes=-5\r\n"),
    _box(HOST, "Range: bytes=9-3\r\n"),
    _box(HOST, "Range: bytes=999999-\r\n"),
    _box(HOST, "Range: bytes=999999-9999999\r\n"),
    _box(HOST, "Range: bytes=0-1,4-5\r\n"),
    _box(HOST, "Range: bytes=0-100000\r\n"),
    _box(HOST, RANGE, 'If-Match: "other"\r\n'),
    _box(HOST, RANGE, "If-None-Match: *\r\n"),
    _box(HOST, RANGE, 'If-Range: "other"\r\n'),
    _box(HOST, RANGE, "Origin: https://a.example\r\n"),
    _box(HOST, RANGE, "Connection: close\r\n"),
    _box(HOST, RANGE, "Content-Length: 0\r\n"),
    _box(HOST, RANGE, "X-Other : y\r\n"),
    _box(HOST, RANGE, "A: b\r\n c\r\n"),
    _box(HOST, RANGE, first="HEAD"),
    _box(HOST, RANGE, first="POST"),
    _box(HOST, RANGE, version="1.0"),
    _request("/scenes/%62ox.exgs", HOST, RANGE),
    _request("/scenes/box.exgs?a", HOST, RANGE),
    _request("/scenes/none.exgs", HOST, RANGE),
    _request("/scenes/box.00000000000000000000000000000000.exgs", HOST, RANGE),
    _request("/scenes/../scenes/box.exgs", HOST, RANGE),
    _request("http://x/scenes/box.exgs", HOST, RANGE),
    b"GET /scenes/box.exgs HTTP/1.1\nHost: x\nRange: bytes=10-99\n\n",
]


Answer = tuple[str, dict[str, str], bytes]


async def _answer(reader: asyncio.StreamReader, has_body: bool) -> Answer:
    """Status, headers without the date, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status, *lines = head.split("\r\n")[:-2]
    headers = dict(line.split(": ", 1) for line in lines)
    headers.pop("Date", None)
    length = int(headers.get("Content-Length", 0)) if has_body else 0
    return status, headers, await reader.readexactly(length)


async def _ask(site: Site, *pieces: bytes, answers: int = 1) -> list[Answer]:
    """Send `pieces` over one connection and return the answers."""
    reader, writer = await asyncio.open_connection(site.server.host, site.server.port)
    try:
        async with asyncio.timeout(5):
            for piece in pieces:
                writer.write(piece)
                if len(pieces) > 1:
                    await site.settle()  # the server receives each on its own
            return [
                await _answer(reader, not pieces[0].startswith(b"HEAD")) for _ in range(answers)
            ]
    finally:
        writer.close()


class _Counted:
    """Calls `express` and counts its answers."""

    def __init__(self) -> None:
        self.answered = 0

    def __call__(self, state: State, data: bytes, address: str) -> bytes | None:
        answer = express(state, data, address)
        self.answered += answer is not None
        return answer


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> _Counted:
    counter = _Counted()
    monkeypatch.setattr(app, "express", counter)
    return counter


def _compared(
    root: Path, monkeypatch: pytest.MonkeyPatch, requests: list[bytes], **options: Any
) -> int:
    """Compare the answers with and without the fast path; return how often it was used."""
    counter = _Counted()

    async def main() -> None:
        monkeypatch.setattr(app, "express", counter)
        async with serving(root, **options) as short:
            monkeypatch.setattr(app, "express", lambda *_: None)
            async with serving(root, **options) as long:
                for request in requests:
                    assert await _ask(short, request) == await _ask(long, request), request

    asyncio.run(main())
    return counter.answered


def test_plain_requests_use_the_fast_path_with_equal_answers(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _compared(root, monkeypatch, PLAIN) == len(PLAIN)
    with_origins = {"cors_origins": ("https://a.example",)}
    assert _compared(root, monkeypatch, PLAIN[:1], **with_origins) == 1


def test_other_requests_use_the_framework(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _compared(root, monkeypatch, OTHERS) == 0
    with_origins = {"cors_origins": ("https://a.example",)}
    assert _compared(root, monkeypatch, OTHERS[13:14], **with_origins) == 0
    assert _compared(root, monkeypatch, PLAIN[:2], token="secret") == 0


def test_the_hook_is_called_on_both_paths(root: Path, counted: _Counted) -> None:
    async def refuse(*_: object) -> bool:
        return False

    async def main(site: Site) -> None:
        ((status, _, _),) = await _ask(site, PLAIN[0])
        assert status == "HTTP/1.1 403 Forbidden"

    on_site(root, main, authorize=refuse)
    assert counted.answered == 0


def test_answers_come_in_the_order_of_requests(
    root: Path, box_bytes: bytes, counted: _Counted
) -> None:
    def of(first: int, *headers: str) -> bytes:
        return _box(HOST, f"Range: bytes={first}-{first + 4999}\r\n", *headers)

    odd = of(20_000, "X-Other: y\r\n")
    whole = [of(0), of(10_000), odd, of(30_000)]
    wanted = [box_bytes[start : start + 5000] for start in (0, 10_000, 20_000, 30_000)]

    async def main(site: Site) -> None:
        stream = b"".join(whole)
        cuts = [whole, [stream], [stream[:50], stream[50:]], [whole[0] + whole[1], odd, whole[3]]]
        for pieces in cuts:
            bodies = [body for _, _, body in await _ask(site, *pieces, answers=4)]
            assert bodies == wanted, pieces

    on_site(root, main)
    assert counted.answered == 2


def test_quotas_and_metrics_work_on_the_fast_path(root: Path, counted: _Counted) -> None:
    async def main(site: Site) -> None:
        for _ in range(6):
            await _ask(site, PLAIN[0])
        ((status, _, _),) = await _ask(site, PLAIN[0])
        assert status == "HTTP/1.1 429 Too Many Requests"
        await site.advance(2)  # the requests that ask for metrics count as well
        assert await site.metric('exgs_http_answers_total{status="206"}') == 6
        assert await site.metric("exgs_file_bytes_total") == 6 * 90

    on_site(root, main, quota=Quota(requests_per_s=3, unlimited_addresses=frozenset()))
    assert counted.answered == 6


def test_a_request_passed_to_the_framework_counts_once(
    root: Path, counted: _Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with an object store, whose reads are asynchronous."""
    monkeypatch.setattr(Scene, "read_at_once", lambda *_: None)

    async def main(site: Site) -> None:
        for _ in range(6):
            ((status, _, _),) = await _ask(site, PLAIN[0])
            assert status == "HTTP/1.1 206 Partial Content"
        ((status, _, _),) = await _ask(site, PLAIN[0])
        assert status == "HTTP/1.1 429 Too Many Requests"

    on_site(root, main, quota=Quota(requests_per_s=3, unlimited_addresses=frozenset()))
    assert counted.answered == 0


@given(
    st.sampled_from(PLAIN),
    st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_only_plain_requests_match(plain: bytes, changes: list[tuple[int, bytes, int]]) -> None:
    """After any change, a match has each header once, a range, and nothing after the head."""
    from exgs.server.express import _REQUEST

    data = plain
    for place, new, gone in changes:
        data = data[:place] + new + data[place + gone :]
    found = _REQUEST.fullmatch(data.decode("latin-1"))
    if found is not None:
        assert data.endswith(b"\r\n\r\n")
        assert data.count(b"\r\n\r\n") == 1
        assert data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r")
        assert b"\0" not in data
        assert ".." not in found[2]

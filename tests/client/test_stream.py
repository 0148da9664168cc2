"""Streaming end to end: from a server through links that are slow or break, to measured frames."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from exgs.client.errors import SceneChangedError, StreamError
from exgs.client.link import Link, parse_link
from exgs.client.link_proxy import LinkProxy
from exgs.present.stream import StreamOptions, stream
from exgs.scene.camera import look_at, pinhole
from tests.client.scenes import write_box
from tests.client.threads import on_thread

CAMERA = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(96, 64, 70), 96, 64)
OPTIONS = StreamOptions(choose_camera=lambda *_: CAMERA)


class Site:
    """A plain server of files by ranges, and a proxy to it whose connections can be broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ranges: list[str] = []  # of the requests, "" where there was none
        self.break_on_request: list[int] = []  # shortly after these, counted from 1
        self.ignore_ranges = False
        self.has_etag = True
        self.retry_after: str | None = None  # with which every request is sent away
        self.redirect = ""  # to which requests for /moved are sent on
        self.hosts: set[str] = set()  # what requests said in Host and Authorization
        self.authorizations: set[str] = set()
        self.on_request: Callable[[], None] = lambda: None
        self.alter: Callable[[web.Request, web.Response], web.Response] = lambda _, answer: answer
        self.url = ""
        self.proxy: LinkProxy | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range", ""))
        self.hosts.add(request.headers["Host"])
        self.authorizations.add(request.headers.get("Authorization", ""))
        self.on_request()
        if self.retry_after is not None:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": self.retry_after})
        if request.match_info["name"] == "moved":
            return web.Response(status=302, headers={"Location": self.redirect})
        if len(self.ranges) in self.break_on_request and self.proxy is not None:
            asyncio.get_running_loop().call_later(0.05, self.proxy.reset_connections)
        path = self.folder / request.match_info["name"]
        if not path.exists():
            raise web.HTTPNotFound
        data = path.read_bytes()
        if self.ignore_ranges:
            return web.Response(body=data)
        etag = f'"{hashlib.sha256(data).hexdigest()}"'
        if self.has_etag and request.headers.get("If-Match", etag) != etag:
            raise web.HTTPPreconditionFailed
        response = _part(data, request.http_range)
        if self.has_etag:
            response.headers["ETag"] = etag
        return self.alter(request, response)

    async def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        app = web.Application()
        app.router.add_get("/{name}", self.answer)
        runner = web.AppRunner(app, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        async with LinkProxy(Link(20e6), host, port) as proxy:
            self.url = "http://{}:{}".format(*proxy.address)
            self.proxy = proxy
            ready.set()
            await stop.wait()
        await runner.cleanup()


def _part(data: bytes, wanted: slice) -> web.Response:
    if wanted.start is None:
        return web.Response(body=data)
    if wanted.start >= len(data):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    end = min(wanted.stop or len(data), len(data))
    place = f"bytes {wanted.start}-{end - 1}/{len(data)}"
    return web.Response(status=206, body=data[wanted.start : end], headers={"Content-Range": place})


@contextmanager
def served(folder: Path) -> Iterator[Site]:
    """A Site on a thread of its own."""
    site = Site(folder)
    with on_thread(site.run):
        yield site


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    write_box(folder / "box.exgs", 6000)
    return folder


def test_a_static_server_streams_frames_and_measurements(box: Path, tmp_path: Path) -> None:
    with served(box) as site:
        report = stream(
            f"{site.url}/box.exgs", tmp_path, replace(OPTIONS, link=parse_link("4mbit,10ms"))
        )
    size = (box / "box.exgs").stat().st_size
    assert site.ranges[0] == "bytes=0-65535"
    assert len(site.ranges) <= 1 + size // 16384  # no request for a trifle
    assert report.received_bytes == report.file_bytes == size
    assert report.received_s >= size * 8 / 4e6 + 0.04
    with (tmp_path / "quality.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == sorted(p.name for p in tmp_path.glob("frame_*.png"))
    assert rows[-1]["psnr_db"] == "inf"
    assert len(rows) >= 3
    assert all(path.exists() for path in report.files)


def test_a_server_without_ranges_does_as_well(box: Path, tmp_path: Path) -> None:
    with served(box) as site:
        site.ignore_ranges = True
        report = stream(f"{site.url}/box.exgs", tmp_path, OPTIONS)
    assert report.rows[-1].psnr_db == float("inf")


def test_a_broken_connection_resumes_and_fetches_nothing_twice(box: Path, tmp_path: Path) -> None:
    link = parse_link("2mbit,5ms")
    with served(box) as site:
        site.break_on_request = [1, 3]
        report = stream(f"{site.url}/box.exgs", tmp_path, replace(OPTIONS, link=link))
    assert report.reconnections >= 1
    assert report.received_bytes == report.file_bytes
    assert report.rows[-1].psnr_db == float("inf")


@pytest.mark.parametrize("has_etag", [True, False])
def test_a_file_that_changes_meanwhile_is_never_mixed_in(
    box: Path, tmp_path: Path, has_etag: bool
) -> None:
    folder = tmp_path / "changing"
    folder.mkdir()
    (folder / "box.exgs").write_bytes((box / "box.exgs").read_bytes())
    with served(folder) as site:
        site.break_on_request = [2]
        site.has_etag = has_etag

        def change() -> None:
            if len(site.ranges) == 3:
                write_box(folder / "box.exgs", 6000, seed=5)

        site.on_request = change
        options = replace(OPTIONS, link=parse_link("2mbit,5ms"))
        with pytest.raises(SceneChangedError, match="start again"):
            stream(f"{site.url}/box.exgs", tmp_path / "out", options)


@pytest.mark.parametrize(
    "later",
    [
        lambda data, _: web.Response(body=data + b"and more"),
        lambda _data, _answer: web.Response(status=416, headers={"Content-Range": "bytes */9"}),
        lambda _data, _answer: web.Response(status=416),
    ],
    ids=["length", "end", "no range"],
)
def test_an_answer_of_another_file_is_told_from_one_of_this(
    box: Path, tmp_path: Path, later: Callable[[bytes, web.Response], web.Response]
) -> None:
    data = (box / "box.exgs").read_bytes()
    with served(box) as site:
        site.alter = lambda _, answer: later(data, answer) if len(site.ranges) > 1 else answer
        with pytest.raises(SceneChangedError, match="start again"):
            stream(f"{site.url}/box.exgs", tmp_path, OPTIONS)


def test_a_file_that_was_uploaded_in_part_is_no_changed_one(box: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    folder.mkdir()
    (folder / "box.exgs").write_bytes((box / "box.exgs").read_bytes()[:70_000])
    with served(folder) as site, pytest.raises(StreamError, match="ends at byte 70000") as caught:
        stream(f"{site.url}/box.exgs", tmp_path / "out", OPTIONS)
    assert not isinstance(caught.value, SceneChangedError)


def test_a_damaged_part_is_asked_for_past_the_cache_that_holds_it(
    box: Path, tmp_path: Path
) -> None:
    fresh: list[str] = []

    def alter(request: web.Request, answer: web.Response) -> web.Response:
        if request.headers.get("Cache-Control") == "no-cache":
            fresh.append(request.headers["Range"])
        elif len(site.ranges) > 1:
            body = answer.body
            assert isinstance(body, bytes)
            answer.body = bytes([body[0] ^ 1]) + body[1:]
        return answer

    with served(box) as site:
        site.alter = alter
        report = stream(f"{site.url}/box.exgs", tmp_path, OPTIONS)
    assert report.rows[-1].psnr_db == float("inf")
    assert report.reconnections == 0  # nothing else had to wait for it
    assert 0 < len(fresh) < len(site.ranges) - 1


@pytest.mark.parametrize(
    ("target", "message"),
    [("/moved", "redirects"), ("ftp://elsewhere/x", "ftp://elsewhere/x"), ("http://", "redirects")],
)
def test_a_redirect_that_leads_nowhere_is_final(
    box: Path, tmp_path: Path, target: str, message: str
) -> None:
    with served(box) as site:
        site.redirect = target
        with pytest.raises(StreamError, match=message) as caught:
            stream(f"{site.url}/moved", tmp_path, OPTIONS)
    assert "gave up" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_redirect_is_followed_over_the_link_and_never_past_it(box: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, link=parse_link("20mbit"))
    with served(box) as site:
        site.redirect = "/box.exgs"
        report = stream(f"{site.url}/moved", tmp_path, options)
        site.redirect = f"{site.url}/box.exgs"
        with pytest.raises(StreamError, match=f"redirects to {site.redirect}"):
            stream(f"{site.url}/moved", tmp_path, options)
        stream(f"{site.url}/moved", tmp_path, OPTIONS)
    assert report.rows[-1].psnr_db == float("inf")


@pytest.mark.parametrize("link", [None, parse_link("20mbit")])
def test_a_name_and_password_in_the_url_are_shown_instead_of_the_token(
    box: Path, tmp_path: Path, link: Link | None
) -> None:
    options = replace(OPTIONS, link=link, token="abc")
    with served(box) as site:
        authority = site.url.removeprefix("http://")
        stream(f"http://user:s%40crät@{authority}/box.exgs", tmp_path, options)
        assert site.authorizations == {aiohttp.encode_basic_auth("user", "s@crät")}
        assert site.hosts == {authority}
        site.authorizations.clear()
        stream(f"{site.url}/box.exgs", tmp_path, options)
    assert site.authorizations == {"Bearer abc"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.exgs", "ws://127.0.0.1:1/scenes/x/stream"])
@pytest.mark.parametrize("link", [None, parse_link("20mbit")])
def test_a_server_that_is_not_there_is_named_as_such(
    tmp_path: Path, url: str, link: Link | None
) -> None:
    with pytest.raises(StreamError, match="can't connect: connection refused"):
        stream(url, tmp_path, replace(OPTIONS, link=link))


def test_a_byte_limit_stops_early_and_measures_against_the_whole(box: Path, tmp_path: Path) -> None:
    with served(box) as site:
        report = stream(f"{site.url}/box.exgs", tmp_path, replace(OPTIONS, max_bytes=60_000))
    assert report.received_bytes == 60_000
    assert report.rows[-1].psnr_db < 60


def test_the_cache_spares_the_second_run_the_network(box: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, cache=tmp_path / "cache")
    with served(box) as site:
        first = stream(f"{site.url}/box.exgs", tmp_path / "a", replace(options, max_bytes=80_000))
        second = stream(f"{site.url}/box.exgs", tmp_path / "b", options)
    assert first.received_bytes == 80_000
    assert second.rows[-1].psnr_db == float("inf")
    assert second.received_bytes < first.file_bytes // 10


def test_what_was_kept_is_not_lost_when_another_url_has_the_same_scene(
    box: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, cache=tmp_path / "cache")
    with served(box) as site:
        stream(f"{site.url}/box.exgs", tmp_path / "a", options)
        other = f"{site.url}/box.exgs?copy"
        stream(other, tmp_path / "b", replace(options, max_bytes=60_000))
        third = stream(f"{site.url}/box.exgs", tmp_path / "c", options)
        fourth = stream(other, tmp_path / "d", options)
    for report in (third, fourth):
        assert report.rows[-1].psnr_db == float("inf")
        assert report.received_bytes < report.file_bytes // 10


def test_a_server_that_asks_to_wait_for_days_is_not_waited_for(box: Path, tmp_path: Path) -> None:
    with served(box) as site:
        site.retry_after = "86400000"
        with pytest.raises(StreamError, match="it asks to come back in"):
            stream(f"{site.url}/box.exgs", tmp_path, OPTIONS)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/y.exgs",
        "box.exgs",
        "http://",
        "http://a%3Ab:c@x/y.exgs",
        "ws://127.0.0.1:1/box.exgs",
    ],
)
def test_a_url_that_is_none_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(StreamError):
        stream(url, tmp_path, OPTIONS)


def test_a_scene_that_is_not_there_is_a_stream_error(box: Path, tmp_path: Path) -> None:
    with served(box) as site, pytest.raises(StreamError, match="404"):
        stream(f"{site.url}/none.exgs", tmp_path, OPTIONS)
    with pytest.raises(StreamError, match="refused"):
        stream(f"{site.url}/none.exgs", tmp_path, OPTIONS)

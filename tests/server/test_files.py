"""The static profile over real sockets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from exgs.server.config import ServerConfig
from exgs.wire.client import ClientSession
from exgs.wire.events import Welcome
from tests.client.scenes import write_box
from tests.server.support import Site, on_site, until


def test_a_file_is_served_whole_and_by_ranges(root: Path, box_bytes: bytes) -> None:
    async def main(site: Site) -> None:
        whole = await site.get("/scenes/box.exgs")
        assert (whole.status, whole.body) == (200, box_bytes)
        assert whole.headers["Content-Type"] == "application/octet-stream"
        for start, end in ((0, 9), (17, 65_000), (1, len(box_bytes) - 1)):
            part = await site.get("/scenes/box.exgs", Range=f"bytes={start}-{end}")
            assert (part.status, part.body) == (206, box_bytes[start : end + 1])
            assert part.headers["Content-Range"] == f"bytes {start}-{end}/{len(box_bytes)}"
        beyond = await site.get("/scenes/box.exgs", Range="bytes=99999999-")
        assert beyond.status == 416
        assert beyond.headers["Content-Range"] == f"bytes */{len(box_bytes)}"

    assert len(box_bytes) > 70_000  # more than one write
    on_site(root, main)


def test_head_has_the_headers_of_get(root: Path, box_bytes: bytes) -> None:
    async def main(site: Site) -> None:
        head = await site.get("/scenes/box.exgs", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == str(len(box_bytes))
        assert head.headers["Accept-Ranges"] == "bytes"

    on_site(root, main)


def test_the_etag_is_strong_and_depends_on_the_bytes(root: Path) -> None:
    async def main(site: Site) -> None:
        etag = (await site.get("/scenes/box.exgs", method="HEAD")).headers["Etag"]
        assert len(etag) == 34
        assert etag[0] == etag[-1] == '"'
        assert (await site.get("/scenes/box.exgs", If_None_Match=etag)).status == 304
        assert (await site.get("/scenes/box.exgs", If_Match='"other"')).status == 412
        answer = await site.get("/scenes/box.exgs", If_Range='"other"', Range="bytes=0-1")
        assert answer.status == 200

    on_site(root, main)


def test_a_name_with_a_hash_is_immutable_and_gone_when_the_bytes_change(root: Path) -> None:
    async def main(site: Site) -> None:
        plain = await site.get("/scenes/box.exgs")
        digest = plain.headers["Etag"].strip('"')
        hashed = await site.get(f"/scenes/box.{digest}.exgs")
        assert hashed.body == plain.body
        assert "immutable" in hashed.headers["Cache-Control"]
        assert "no-cache" in plain.headers["Cache-Control"]
        assert (await site.get(f"/scenes/box.{'0' * 32}.exgs")).status == 404

    on_site(root, main)


@pytest.mark.parametrize("name", ["{", "a{b}c", "}.x", "{name}", "a b%2f+&?#;=ä"])
def test_every_listed_scene_is_served(root: Path, box_bytes: bytes, name: str) -> None:
    shutil.copy(root / "box.exgs", root / f"{name}.exgs")

    async def main(site: Site) -> None:
        async with site.http.get(f"{site.server.url}/scenes") as response:
            scenes = (await response.json())["scenes"]
        (scene,) = [scene for scene in scenes if scene["name"] == name]
        url = URL(f"{site.server.url}{scene['url']}", encoded=True)
        async with site.http.get(url) as response:
            assert await response.read() == box_bytes
        url = URL(f"{site.server.url}{scene['stream']}", encoded=True)
        async with site.http.ws_connect(url, compress=0, max_msg_size=0) as socket:
            session = ClientSession(name, credit_bytes=1)
            for frame in session.data_to_send():
                await socket.send_bytes(frame)
            message = await socket.receive(timeout=10)
            (welcome,) = session.receive_data(message.data)
            assert isinstance(welcome, Welcome)

    on_site(root, main)


def test_the_list_contains_every_scene(root: Path, box_bytes: bytes) -> None:
    write_box(root / "a b%2f.exgs", 400)

    async def main(site: Site) -> None:
        async with site.http.get(f"{site.server.url}/scenes") as response:
            scenes = (await response.json())["scenes"]
        assert [scene["name"] for scene in scenes] == ["a b%2f", "box"]
        assert scenes[1]["bytes"] == len(box_bytes)
        assert scenes[1]["stream"] == "/scenes/box/stream"
        assert (scenes[1]["layers"], scenes[1]["count"], scenes[1]["sh_degree"]) == (3, 9000, 1)
        assert (scenes[1]["credit"], scenes[1]["license"]) == ("made for a test", "CC0-1.0")
        answer = await site.raw(
            f"GET {scenes[0]['url']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
        )
        assert answer.startswith(b"HTTP/1.1 200")

    on_site(root, main)


@pytest.mark.parametrize(
    "path",
    [
        "/scenes/../secret.exgs",
        "/scenes/%2e%2e/secret.exgs",
        "/scenes/..%2fsecret.exgs",
        "/scenes/%2e%2e%2fsecret.exgs",
        "/scenes/..%5csecret.exgs",
        "/scenes/box.exgs%00",
        "/scenes/box%00.exgs",
        "/scenes/%00.exgs",
        "/scenes//secret.exgs",
        "/scenes/link.exgs",
        "/scenes/folder.exgs",
        "/scenes/pipe.exgs",
        "/scenes/.hidden.exgs",
        "/scenes/other.txt",
        "/scenes/.exgs",
        "/scenes/" + "a" * 3000 + ".exgs",
        "/scenes/%ff%fe.exgs",
        "/etc/passwd",
        "//etc/passwd",
        "/scenes/box.exgs/",
        "/assets/..%2fbox.exgs",
        "/assets/../index.html",
        "/scenes/..%2f..%2f..%2fetc%2fpasswd.exgs",
    ],
)
def test_no_path_leads_out_of_the_catalogue(root: Path, box_bytes: bytes, path: str) -> None:
    (root.parent / "secret.exgs").write_bytes(box_bytes)
    (root / "link.exgs").symlink_to(root.parent / "secret.exgs")
    (root / "folder.exgs").mkdir()
    os.mkfifo(root / "pipe.exgs")
    (root / ".hidden.exgs").write_bytes(box_bytes)
    (root / "other.txt").write_text("secret")

    async def main(site: Site) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await site.raw(request.encode())
        assert answer.startswith(b"HTTP/1.1 404 "), answer[:80]
        assert str(root.parent).encode() not in answer

    on_site(root, main)


def test_no_absolute_form_leads_out_of_the_catalogue(root: Path) -> None:
    async def main(site: Site) -> None:
        answer = await site.raw(
            b"GET file:///etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        assert answer.split()[1] in (b"400", b"404")
        assert b"root:" not in answer

    on_site(root, main)


def test_a_compressed_sibling_is_never_served(root: Path, box_bytes: bytes) -> None:
    (root / "box.exgs.gz").write_bytes(b"something else")

    async def main(site: Site) -> None:
        answer = await site.get("/scenes/box.exgs", Accept_Encoding="gzip", Range="bytes=0-9")
        assert answer.body == box_bytes[:10]
        assert "Content-Encoding" not in answer.headers

    on_site(root, main)


def test_the_catalogue_follows_the_folder(root: Path) -> None:
    async def main(site: Site) -> None:
        before = (await site.get("/scenes/box.exgs")).headers["Etag"]
        write_box(root / "new.exgs", 500)
        write_box(root.parent / "next.exgs", 500, seed=3)
        (root.parent / "next.exgs").rename(root / "box.exgs")
        await until(lambda: _has(site, "/scenes/new.exgs"))
        after = await site.get("/scenes/box.exgs", If_Match=before)
        assert after.status == 412
        (root / "new.exgs").unlink()
        await until(lambda: _lacks(site, "/scenes/new.exgs"))

    on_site(root, main, reload_s=0.05)


async def _has(site: Site, path: str) -> bool:
    return (await site.get(path, method="HEAD")).status == 200


async def _lacks(site: Site, path: str) -> bool:
    return not await _has(site, path)


def test_damaged_and_truncated_files_are_not_served_until_they_are_whole(
    root: Path, box_bytes: bytes
) -> None:
    (root / "cut.exgs").write_bytes(box_bytes[:-1])
    (root / "noise.exgs").write_bytes(b"noise" * 100)
    (root / "empty.exgs").write_bytes(b"")

    async def main(site: Site) -> None:
        assert (await site.get("/scenes/cut.exgs")).status == 404
        assert (await site.get("/scenes/noise.exgs")).status == 404
        assert await site.metric("exgs_refused_files") == 3
        (root / "cut.exgs").write_bytes(box_bytes)
        await until(lambda: _has(site, "/scenes/cut.exgs"))

    on_site(root, main, reload_s=0.05)


def test_a_file_name_that_is_not_valid_in_a_url_is_not_served(root: Path, box_bytes: bytes) -> None:
    (root / "caf\udce9.exgs").write_bytes(box_bytes)

    async def main(site: Site) -> None:
        async with site.http.get(f"{site.server.url}/scenes") as response:
            assert [scene["name"] for scene in (await response.json())["scenes"]] == ["box"]
        assert await site.metric("exgs_refused_files") == 1

    on_site(root, main)


def test_truncating_a_file_in_place_ends_the_answer_not_the_server(
    root: Path, box_bytes: bytes
) -> None:
    async def main(site: Site) -> None:
        os.truncate(root / "box.exgs", 1000)
        reader = await site.raw(b"GET /scenes/box.exgs HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(reader) < len(box_bytes)
        assert (await site.get("/healthz")).status == 200

    async def quietly(site: Site) -> None:
        try:
            await main(site)
        except ConnectionResetError:
            assert (await site.get("/healthz")).status == 200

    on_site(root, quietly, reload_s=60.0)


def test_a_reader_of_a_replaced_file_gets_the_old_file_to_the_end(
    root: Path, box_bytes: bytes
) -> None:
    async def main(site: Site) -> None:
        async with site.http.get(f"{site.server.url}/scenes/box.exgs") as response:
            first = await response.content.readexactly(10)
            shutil.move(root.parent / "next.exgs", root / "box.exgs")
            old = response.headers["ETag"]

            async def is_replaced() -> bool:
                answer = await site.get("/scenes/box.exgs", "HEAD")
                return answer.headers.get("Etag", old) != old

            await until(is_replaced)
            assert first + await response.content.read() == box_bytes

    write_box(root.parent / "next.exgs", 500, seed=3)
    on_site(root, main, reload_s=0.02)


def test_the_token_is_required(root: Path) -> None:
    async def main(site: Site) -> None:
        for path in ("/scenes", "/scenes/box.exgs", "/scenes/none.exgs", "/metrics"):
            assert (await site.get(path)).status == 401
            assert (await site.get(path, Authorization="Bearer no")).status == 401
            assert (await site.get(path, Authorization="Bearer s\u00e9cret2")).status == 401
        assert (await site.get("/scenes", Authorization="bearer s\u00e9cret")).status == 200
        answer = await site.get("/scenes/box.exgs", Authorization="Bearer s\u00e9cret")
        assert answer.headers["Cache-Control"].startswith("private")
        assert (await site.get("/healthz")).status == 200
        assert (await site.get("/readyz")).status == 200

    on_site(root, main, token="s\u00e9cret")


def test_an_empty_token_is_no_token(root: Path) -> None:
    with pytest.raises(ValueError, match="token is empty"):
        ServerConfig(root, token="")


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    compared = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    async def main(site: Site) -> None:
        await site.get("/scenes", Authorization="Bearer a")
        await site.get("/scenes")

    monkeypatch.setattr("exgs.server.access.hmac.compare_digest", compare)
    on_site(root, main, token="secret")
    assert compared == [(b"a", b"secret"), (b"", b"secret")]


def test_the_hook_decides_for_each_scene(root: Path) -> None:
    write_box(root / "mine.exgs", 400)

    async def authorize(request: web.Request, scene: str) -> bool:
        return scene == "mine" or request.headers.get("X-Who") == "me"

    async def main(site: Site) -> None:
        assert (await site.get("/scenes/box.exgs")).status == 403
        assert (await site.get("/scenes/none.exgs")).status == 403
        assert (await site.get("/scenes/mine.exgs")).status == 200
        assert (await site.get("/scenes/box.exgs", X_Who="me")).status == 200
        listed = (await site.get("/scenes")).body
        assert b"mine" in listed
        assert b"box" not in listed

    on_site(root, main, authorize=authorize)


def test_pages_of_listed_origins_may_read(root: Path) -> None:
    async def main(site: Site) -> None:
        answer = await site.get("/scenes/box.exgs", Origin="https://a.example")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        missing = await site.get("/scenes/none.exgs", Origin="https://a.example")
        assert missing.status == 404
        assert missing.headers["Access-Control-Allow-Origin"] == "https://a.example"
        other = await site.get("/scenes/box.exgs", Origin="https://b.example")
        assert "Access-Control-Allow-Origin" not in other.headers
        assert other.headers["Vary"] == "Origin"
        preflight = await site.get("/scenes/box.exgs", method="OPTIONS", Origin="https://a.example")
        assert preflight.status == 204
        assert "Range" in preflight.headers["Access-Control-Allow-Headers"]

    on_site(root, main, cors_origins=("https://a.example",))


def test_without_origins_no_page_may_read(root: Path) -> None:
    async def main(site: Site) -> None:
        answer = await site.get("/scenes/box.exgs", Origin="https://a.example")
        assert not any(name.startswith("Access-Control") for name in answer.headers)

    on_site(root, main)

"""The viewer page: its content, its content security policy, its headers; and posters."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from exgs.server.web_page import NOT_BUILT, SinglePage, WebPage, load_page
from tests.codec.forge import JPEG, assemble
from tests.codec.forged_files import small_file
from tests.server.support import Answer, Site, on_site

_TEMPLATE = """<!doctype html>
<html lang="en"><head><!--policy--><title>exgs</title><style>p{}</style>
<script type="application/json" id="exgs-data"></script>
<script>let boot = 1;</script>
<script type="module" src="/assets/main-1.js"></script>
</head><body><!--poster--><main></main><!--scene--></body></html>
"""

_WHOLE = """<!doctype html>
<html lang="en"><head><!--policy--><title>exgs</title><style>p{}</style>
<script type="application/json" id="exgs-data"></script>
<script>let boot = 2;</script>
</head><body><!--poster--><main></main><script type="text/plain" id="exgs-client">work</script>
<script type="module" async>let main = 2;</script>
<!--scene--></body></html>
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with one scene with a poster and one without."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    parts = small_file()
    (folder / "plain.exgs").write_bytes(assemble(parts))
    parts.poster = JPEG
    (folder / "posed.exgs").write_bytes(assemble(parts))
    return folder


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parts of a built page that the server reads."""
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(_TEMPLATE)
    (folder / "single.html").write_text(_WHOLE)
    for name in ("main-1.js", "main-1.js.gz", "main-1.js.br"):
        (folder / "assets" / name).write_text(name)
    (folder / "exgs-viewer.js").write_text("element")
    monkeypatch.setattr("exgs.server.app.load_page", lambda: WebPage(folder))
    return folder


def data_of(page: Answer) -> dict[str, Any]:
    found = re.search(r'id="exgs-data">(.*?)</script>', page.body.decode(), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def policy_of(page: Answer) -> dict[str, list[str]]:
    rules = page.headers["Content-Security-Policy"].split("; ")
    return {name: values for name, *values in (rule.split() for rule in rules)}


def test_without_a_built_page_the_answer_explains_how_to_build_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exgs.server.app.load_page", lambda: None)

    async def main(site: Site) -> None:
        for path in ("/", "/scenes/posed/", "/assets/main-1.js"):
            answer = await site.get(path)
            assert (answer.status, answer.body.decode()) == (404, NOT_BUILT)
        assert (await site.get("/scenes")).status == 200

    assert NOT_BUILT.count("\n") == 1
    assert load_page(Path("/nowhere")) is None
    on_site(root, main)


def test_the_page_contains_the_catalogue(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        page = await site.get("/")
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        listed = json.loads((await site.get("/scenes")).body)["scenes"]
        assert data_of(page) == {"token": False, "scenes": listed}
        assert [entry.get("poster") for entry in listed] == [None, "/scenes/posed/poster"]

    on_site(root, main)


@pytest.mark.parametrize("path", ["/scenes/posed/", "/?content=/scenes/posed.exgs"])
def test_the_page_of_a_scene_contains_its_poster(root: Path, built: Path, path: str) -> None:
    async def main(site: Site) -> None:
        page = await site.get(path)
        data = data_of(page)
        assert data["content"] == "/scenes/posed.exgs"
        assert data["scene"]["name"] == "posed"
        picture = f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"
        assert f'src="{picture}"' in page.body.decode()
        assert "<title>posed - exgs</title>" in page.body.decode()

    on_site(root, main)


def test_at_a_first_visit_the_page_of_a_scene_contains_its_code(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        first = await site.get("/scenes/posed/")
        digests = [
            base64.b64encode(hashlib.sha256(text).digest()).decode()
            for text in (b"let boot = 2;", b"let main = 2;")
        ]
        assert policy_of(first)["script-src"] == ["'self'", *(f"'sha256-{it}'" for it in digests)]
        assert policy_of(first)["worker-src"] == ["'self'", "blob:"]
        assert b"let main = 2;" in first.body
        for answer in (
            await site.get("/scenes/posed/", Sec_Fetch_Site="same-origin"),
            await site.get("/?content=https://cdn.example/a.exgs"),
            await site.get("/"),
        ):
            assert b"let main = 2;" not in answer.body
            assert policy_of(answer)["worker-src"] == ["'self'"]
            assert "Sec-Fetch-Site" in answer.headers["Vary"]

    on_site(root, main)


def test_a_page_that_has_not_changed_is_not_sent_again(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        first = await site.get("/scenes/posed/")
        again = await site.get("/scenes/posed/", If_None_Match=first.headers["Etag"])
        assert (again.status, again.body) == (304, b"")
        assert again.headers["Content-Security-Policy"] == first.headers["Content-Security-Policy"]
        other = await site.get("/scenes/plain/", If_None_Match=first.headers["Etag"])
        assert other.status == 200

    on_site(root, main)


def test_the_address_of_a_scene_ends_with_a_slash(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        url = f"{site.server.url}/scenes/posed?noui"
        async with site.http.get(url, allow_redirects=False) as response:
            assert response.status == 308
            assert response.headers["Location"] == "/scenes/posed/?noui"
        missing = await site.get("/scenes/none/")
        assert (missing.status, data_of(missing)["missing"]) == (404, "none")
        assert [scene["name"] for scene in data_of(missing)["scenes"]] == ["plain", "posed"]

    on_site(root, main)


def test_posters_are_served_and_cached_until_they_change(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        poster = await site.get("/scenes/posed/poster")
        assert (poster.status, poster.body) == (200, JPEG)
        assert poster.headers["Content-Type"] == "image/jpeg"
        same = await site.get("/scenes/posed/poster", If_None_Match=poster.headers["Etag"])
        assert (same.status, same.body) == (304, b"")
        head = await site.get("/scenes/posed/poster", method="HEAD")
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(JPEG)))
        for name in ("plain", "none"):
            assert (await site.get(f"/scenes/{name}/poster")).status == 404

    on_site(root, main)


def test_a_damaged_poster_does_not_hide_its_scene(root: Path) -> None:
    path = root / "posed.exgs"
    path.write_bytes(path.read_bytes().replace(JPEG, JPEG[:-1] + b"!"))

    async def main(site: Site) -> None:
        listed = json.loads((await site.get("/scenes")).body)["scenes"]
        assert [entry["name"] for entry in listed] == ["plain", "posed"]
        assert "poster" not in listed[1]
        assert (await site.get("/scenes/posed/poster")).status == 404

    on_site(root, main)


def test_with_a_token_the_page_reveals_no_scenes(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        assert data_of(await site.get("/")) == {"token": True}
        for name in ("posed", "none"):
            page = await site.get(f"/scenes/{name}/")
            data = {"token": True, "content": f"/scenes/{name}.exgs"}
            assert (page.status, data_of(page)) == (200, data)
            assert "data:image" not in page.body.decode()
        assert (await site.get("/scenes/posed/poster")).status == 401
        shown = await site.get("/scenes/posed/poster", Authorization="Bearer secret")
        assert shown.body == JPEG

    on_site(root, main, token="secret")


def test_the_hook_decides_about_pages_too(root: Path, built: Path) -> None:
    async def nobody(_request: object, name: str) -> bool:
        return name == "plain"

    async def main(site: Site) -> None:
        assert "scenes" not in data_of(await site.get("/"))
        assert "scene" not in data_of(await site.get("/scenes/posed/"))
        assert (await site.get("/scenes/posed/poster")).status == 403

    on_site(root, main, authorize=nobody)


def test_the_page_may_load_only_its_own_files(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        page = await site.get("/")
        policy = policy_of(page)
        digest = base64.b64encode(hashlib.sha256(b"let boot = 1;").digest()).decode()
        assert policy["default-src"] == ["'none'"]
        assert policy["script-src"] == ["'self'", f"'sha256-{digest}'"]
        assert policy["connect-src"] == ["'self'"]
        assert policy["frame-ancestors"] == ["'self'", "https://blog.example"]
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["X-Content-Type-Options"] == "nosniff"

    on_site(root, main, cors_origins=("https://blog.example",))


@pytest.mark.parametrize(
    ("content", "origin"),
    [
        ("https://cdn.example/a.exgs", ["https://cdn.example"]),
        ("http://[::1]:81/a.exgs", ["http://[::1]:81"]),
        ("//cdn.example/a.exgs", []),
        ("https://a.example;script-src%20*/a.exgs", []),
        ("https://a.example:x/a.exgs", []),
        ("javascript:alert(1)", []),
        ("https://*/a.exgs", []),
    ],
)
def test_a_scene_on_another_host_allows_only_its_origin(
    root: Path, built: Path, content: str, origin: list[str]
) -> None:
    async def main(site: Site) -> None:
        policy = policy_of(await site.get(f"/?content={content}"))
        assert policy["connect-src"] == ["'self'", *origin]
        assert policy["script-src"][0] == "'self'"
        assert len(policy["script-src"]) == 2

    on_site(root, main)


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", '"><img src=x>'])
def test_no_text_of_a_request_becomes_markup(root: Path, built: Path, text: str) -> None:
    async def main(site: Site) -> None:
        url = f"{site.server.url}/"
        for template, parameters in (
            (_TEMPLATE, {"content": text}),
            (_WHOLE, {"content": "/scenes/posed.exgs", "poster": text}),
        ):
            async with site.http.get(url, params=parameters) as response:
                body = await response.text()
            assert text not in body
            assert body.count("<script") == template.count("<script")

    on_site(root, main)


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("", None, "main-1.js"),
        ("gzip, deflate", "gzip", "main-1.js.gz"),
        ("gzip, deflate, br", "br", "main-1.js.br"),
        ("br;q=0, gzip;q=0.5", "gzip", "main-1.js.gz"),
    ],
)
def test_assets_are_compressed_in_advance_and_immutable(
    root: Path, built: Path, accepted: str, encoding: str | None, body: str
) -> None:
    async def main(site: Site) -> None:
        url = f"{site.server.url}/assets/main-1.js"
        headers = {"Accept-Encoding": accepted}
        async with site.http.get(url, headers=headers, auto_decompress=False) as response:
            assert response.headers.get("Content-Encoding") == encoding
            assert (await response.read()).decode() == body
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert response.headers["Vary"] == "Accept-Encoding, Origin"
        assert (await site.get("/assets/other.js")).status == 404

    on_site(root, main, cors_origins=("*",))


def test_the_page_is_compressed_for_clients_that_accept_it(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        url = f"{site.server.url}/"
        headers = {"Accept-Encoding": "gzip"}
        async with site.http.get(url, headers=headers, auto_decompress=False) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(await response.read()).startswith(b"<!doctype html>")

    on_site(root, main)


def test_a_single_file_is_served_without_other_files_of_its_folder(root: Path, built: Path) -> None:
    async def main(site: Site) -> None:
        listed = json.loads((await site.get("/scenes")).body)["scenes"]
        assert [entry["name"] for entry in listed] == ["posed"]
        assert (await site.get("/scenes/plain.exgs")).status == 404
        assert (await site.get("/scenes/posed.exgs")).status == 200

    on_site(root / "posed.exgs", main)


def test_the_single_file_page_contains_its_policy(built: Path) -> None:
    script = '<script type="module" async>let all = 1;</script>'
    template = _TEMPLATE.replace('<script type="module" src="/assets/main-1.js"></script>', script)
    (built / "single.html").write_text(template)
    page = SinglePage(built)
    front, back = page.parts({"embedded": 9}, title="a <b>", poster="", content="")
    digest = base64.b64encode(hashlib.sha256(b"let all = 1;").digest()).decode()
    assert f"'sha256-{digest}'" in front
    assert "connect-src 'none'" in front
    assert "<title>a &lt;b&gt;</title>" in front
    assert back == "</body></html>\n"
    front, _ = page.parts({}, title="", poster="", content="https://cdn.example/a.exgs")
    assert "connect-src 'self' https://cdn.example;" in front

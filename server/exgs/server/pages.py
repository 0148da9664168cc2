"""The viewer pages: the catalogue at /, a page per scene, and their assets.

If the server requires a token, pages contain no information about scenes. The page asks the user
for the token and requests the information with it.
"""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit

from aiohttp import hdrs, web

from exgs.server.access import may_read
from exgs.server.catalog import Scene
from exgs.server.files import entry_of
from exgs.server.state import STATE, State
from exgs.server.web_page import NOT_BUILT, WebPage, asset_headers, packed_html

_LISTED = 100  # scenes in the page; with more, the page requests the list
_PREFIX, _SUFFIX = "/scenes/", ".exgs"


async def get_home(request: web.Request) -> web.Response:
    """GET /: the catalogue, or with ?content=URL the scene at that URL."""
    state = request.app[STATE]
    page = _page(state)
    content = request.query.get("content", "")
    scene = state.catalog.get(_name_in(content))
    if content:
        return await _answer(request, page, scene, content)
    return _html(request, page, page.html(_catalogue(state), title="exgs"))


async def get_scene_page(request: web.Request) -> web.Response:
    """GET /scenes/NAME/: the page of this scene, or the catalogue if there is no such scene."""
    state = request.app[STATE]
    page = _page(state)
    name = request.match_info["name"]
    scene = state.catalog.get(name)
    if scene is None and _is_open(state):
        text = page.html({**_catalogue(state), "missing": name}, title="exgs")
        return _html(request, page, text, status=HTTPStatus.NOT_FOUND)
    return await _answer(request, page, scene, f"{_PREFIX}{quote(name, safe='')}{_SUFFIX}")


async def add_slash(request: web.Request) -> web.Response:
    """GET /scenes/NAME: redirect to the page, whose address ends with a slash."""
    state = request.app[STATE]
    _require_known(state, request.match_info["name"])
    name = quote(request.match_info["name"], safe="")
    query = f"?{request.query_string}" if request.query_string else ""
    raise web.HTTPPermanentRedirect(f"{state.config.prefix}{_PREFIX}{name}/{query}")


async def get_asset(request: web.Request) -> web.Response:
    """GET /assets/NAME."""
    page = _page(request.app[STATE])
    asset = page.assets.get(request.match_info["file"])
    if asset is None:
        raise web.HTTPNotFound
    encoding, body = asset.choose(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    return web.Response(body=body, headers=asset_headers(asset, encoding))


async def get_element(request: web.Request) -> web.Response:
    """GET /exgs-viewer.js: the viewer as an element for pages of others."""
    element = _page(request.app[STATE]).element
    encoding, body = element.choose(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    headers = asset_headers(element, encoding)
    headers |= {hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: element.etag}
    if request.headers.get(hdrs.IF_NONE_MATCH) == element.etag:
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers)


def _catalogue(state: State) -> dict[str, object]:
    """What the catalogue shows. It asks for the scenes itself if they are many, or not public."""
    data: dict[str, object] = {"token": state.config.token is not None}
    scenes = state.catalog.scenes
    if _is_open(state) and len(scenes) <= _LISTED:
        data["scenes"] = [entry_of(scene, state.config.prefix) for scene in scenes]
    return data


async def _answer(
    request: web.Request, page: WebPage, scene: Scene | None, content: str
) -> web.Response:
    """The page of the scene at `content`. `scene` is set if it belongs to this server."""
    state = request.app[STATE]
    data: dict[str, object] = {"token": state.config.token is not None, "content": content}
    title, poster = "exgs", request.query.get("poster", "")
    if scene is not None and _is_open(state) and await may_read(state.config, request, scene.name):
        data["scene"] = entry_of(scene, state.config.prefix)
        title = f"{scene.name} - exgs"
        if not poster and scene.poster is not None:
            poster = scene.poster.url
    whole = content.startswith(_PREFIX) and _is_first_visit(request)
    text = page.html(data, title=title, poster=poster, whole=whole)
    return _html(request, page, text, whole=whole)


def _is_first_visit(request: web.Request) -> bool:
    """Whether the browser may not have the code of the page yet.

    The page then contains all of its code, which saves a round trip and the handshakes of three
    connections. Visitors who come from another page of this server have the code in their cache.
    """
    return request.headers.get("Sec-Fetch-Site") != "same-origin"


def _html(
    request: web.Request,
    page: WebPage,
    text: str,
    *,
    whole: bool = False,
    status: int = HTTPStatus.OK,
) -> web.Response:
    headers = page.headers(
        content=request.query.get("content", ""),
        poster=request.query.get("poster", ""),
        embedders=request.app[STATE].config.cors_origins,
        whole=whole,
    )
    if status == HTTPStatus.OK:
        headers[hdrs.ETAG] = f'W/"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
    if hdrs.ETAG in headers and request.headers.get(hdrs.IF_NONE_MATCH) == headers[hdrs.ETAG]:
        return web.Response(status=304, headers=headers)
    encoding, body = packed_html(text, request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    if encoding:
        headers[hdrs.CONTENT_ENCODING] = encoding
    return web.Response(
        status=status, body=body, content_type="text/html", charset="utf-8", headers=headers
    )


def _page(state: State) -> WebPage:
    if state.page is None:
        raise web.HTTPNotFound(text=NOT_BUILT)
    return state.page


def _require_known(state: State, name: str) -> None:
    """Raise HTTPNotFound if there is no such scene, unless scenes are not public."""
    if state.catalog.get(name) is None and _is_open(state):
        raise web.HTTPNotFound(text="There is no such scene. The list is at /.\n")


def _is_open(state: State) -> bool:
    """Whether scenes are public."""
    return state.config.token is None and state.config.authorize is None


def _name_in(content: str) -> str:
    """The name of this server's scene in ?content=; "" if there is none."""
    path = urlsplit(content).path if content.startswith("/") else ""
    if not path.startswith(_PREFIX) or not path.endswith(_SUFFIX):
        return ""
    return unquote(path[len(_PREFIX) : -len(_SUFFIX)])

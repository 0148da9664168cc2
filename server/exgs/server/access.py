"""Access control: tokens, the operator's hook, and web pages of other origins."""

from __future__ import annotations

import hmac

from aiohttp import hdrs, web

from exgs.server.config import TOKEN, ServerConfig

_BEARER = "bearer "
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Authorization, If-Match, If-None-Match, If-Range, Range",
    "Access-Control-Max-Age": "86400",
}
_EXPOSED = {"Access-Control-Expose-Headers": "Accept-Ranges, Content-Range, ETag, Retry-After"}


def bearer_token(request: web.Request) -> str | None:
    """The token of the Authorization header."""
    value = request.headers.get(hdrs.AUTHORIZATION, "")
    return value[len(_BEARER) :].strip() if value.lower().startswith(_BEARER) else None


def is_token_right(config: ServerConfig, token: str | None) -> bool:
    """Whether this is the server's token."""
    return config.token is None or _are_equal(token, config.token)


def check_metrics(config: ServerConfig, request: web.Request) -> None:
    """Raise HTTPUnauthorized unless this request may read the metrics."""
    wanted = config.token if config.metrics_token is None else config.metrics_token
    if config.is_metrics_open or wanted is None or _are_equal(bearer_token(request), wanted):
        return
    raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"})


async def may_read(config: ServerConfig, request: web.Request, scene: str) -> bool:
    """Whether the operator's hook allows this request to read a scene."""
    return config.authorize is None or await config.authorize(request, scene)


async def check(config: ServerConfig, request: web.Request, scene: str | None = None) -> None:
    """Raise HTTPUnauthorized or HTTPForbidden unless this request may read."""
    token = bearer_token(request)
    request[TOKEN] = token
    if not is_token_right(config, token):
        raise web.HTTPUnauthorized(headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
    if scene is not None and not await may_read(config, request, scene):
        raise web.HTTPForbidden


def is_origin_allowed(config: ServerConfig, request: web.Request) -> bool:
    """Whether the request comes from this server's pages, an allowed origin, or no page."""
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None or _is_listed(config, origin):
        return True
    return origin in (f"http://{request.host}", f"https://{request.host}")


def cross_origin_headers(config: ServerConfig, request: web.Request) -> dict[str, str]:
    """Headers that allow a page of an allowed origin to read the response."""
    if not config.cors_origins:
        return {}
    headers: dict[str, str] = {hdrs.VARY: hdrs.ORIGIN}
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and _is_listed(config, origin):
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        headers |= _EXPOSED
        if request.method == hdrs.METH_OPTIONS:
            headers |= _PREFLIGHT
    return headers


def _are_equal(shown: str | None, wanted: str) -> bool:
    """Whether the tokens are equal. The comparison takes constant time."""
    data = (shown or "").encode(errors="surrogateescape")
    return hmac.compare_digest(data, wanted.encode()) and shown is not None


def _is_listed(config: ServerConfig, origin: str) -> bool:
    return "*" in config.cors_origins or origin in config.cors_origins

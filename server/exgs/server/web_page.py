"""The viewer page, without sockets: its built files, and the HTML of one request.

The page is built from client/web and is not in the repository. Its HTML is a template: the server
inserts the data that the page needs first (scene and poster), which saves a request, and a content
security policy that limits the page to the content of that request.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import html
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PAGE_FOLDER = Path(__file__).parent / "page"
ELEMENT = "exgs-viewer.js"  # the viewer for pages of others, whose name stays the same
NOT_BUILT = (
    "The page is not built. Run `make page` in the exgs folder, which needs Node 20.19 or later or"
    " the network. The scenes are at /scenes.\n"
)

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_ENCODINGS = {"br": ".br", "gzip": ".gz"}  # shortest first
_INLINE = re.compile(r'<(script|style)(?: type="module" async)?>(.*?)</\1>', re.DOTALL)
_DATA_MARK = '<script type="application/json" id="exgs-data"></script>'
_POSTER_MARK = "<!--poster-->"
_POLICY_MARK = "<!--policy-->"
_SCENE_MARK = "<!--scene-->"
_TITLE = re.compile(r"<title>.*?</title>", re.DOTALL)
# Workers follow the policy of their own response. They fetch scenes from any origin.
_WORKER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src *"


@dataclass(frozen=True, slots=True)
class Poster:
    """The poster of a scene."""

    data: bytes
    content_type: str

    @property
    def url(self) -> str:
        """The picture as a data URL."""
        return f"data:{self.content_type};base64,{base64.b64encode(self.data).decode()}"

    @property
    def etag(self) -> str:
        """A strong ETag."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


def poster_of(data: bytes) -> Poster | None:
    """The poster in these bytes; None if they are empty or not a picture."""
    if data[:3] == b"\xff\xd8\xff":
        return Poster(data, "image/jpeg")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Poster(data, "image/webp")
    return None


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the built page in all available encodings; "" is uncompressed."""

    content_type: str
    bodies: dict[str, bytes]

    @property
    def etag(self) -> str:
        """A weak ETag: the encodings differ."""
        return f'W/"{hashlib.sha256(self.bodies[""]).hexdigest()[:32]}"'

    def choose(self, accepted: str) -> tuple[str, bytes]:
        """Encoding and body for an Accept-Encoding header."""
        names = _accepted(accepted)
        encoding = next((name for name in self.bodies if name in names), "")
        return encoding, self.bodies[encoding]


class WebPage:
    """The built page."""

    def __init__(self, folder: Path = PAGE_FOLDER) -> None:
        """Raises OSError where the page is not built."""
        self._template = (folder / "index.html").read_text("utf-8")
        self._whole = (folder / "single.html").read_text("utf-8")
        self.assets = {
            path.name: Asset(_TYPES[path.suffix], _bodies(path))
            for path in (folder / "assets").iterdir()
            if path.suffix in _TYPES
        }
        self.element = Asset(_TYPES[".js"], _bodies(folder / ELEMENT))

    def html(self, data: object, *, title: str, poster: str = "", whole: bool = False) -> str:
        """The HTML of the page with its data, title and poster; `whole`: with all code inside."""
        return _filled(self._whole if whole else self._template, data, title, poster)

    def headers(
        self,
        *,
        content: str = "",
        poster: str = "",
        embedders: Iterable[str] = (),
        whole: bool = False,
    ) -> dict[str, str]:
        """Headers of the page. It may load the URLs `content` and `poster`."""
        template = self._whole if whole else self._template
        connect = ["'self'", *_origin(content)]
        images = ["'self'", "data:", "blob:", *_origin(poster)]
        policy = {
            "default-src": ["'none'"],
            "script-src": ["'self'", *_hashes(template, "script")],
            "style-src": ["'self'", *_hashes(template, "style")],
            "img-src": images,
            "connect-src": connect,
            "worker-src": ["'self'", *(["blob:"] if whole else [])],
            "base-uri": ["'none'"],
            "form-action": ["'none'"],
            "frame-ancestors": ["'self'", *embedders],
        }
        return {
            "Content-Security-Policy": _policy(policy),
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-cache",
            "Vary": "Accept-Encoding, Sec-Fetch-Site",
        }


class SinglePage:
    """The page with all its code in one file, for `exgs export`."""

    def __init__(self, folder: Path = PAGE_FOLDER) -> None:
        """Raises OSError where the page is not built."""
        self._template = (folder / "single.html").read_text("utf-8")

    def parts(self, data: object, *, title: str, poster: str, content: str) -> tuple[str, str]:
        """The HTML before and after the bytes of the scene.

        `content` is the URL of the scene, "" if the page contains the scene.
        """
        policy = {
            "default-src": ["'none'"],
            "script-src": ["'wasm-unsafe-eval'", *_hashes(self._template, "script")],
            "style-src": _hashes(self._template, "style"),
            "img-src": ["data:", "blob:"],
            "connect-src": [*(["'self'"] if content else []), *_origin(content)] or ["'none'"],
            "worker-src": ["blob:"],
            "base-uri": ["'none'"],
            "form-action": ["'none'"],
        }
        meta = f'<meta http-equiv="Content-Security-Policy" content="{_policy(policy)}">'
        text = self._template.replace(_POLICY_MARK, meta, 1)
        front, _, back = _filled(text, data, title, poster).partition(_SCENE_MARK)
        return front, back


def asset_headers(asset: Asset, encoding: str) -> dict[str, str]:
    """Headers of an asset. The name of an asset changes with its content."""
    headers = {
        "Content-Type": asset.content_type,
        "Content-Security-Policy": _WORKER_POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "public, max-age=31536000, immutable",
        "Vary": "Accept-Encoding",
    }
    if encoding:
        headers["Content-Encoding"] = encoding
    return headers


def packed_html(text: str, accepted: str) -> tuple[str, bytes]:
    """Encoding and body of a page for one request."""
    return ("gzip", _gzipped(text)) if "gzip" in _accepted(accepted) else ("", text.encode())


@functools.lru_cache(maxsize=64)
def _gzipped(text: str) -> bytes:
    return gzip.compress(text.encode(), 9, mtime=0)


def load_single_page(folder: Path = PAGE_FOLDER) -> SinglePage | None:
    """The single-file page; None if it is not built."""
    try:
        return SinglePage(folder)
    except OSError:
        return None


def load_page(folder: Path = PAGE_FOLDER) -> WebPage | None:
    """The page; None if it is not built."""
    try:
        return WebPage(folder)
    except OSError:
        return None


def _filled(template: str, data: object, title: str, poster: str) -> str:
    text = template.replace(_DATA_MARK, _data_block(data), 1)
    text = _TITLE.sub(lambda _: f"<title>{html.escape(title)}</title>", text, count=1)
    if poster:
        image = f'<img id="poster" alt="" src="{html.escape(poster)}">'
        text = text.replace(_POSTER_MARK, image, 1)
    return text


def _bodies(path: Path) -> dict[str, bytes]:
    bodies = {
        encoding: packed.read_bytes()
        for encoding, suffix in _ENCODINGS.items()
        if (packed := path.with_name(path.name + suffix)).exists()
    }
    return {**bodies, "": path.read_bytes()}


def _accepted(header: str) -> set[str]:
    """The encodings that an Accept-Encoding header allows, without those of weight 0."""
    names = set()
    for entry in header.split(","):
        name, _, weight = entry.partition(";")
        if not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight):
            names.add(name.strip().lower())
    return names


def _policy(directives: dict[str, list[str]]) -> str:
    return "; ".join(f"{name} {' '.join(values)}" for name, values in directives.items())


@functools.lru_cache(maxsize=16)
def _hashes(template: str, tag: str) -> list[str]:
    """The hashes of a page's inline scripts or styles, for its policy."""
    return [_hash(text) for found, text in _INLINE.findall(template) if found == tag]


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data_block(data: object) -> str:
    """JSON for a script element, in which no text can end the element."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return _DATA_MARK.replace("></", f">{text}</")


def _origin(url: str) -> list[str]:
    """The origin of an absolute URL for a policy; empty for other URLs."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return []
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9.:-]+", host):
        return []
    host = f"[{host}]" if ":" in host else host
    return [f"{parts.scheme}://{host}{f':{port}' if port else ''}"]

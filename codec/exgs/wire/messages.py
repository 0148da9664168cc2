"""Payloads of frames: MessagePack maps, and a fixed binary head for CHUNK.

Reading checks the type, range and length of every field. Errors are RemoteProtocolError and name
the frame and the field. Unknown fields are skipped.
"""

from __future__ import annotations

import struct
from typing import Any, TypeVar

import msgpack
import numpy as np
import numpy.typing as npt

from exgs.codec.constants import (
    CHUNK_HEAD_BYTES,
    HASH_BYTES,
    MAX_CHUNKS,
    MAX_CREDIT_BYTES,
    MAX_FRAGMENT_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_BYTES,
    MAX_PAGES,
    MAX_PART_LIST,
    MAX_TOKEN_BYTES,
    MAX_VIEWPORT,
    MIN_FRAGMENT_BYTES,
    PAGE_PART_BIT,
    ErrorCode,
    FrameType,
)
from exgs.codec.errors import FormatError, UnsupportedError
from exgs.codec.format.container import FileHead, parse_head
from exgs.codec.format.fields import unpack_map
from exgs.codec.format.frame import Buffer
from exgs.scene.camera import Camera
from exgs.wire.errors import RemoteProtocolError
from exgs.wire.events import (
    Cancel,
    Credit,
    Error,
    Fragment,
    GoAway,
    Hello,
    Limits,
    View,
    Want,
    Welcome,
)
from exgs.wire.parts import HaveSet, pack_bitmap, unpack_bitmap

T = TypeVar("T")

_CHUNK_HEAD = struct.Struct("<III")
_MAX_SERIAL = (1 << 32) - 1
_MAX_UINT = (1 << 64) - 1  # of MessagePack
_ROTATION_TOLERANCE = 1e-3
_LARGEST_ENTRY = 1e12  # of a matrix, so that products are finite

# --- Writing ----------------------------------------------------------------------------------


def pack_hello(hello: Hello) -> bytes:
    """Encode the payload of a HELLO frame."""
    fields: dict[str, object] = {
        "versions": list(hello.versions),
        "scene": hello.scene,
        "agent": hello.agent,
        "limits": _limits_map(hello.limits),
        "credit": hello.credit_bytes,
    }
    if hello.token is not None:
        fields["token"] = hello.token
    if hello.view is not None:
        fields["view"] = _view_map(hello.view)
    if hello.have is not None:
        partial = np.array(sorted(hello.have.partial.items()), "<u4").reshape(-1, 2)
        fields["have"] = {
            "hash": hello.have.scene_hash,
            "chunks": pack_bitmap(hello.have.chunks),
            "pages": pack_bitmap(hello.have.pages),
            "partial": partial.tobytes(),
        }
    return _dump(fields)


def pack_welcome(welcome: Welcome) -> bytes:
    """Encode the payload of a WELCOME frame. A client that resumes has the head already."""
    return _dump(
        {
            "version": welcome.version,
            "hash": welcome.scene_hash,
            "limits": _limits_map(welcome.limits),
            "resumed": welcome.resumed,
            "head": b"" if welcome.resumed else welcome.head.packed,
        }
    )


def pack_view(view: View) -> bytes:
    """Encode the payload of a VIEW frame."""
    return _dump(_view_map(view))


def pack_credit(credit: Credit) -> bytes:
    """Encode the payload of a CREDIT frame."""
    return _dump({"add": credit.add_bytes})


def pack_cancel(cancel: Cancel) -> bytes:
    """Encode the payload of a CANCEL frame."""
    return _dump({"parts": np.array(cancel.parts, "<u4").tobytes()})


def pack_want(want: Want) -> bytes:
    """Encode the payload of a WANT frame."""
    return _dump({"parts": np.array(want.parts, "<u4").tobytes(), "again": want.again})


def pack_error(error: Error) -> bytes:
    """Encode the payload of an ERROR frame."""
    return _dump({"code": int(error.code), "message": _cut(error.message), "fatal": error.fatal})


def pack_goaway(goaway: GoAway) -> bytes:
    """Encode the payload of a GOAWAY frame."""
    return _dump(
        {
            "code": int(goaway.code),
            "message": _cut(goaway.message),
            "retry_after": float(goaway.retry_after_s),
        }
    )


def pack_fragment(part: int, offset: int, view_serial: int, data: Buffer) -> bytes:
    """Encode the payload of a CHUNK frame."""
    return _CHUNK_HEAD.pack(part, offset, view_serial) + data


def _limits_map(limits: Limits) -> dict[str, int]:
    return {"fragment": limits.fragment_bytes, "credit": limits.credit_bytes}


def _view_map(view: View) -> dict[str, object]:
    camera = view.camera
    return {
        "serial": view.serial,
        "viewmat": np.asarray(camera.viewmat, "<f8").tobytes(),
        "K": np.asarray(camera.K, "<f8").tobytes(),
        "size": [camera.width, camera.height],
    }


def _cut(message: str) -> str:
    return message.encode()[:MAX_MESSAGE_BYTES].decode(errors="ignore")


def _dump(value: object) -> bytes:
    data: bytes = msgpack.packb(value, use_bin_type=True)
    return data


# --- Reading ----------------------------------------------------------------------------------


def parse_hello(payload: bytes) -> Hello:
    """Decode a HELLO payload."""
    fields = _load(FrameType.HELLO, payload)
    return Hello(
        versions=fields.integers("versions", 1, 64, 0, _MAX_UINT),
        scene=fields.text("scene", MAX_NAME_BYTES),
        agent=fields.text("agent", MAX_NAME_BYTES, default=""),
        token=fields.text("token", MAX_TOKEN_BYTES) if "token" in fields else None,
        limits=_parse_limits(fields),
        credit_bytes=fields.integer("credit", 0, MAX_CREDIT_BYTES, ErrorCode.LIMIT),
        have=_parse_have(fields.nested("have")) if "have" in fields else None,
        view=_parse_view(fields.nested("view")) if "view" in fields else None,
    )


def parse_welcome(payload: bytes, held: FileHead | None) -> Welcome:
    """Decode a WELCOME payload. `held` is the head that a resuming client has."""
    fields = _load(FrameType.WELCOME, payload)
    resumed = fields.boolean("resumed")
    scene_hash = fields.binary("hash", HASH_BYTES, HASH_BYTES)
    packed = fields.binary("head", 0, len(payload))
    if resumed and held is None:
        raise fields.wrong("resumed", "nothing was to be resumed")
    head = held if resumed and held is not None else _parse_head(packed, fields)
    if head.scene_hash != scene_hash:
        raise fields.wrong("hash", "it is not that of the head", ErrorCode.DAMAGED)
    return Welcome(
        version=fields.integer("version", 0, _MAX_UINT),
        scene_hash=scene_hash,
        limits=_parse_limits(fields),
        head=head,
        resumed=resumed,
    )


def parse_view(payload: bytes) -> View:
    """Decode a VIEW payload."""
    return _parse_view(_load(FrameType.VIEW, payload))


def parse_credit(payload: bytes) -> Credit:
    """Decode a CREDIT payload."""
    fields = _load(FrameType.CREDIT, payload)
    return Credit(fields.integer("add", 1, MAX_CREDIT_BYTES, ErrorCode.LIMIT))


def parse_cancel(payload: bytes) -> Cancel:
    """Decode a CANCEL payload."""
    return Cancel(_parse_parts(_load(FrameType.CANCEL, payload)))


def parse_want(payload: bytes) -> Want:
    """Decode a WANT payload."""
    fields = _load(FrameType.WANT, payload)
    return Want(_parse_parts(fields), fields.boolean("again"))


def parse_error(payload: bytes) -> Error:
    """Decode an ERROR payload."""
    fields = _load(FrameType.ERROR, payload)
    return Error(
        _error_code(fields), fields.text("message", MAX_MESSAGE_BYTES), fields.boolean("fatal")
    )


def parse_goaway(payload: bytes) -> GoAway:
    """Decode a GOAWAY payload."""
    fields = _load(FrameType.GOAWAY, payload)
    return GoAway(
        _error_code(fields),
        fields.text("message", MAX_MESSAGE_BYTES),
        fields.number("retry_after", 0.0, 86400.0),
    )


def parse_fragment(payload: bytes) -> Fragment:
    """Decode a CHUNK payload."""
    if len(payload) <= CHUNK_HEAD_BYTES:
        raise RemoteProtocolError(f"CHUNK: {len(payload)} bytes hold no data")
    part, offset, view_serial = _CHUNK_HEAD.unpack_from(payload)
    return Fragment(part, offset, payload[CHUNK_HEAD_BYTES:], view_serial)


def _parse_head(packed: bytes, fields: _Fields) -> FileHead:
    try:
        head = parse_head(packed)
    except UnsupportedError as error:
        raise fields.wrong("head", str(error), ErrorCode.VERSION) from error
    except FormatError as error:
        raise fields.wrong("head", str(error), ErrorCode.DAMAGED) from error
    if len(packed) != head.header.root_end:
        raise fields.wrong("head", "bytes follow the root index", ErrorCode.DAMAGED)
    return head


def _parse_limits(fields: _Fields) -> Limits:
    limits = fields.nested("limits")
    fragment_bytes = limits.integer("fragment", MIN_FRAGMENT_BYTES, _MAX_UINT)
    credit_bytes = limits.integer("credit", 0, MAX_CREDIT_BYTES, ErrorCode.LIMIT)
    return Limits(min(fragment_bytes, MAX_FRAGMENT_BYTES), credit_bytes)


def _parse_have(fields: _Fields) -> HaveSet:
    partial = fields.binary("partial", 0, 8 * MAX_PART_LIST, ErrorCode.LIMIT)
    if len(partial) % 8:
        raise fields.wrong("partial", "it is cut")
    pairs = np.frombuffer(partial, "<u4").reshape(-1, 2).tolist()
    if len({part for part, _ in pairs}) != len(pairs) or not all(held for _, held in pairs):
        raise fields.wrong("partial", "a part stands twice, or with no bytes")
    return HaveSet(
        scene_hash=fields.binary("hash", HASH_BYTES, HASH_BYTES),
        chunks=unpack_bitmap(fields.binary("chunks", 0, MAX_CHUNKS // 8)),
        pages=unpack_bitmap(fields.binary("pages", 0, MAX_PAGES // 8 + 1)),
        partial={int(part): int(offset) for part, offset in pairs},
    )


def _parse_view(fields: _Fields) -> View:
    viewmat = fields.matrix("viewmat", 4)
    K = fields.matrix("K", 3)
    rotation = viewmat[:3, :3]
    if (
        np.abs(rotation @ rotation.T - np.eye(3)).max() > _ROTATION_TOLERANCE
        or np.linalg.det(rotation) < 0
        or viewmat[3].tolist() != [0, 0, 0, 1]
    ):
        raise fields.wrong("viewmat", "it is not a rigid motion")
    if K[0, 0] <= 0 or K[1, 1] <= 0 or K[2].tolist() != [0, 0, 1]:
        raise fields.wrong("K", "it is not a camera matrix")
    width, height = fields.integers("size", 2, 2, 1, MAX_VIEWPORT, ErrorCode.LIMIT)
    return View(fields.integer("serial", 1, _MAX_SERIAL), Camera(viewmat, K, width, height))


def _parse_parts(fields: _Fields) -> tuple[int, ...]:
    packed = fields.binary("parts", 4, 4 * MAX_PART_LIST, ErrorCode.LIMIT)
    if len(packed) % 4:
        raise fields.wrong("parts", "it is cut")
    parts = tuple(np.frombuffer(packed, "<u4").tolist())
    if any(part & PAGE_PART_BIT for part in parts):
        raise fields.wrong("parts", "pages can't be cancelled or fetched again")
    return parts


def _error_code(fields: _Fields) -> ErrorCode | int:
    code = fields.integer("code", 0, _MAX_UINT)
    return next((known for known in ErrorCode if known == code), code)


def _load(kind: FrameType, payload: bytes) -> _Fields:
    try:
        return _Fields(unpack_map(payload), kind.name)
    except ValueError as error:
        raise RemoteProtocolError(f"{kind.name}: {error}") from error


class _Fields:
    """Typed access to one decoded map. Errors name the frame and the field."""

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._values = values
        self._place = place

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def wrong(
        self, name: str, problem: str, code: ErrorCode = ErrorCode.PROTOCOL
    ) -> RemoteProtocolError:
        return RemoteProtocolError(f"{self._place}: {name}: {problem}", code=code)

    def get(self, name: str, *kinds: type[T]) -> T:
        value = self._values.get(name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.wrong(name, "it is missing or of the wrong type")
        return value

    def nested(self, name: str) -> _Fields:
        return _Fields(self.get(name, dict), f"{self._place}: {name}")

    def boolean(self, name: str) -> bool:
        return self.get(name, bool)

    def integer(
        self, name: str, low: int, high: int, beyond: ErrorCode = ErrorCode.PROTOCOL
    ) -> int:
        value = self.get(name, int)
        if not low <= value <= high:
            code = beyond if value > high else ErrorCode.PROTOCOL
            raise self.wrong(name, f"{value} is not in {low} to {high}", code)
        return value

    def number(self, name: str, low: float, high: float) -> float:
        value = self.get(name, int, float)
        if not low <= value <= high:
            raise self.wrong(name, f"{value} is not in {low} to {high}")
        return float(value)

    def text(self, name: str, limit_bytes: int, *, default: str | None = None) -> str:
        if default is not None and name not in self._values:
            return default
        value = self.get(name, str)
        if len(value.encode()) > limit_bytes:
            raise self.wrong(name, f"longer than {limit_bytes} bytes", ErrorCode.LIMIT)
        return value

    def binary(
        self, name: str, shortest: int, longest: int, beyond: ErrorCode = ErrorCode.PROTOCOL
    ) -> bytes:
        value = self.get(name, bytes)
        if len(value) < shortest:
            raise self.wrong(name, f"{len(value)} bytes, at least {shortest} are needed")
        if len(value) > longest:
            raise self.wrong(name, f"longer than {longest} bytes", beyond)
        return value

    def integers(
        self,
        name: str,
        fewest: int,
        most: int,
        low: int,
        high: int,
        beyond: ErrorCode = ErrorCode.PROTOCOL,
    ) -> tuple[int, ...]:
        values: list[object] = self.get(name, list)
        items = tuple(v for v in values if isinstance(v, int) and not isinstance(v, bool))
        if len(items) != len(values) or not fewest <= len(items) <= most:
            raise self.wrong(name, f"it is not {fewest} to {most} integers")
        if any(not low <= value <= high for value in items):
            code = ErrorCode.PROTOCOL if min(items) < low else beyond
            raise self.wrong(name, f"a value is not in {low} to {high}", code)
        return items

    def matrix(self, name: str, size: int) -> npt.NDArray[np.float64]:
        packed = self.binary(name, 8 * size * size, 8 * size * size)
        values = np.frombuffer(packed, "<f8").reshape(size, size).astype(np.float64)
        if not (np.abs(values) <= _LARGEST_ENTRY).all():
            raise self.wrong(name, "it is not finite")
        return values

"""Recorded sessions: `python -m tests.wire.recordings` writes spec/vectors/sessions.

Each holds the frames of one side, and what the other side makes of them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exgs.codec.constants import ErrorCode
from exgs.wire.client import ClientSession
from exgs.wire.errors import RemoteProtocolError
from exgs.wire.events import (
    Cancel,
    ChunkArrived,
    Credit,
    Error,
    Event,
    Fragment,
    GoAway,
    Hello,
    Limits,
    PageArrived,
    View,
    Want,
    Welcome,
)
from exgs.wire.server import ServerSession
from tests.client.scenes import write_box
from tests.wire.exchange import BoxFile, Exchange, camera_at

SESSIONS = Path(__file__).parents[2] / "spec" / "vectors" / "sessions"
_CREDIT_BYTES = 1 << 20


@dataclass(frozen=True)
class Record:
    """One entry of index.json."""

    name: str
    says: str  # what it shows
    receiver: str  # client or server
    gives: list[dict[str, Any]]  # events, and the fault where it ends with one
    held: str | None = None  # the record whose whole parts a client that resumes begins with

    @property
    def entry(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


def load(folder: Path) -> list[Record]:
    """The records of a folder."""
    return [Record(**entry) for entry in json.loads((folder / "index.json").read_text())]


def replay(
    record: Record, pieces: Iterable[bytes], held: bytes | None = None
) -> list[dict[str, Any]]:
    """What the receiver makes of these bytes; `held` are those of the record that it resumes."""
    session: ClientSession | ServerSession
    if record.receiver == "server":
        session = ServerSession()
    else:
        resume = None
        if held is not None:
            before = ClientSession("box", credit_bytes=_CREDIT_BYTES)
            before.receive_data(held)
            resume = before.resume()
        session = ClientSession("box", credit_bytes=_CREDIT_BYTES, resume=resume)
    gives = []
    try:
        for piece in pieces:
            gives += [described(event) for event in session.receive_data(piece)]
        session.receive_eof()
    except RemoteProtocolError as fault:
        gives.append({"fault": int(fault.code)})
    return gives


def described(event: Event) -> dict[str, Any]:
    """An event as index.json says it."""
    match event:
        case Hello():
            have = event.have
            return {
                "frame": "HELLO",
                "versions": list(event.versions),
                "scene": event.scene,
                "token": event.token,
                "credit": event.credit_bytes,
                "fragment": event.limits.fragment_bytes,
                "view": event.view.serial if event.view else None,
                "have": have
                and {
                    "hash": have.scene_hash.hex(),
                    "chunks": sorted(have.chunks),
                    "pages": sorted(have.pages),
                    "partial": [list(pair) for pair in sorted(have.partial.items())],
                },
            }
        case Welcome():
            return {
                "frame": "WELCOME",
                "version": event.version,
                "hash": event.scene_hash.hex(),
                "resumed": event.resumed,
            }
        case View(serial, camera):
            return {
                "frame": "VIEW",
                "serial": serial,
                "viewmat": camera.viewmat.ravel().tolist(),
                "K": camera.K.ravel().tolist(),
                "size": [camera.width, camera.height],
            }
        case Credit(add_bytes):
            return {"frame": "CREDIT", "add": add_bytes}
        case Cancel(parts):
            return {"frame": "CANCEL", "parts": list(parts)}
        case Want(parts, again):
            return {"frame": "WANT", "parts": list(parts), "again": again}
        case Fragment(part, offset, data, view_serial):
            return {
                "frame": "CHUNK",
                "part": part,
                "offset": offset,
                "bytes": len(data),
                "serial": view_serial,
            }
        case PageArrived(page):
            return {"whole": "page", "id": page.id}
        case ChunkArrived(chunk):
            return {"whole": "chunk", "id": chunk.id}
        case Error(code, message, fatal):
            return {"frame": "ERROR", "code": int(code), "message": message, "fatal": fatal}
        case GoAway(code, message, retry_after_s):
            return {
                "frame": "GOAWAY",
                "code": int(code),
                "message": message,
                "retry_after": retry_after_s,
            }


def records() -> list[tuple[Record, bytes]]:
    """All records, with their bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box.exgs"
        write_box(path, 400)
        box = BoxFile(path.read_bytes())
    half = _whole(box, 5000)
    return [
        _from_client("hello", "all fields of HELLO, then VIEW and CREDIT", _hello()),
        _from_client("hello_resumes", "HELLO with a have-set", _hello_resumes(box)),
        _from_client("hello_cut", "a frame that the stream cuts", _hello()[:-3]),
        _from_client("chunk_from_client", "a frame of the wrong side", b"\7" + bytes(7)),
        _from_client("view_first", "a frame that the state does not allow", b"\3" + bytes(7)),
        _from_client("flags", "a flag that is not known", b"\1\1" + bytes(6)),
        _from_client("too_long", "a HELLO beyond its limit", b"\1\0\0\0\1\0\4\0"),
        _from_client("skipped", "an unknown frame to skip", b"\x80\0\0\0\2\0\0\0??" + _hello()),
        _from_server("whole", "a whole scene in file order", _whole(box)),
        _from_server("half", "the front of a scene, up to the credit", half),
        _from_server("rest", "the rest, for a client that resumes", _rest(box), ("half", half)),
        _from_server("view", "a scene by a view", _whole(box, camera=camera_at(0, 0, -3))),
        _from_server("damaged", "a part that does not match its hash", _damaged(box)),
        _from_server("twice", "a part that was whole", _twice(box)),
        _from_server("gap", "a fragment that leaves a gap", _gap(box)),
        _from_server("refused", "a fatal ERROR", _ending(fatal=True)),
        _from_server("goaway", "a server that stops", _ending(fatal=False)),
    ]


def _from_client(name: str, says: str, data: bytes) -> tuple[Record, bytes]:
    return Record(name, says, "server", replay(Record(name, says, "server", []), [data])), data


def _from_server(
    name: str, says: str, data: bytes, held: tuple[str, bytes] = ("", b"")
) -> tuple[Record, bytes]:
    empty = Record(name, says, "client", [], held[0] or None)
    gives = replay(empty, [data], held[1] or None)
    return Record(name, says, "client", gives, held[0] or None), data


def _client(**options: Any) -> ClientSession:
    return ClientSession("box", **{"credit_bytes": _CREDIT_BYTES, **options})


def _hello() -> bytes:
    client = _client(
        token="secret", camera=camera_at(0, 0, -3), limits=Limits(4096, 1 << 30), credit_bytes=100
    )
    client.send_view(camera_at(1, 0, -3))
    client.send_credit(1000)
    return b"".join(client.data_to_send())


def _exchange(box: BoxFile, **options: Any) -> Exchange:
    exchange = Exchange(box, _client(**options))
    exchange.open()
    exchange.run()
    return exchange


def _hello_resumes(box: BoxFile) -> bytes:
    client = _client(resume=_exchange(box, credit_bytes=5000).client.resume())
    return b"".join(client.data_to_send())


def _whole(box: BoxFile, credit_bytes: int = _CREDIT_BYTES, **options: Any) -> bytes:
    return b"".join(_exchange(box, credit_bytes=credit_bytes, **options).sent)


def _rest(box: BoxFile) -> bytes:
    resume = _exchange(box, credit_bytes=5000).client.resume()
    return b"".join(_exchange(box, resume=resume).sent)


def _damaged(box: BoxFile) -> bytes:
    frames = _exchange(box).sent
    frames[1] = frames[1][:-1] + bytes([frames[1][-1] ^ 1])
    return b"".join(frames)


def _twice(box: BoxFile) -> bytes:
    frames = _exchange(box).sent
    return b"".join([frames[0], frames[1], frames[1]])


def _gap(box: BoxFile) -> bytes:
    exchange = Exchange(box, _client())
    exchange.open()
    piece = exchange.server.next_fragment(100)
    if piece is None:
        raise RuntimeError("there is nothing to send")
    exchange.server.send_fragment(piece, box.read(piece.file_offset, 100))
    exchange.server.data_to_send()
    piece = exchange.server.next_fragment(100)
    if piece is None:
        raise RuntimeError("there is nothing to send")
    exchange.server.send_fragment(piece, box.read(piece.file_offset, 100))
    return b"".join([*exchange.sent, *exchange.server.data_to_send()])


def _ending(*, fatal: bool) -> bytes:
    server = ServerSession()
    server.receive_data(b"".join(_client().data_to_send()))
    if fatal:
        server.send_error(ErrorCode.NOT_FOUND, "there is no such scene")
    else:
        server.send_goaway(ErrorCode.SHUTDOWN, "back soon", retry_after_s=1.5)
    return b"".join(server.data_to_send())


def main() -> None:
    """Write them."""
    SESSIONS.mkdir(parents=True, exist_ok=True)
    index = []
    for record, data in records():
        (SESSIONS / f"{record.name}.bin").write_bytes(data)
        index.append(record.entry)
    (SESSIONS / "index.json").write_text(json.dumps(index, indent=1) + "\n")


if __name__ == "__main__":
    main()

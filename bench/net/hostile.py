"""Hostile files and frames: their errors, and the memory that refusing them takes.

    python -m bench.net.hostile

The files are those of spec/vectors/invalid: bombs, wrong sizes, dictionaries, trailing frames. The
frames are the recorded faults of spec/vectors/sessions, and WELCOME frames with the heads of those
files. Each is tested in a separate process; its memory is the peak above the memory at the start,
as the kernel counts it.
"""

from __future__ import annotations

import json
import os
import pickle
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgpack

from bench.net.site import table
from exgs.codec.constants import HEADER_BYTES, FrameType
from exgs.codec.decoding.decode import decode
from exgs.codec.errors import ExgsError
from exgs.codec.format.frame import content_hash
from exgs.codec.format.header import parse_header
from exgs.wire.client import ClientSession
from exgs.wire.frames import pack_frame
from exgs.wire.server import ServerSession

_VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
_LIMIT_BYTES = 8 << 20
_RESET_PEAK = "5"  # for /proc/self/clear_refs


def _peak_bytes(name: str) -> int:
    """VmHWM or VmRSS of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


def _outcome(attempt: Callable[[], object]) -> tuple[str, int]:
    """The result of an attempt in a separate process, and its memory."""
    out, into = os.pipe()
    child = os.fork()
    if not child:
        try:
            Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
            before_bytes = _peak_bytes("VmRSS")
            try:
                attempt()
                end = "accepted"
            except ExgsError as error:
                end = type(error).__name__
            except BaseException as error:  # unexpected errors are counted and named
                end = f"UNTYPED {error!r}"
            os.write(into, pickle.dumps((end, _peak_bytes("VmHWM") - before_bytes)))
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as answer:
        data = answer.read()
    os.waitpid(child, 0)
    return pickle.loads(data) if data else ("DIED", 0)


def _receive(receiver: str, data: bytes) -> None:
    session = (
        ServerSession() if receiver == "server" else ClientSession("box", credit_bytes=1 << 20)
    )
    session.receive_data(data)
    session.receive_eof()


def _welcome(path: Path) -> bytes:
    """WELCOME with header and root index of a file, with the lengths in its header."""
    data = path.read_bytes()
    try:
        data = data[: parse_header(data[:HEADER_BYTES]).root_end]
    except ExgsError:
        data = data[:HEADER_BYTES]
    payload = {
        "version": 1,
        "hash": content_hash(data),
        "limits": {"fragment": 16384, "credit": 1 << 40},
        "resumed": False,
        "head": data,
    }
    return pack_frame(FrameType.WELCOME, msgpack.packb(payload))


def _recording(name: str) -> bytes:
    return (_VECTORS / "sessions" / f"{name}.bin").read_bytes()


def main() -> None:
    """Measure and print."""
    decode(next(iter(sorted((_VECTORS / "valid").glob("*.exgs")))))  # load lazy modules first
    files = sorted((_VECTORS / "invalid").glob("*.exgs"))
    recorded = json.loads((_VECTORS / "sessions" / "index.json").read_text())
    attempts: dict[str, list[tuple[str, Callable[[], object]]]] = {
        "files": [(path.stem, partial(decode, path)) for path in files],
        "heads in WELCOME": [
            (path.stem, partial(_receive, "client", _welcome(path))) for path in files
        ],
        "recorded faults": [
            (entry["name"], partial(_receive, entry["receiver"], _recording(entry["name"])))
            for entry in recorded
            if "fault" in entry["gives"][-1]
        ],
    }
    rows = []
    for kind, each in attempts.items():
        found = [(*_outcome(attempt), name) for name, attempt in each]
        ends = Counter(end for end, _, _ in found)
        most = sorted(((size, name) for _, size, name in found), reverse=True)
        over = [f"{name} {size / 1e6:.1f} MB" for size, name in most if size > _LIMIT_BYTES]
        listed = ", ".join(f"{count} {end}" for end, count in ends.most_common())
        rows += [
            (f"{len(found)} {kind}", listed, "typed errors"),
            (f"{kind}: most memory", f"{most[0][0] / 1e6:.1f} MB ({most[0][1]})", "at most 8 MB"),
            (f"{kind}: beyond 8 MB", ", ".join(over) or "none", "none"),
        ]
    print(table(rows))


if __name__ == "__main__":
    main()

"""Fuzzes the readers of untrusted bytes, which must raise typed errors only.

    python -m bench.net.fuzz header|index|page|chunk|control [--minutes 10] [--corpus FOLDER]

With atheris (`pip install atheris`) the search is guided by coverage; without it, the seeds are
mutated at random. Checksums, hashes and compression are corrected around fuzzed data, since they
would reject all inputs otherwise. An untyped error, or memory beyond 256 MB, ends the run with the
input that caused it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import zstandard

_VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
_MEMORY_BYTES = 256 << 20
_LOOK_EVERY = 500  # inputs
_LONGEST_BYTES = 1 << 14
_INSTRUMENTED = ("exgs.codec", "exgs.wire")

Fuzz = Callable[[bytes], None]


def _header() -> tuple[Fuzz, list[bytes]]:
    """The front of a file; the first byte tells whether its checksum is corrected."""
    from exgs.codec.constants import HEADER_BYTES
    from exgs.codec.format.container import parse_head
    from exgs.codec.format.header import crc32c, parse_header

    def fuzz(data: bytes) -> None:
        body = data[1:]
        if data[0] & 1 and len(body) >= HEADER_BYTES:
            front = body[: HEADER_BYTES - 4]
            body = front + crc32c(front).to_bytes(4, "little") + body[HEADER_BYTES:]
        parse_header(body)
        parse_head(body)

    files = sorted((_VECTORS / "valid").glob("*.exgs"))
    fronts = [path.read_bytes()[:2000] for path in files]
    return fuzz, [bytes([flag]) + front for front in fronts for flag in (0, 1)]


def _index() -> tuple[Fuzz, list[bytes]]:
    """The root index of a file, unpacked or packed, as the first byte tells."""
    from tests.codec.drawing import draw
    from tests.codec.forge import assemble, small_file

    roots: list[bytes] = []

    def keep(raw: bytes) -> bytes:
        roots.append(raw)
        return _packed(raw)

    base = small_file()
    base.wrap_root = keep
    assemble(base)

    def fuzz(data: bytes) -> None:
        packed = data[1:] if data[0] & 1 else _packed(data[1:])
        lengths = {"root_raw": len(data) - 1}
        draw(assemble(replace(base, wrap_root=lambda _: packed, header=lengths)))

    return fuzz, [b"\0" + roots[0], b"\1" + _packed(roots[0])]


def _page() -> tuple[Fuzz, list[bytes]]:
    """A page of a group, unpacked; the first byte is its number. Lengths and hashes are correct."""
    from tests.codec.drawing import draw
    from tests.codec.forge import Root, assemble, paired_file

    base = paired_file()
    sound = base.dump_page
    pages: list[bytes] = []

    def keep(table: Root) -> bytes:
        pages.append(sound(table))
        return pages[-1]

    assemble(replace(base, dump_page=keep))

    def fuzz(data: bytes) -> None:
        raws = list(pages)
        raws[data[0] % len(raws)] = data[1:]
        dumped = iter(raws)
        draw(assemble(replace(base, dump_page=lambda _: next(dumped))))

    return fuzz, [bytes([number]) + raw for number, raw in enumerate(pages)]


def _chunk() -> tuple[Fuzz, list[bytes]]:
    """The payload of one chunk; the first byte is its number. Hash and lengths are correct."""
    from tests.codec.drawing import draw
    from tests.codec.forge import assemble, random_file

    base = random_file(counts=(3, 4), proxies=(2, 0), seed=1, sh_degree=1)
    places = [(page, at) for page, rows in enumerate(base.pages) for at in range(len(rows))]

    def fuzz(data: bytes) -> None:
        page, at = places[(data[0] & 0x7F) % len(places)]
        pages = [list(rows) for rows in base.pages]
        row = pages[page][at]
        if data[0] & 0x80:
            pages[page][at] = replace(row, data=data[1:])
        else:
            pages[page][at] = replace(row, data=_packed(data[1:]), raw=len(data) - 1)
        _check_values(draw(assemble(replace(base, pages=pages))).gaussians)

    unpack = zstandard.ZstdDecompressor().decompress
    rows = [base.pages[page][at] for page, at in places]
    seeds = [bytes([number]) + unpack(row.data) for number, row in enumerate(rows)]
    return fuzz, [*seeds, *(bytes([0x80 | n]) + row.data for n, row in enumerate(rows))]


def _packed(raw: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(raw)


def _check_values(scene: object) -> None:
    """Check that a rasterizer can draw the values."""
    for name in ("means", "quats", "scales", "opacities", "sh0", "shN"):
        if not np.isfinite(getattr(scene, name)).all():
            raise ArithmeticError(f"{name}: not finite")


def _control() -> tuple[Fuzz, list[bytes]]:
    """Frames to one side; the first byte sets the side, its state, and how the stream is cut."""
    from exgs.wire.client import ClientSession
    from exgs.wire.server import ServerSession
    from tests.client.scenes import write_box
    from tests.wire.exchange import BoxFile, Exchange

    with tempfile.TemporaryDirectory() as folder:
        write_box(Path(folder) / "box.exgs", 300)
        box = BoxFile((Path(folder) / "box.exgs").read_bytes())
    plan = box.plan()  # shared, as in a server

    def fuzz(data: bytes) -> None:
        is_server, is_open, piece = data[0] & 1, data[0] & 2, 1 + (data[0] >> 2)
        exchange = Exchange(box, ClientSession("box", credit_bytes=1 << 20))
        if is_open:
            exchange.to_server()
            exchange.server.send_welcome(plan)
            exchange.to_client()
        session: ClientSession | ServerSession
        session = exchange.server if is_server else exchange.client
        step = len(data) if piece == 64 else piece * 7
        for start in range(1, len(data), step):
            session.receive_data(data[start : start + step])
            if isinstance(session, ServerSession) and session.scheduler is not None:
                slice_ = session.next_fragment()
                if slice_ is not None:
                    session.send_fragment(slice_, box.read(slice_.file_offset, slice_.length))
            session.data_to_send()
        session.receive_eof()

    exchange = Exchange(box, ClientSession("box", credit_bytes=1 << 20))
    exchange.open()
    exchange.run()
    recorded = [path.read_bytes() for path in sorted((_VECTORS / "sessions").glob("*.bin"))]
    sent = [*recorded, exchange.sent[0], b"".join(exchange.sent[1:4])]
    return fuzz, [bytes([first]) + data for data in sent for first in (252, 253, 254, 255)]


_TARGETS = {"header": _header, "index": _index, "page": _page, "chunk": _chunk, "control": _control}


class _Watch:
    """Passes inputs to the target, ignores typed errors, counts, and checks the time."""

    def __init__(self, fuzz: Fuzz, seconds: float) -> None:
        from exgs.codec.errors import ExgsError

        self._fuzz = fuzz
        self._typed = ExgsError
        self._start_s = time.monotonic()
        self._end_s = self._start_s + seconds
        self._before_bytes = _peak_bytes()
        self._inputs = self._refused = 0

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end_s

    def __call__(self, data: bytes) -> None:
        if not data:
            return
        self._inputs += 1
        try:
            self._fuzz(data)
        except self._typed as error:
            self._refused += 1
            if "\n" in str(error):
                raise ValueError(f"an error of several lines: {error}") from error
        if self._inputs % _LOOK_EVERY == 0 and _peak_bytes() > _MEMORY_BYTES:
            raise MemoryError(f"{_peak_bytes() >> 20} MB")

    def report(self, search: str) -> str:
        from bench.net.site import table  # not earlier: its imports must be instrumented

        return table(
            [
                ("search", search, ""),
                ("time", f"{(time.monotonic() - self._start_s) / 60:.1f} minutes", "10"),
                ("inputs", f"{self._inputs:,}", ""),
                ("refused by a typed error", f"{self._refused:,}", ""),
                ("anything else", "nothing", "nothing"),
                ("peak memory", f"{_peak_bytes() / 1e6:.0f} MB", "under 256 MB"),
                ("of it before the first input", f"{self._before_bytes / 1e6:.0f} MB", ""),
            ]
        )


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _mutations(seeds: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """An endless sequence of mutated seeds: changed, cut, doubled and spliced."""
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(data) + 1)
            match chance.randrange(5):
                case 0 if data:
                    data[place % len(data)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
                case 1 if data:
                    data[place % len(data)] ^= 1 << chance.randrange(8)
                case 2:
                    del data[place : place + chance.randint(1, 32)]
                case 3:
                    data[place:place] = chance.randbytes(chance.randint(1, 16))
                case 4:
                    other = chance.choice(seeds)
                    data[place:] = other[chance.randrange(len(other)) :]
        yield bytes(data[:_LONGEST_BYTES])


def _with_atheris(watch: _Watch, seeds: list[bytes], corpus: Path) -> None:
    """Does not return: libFuzzer or the time limit ends the process."""
    atheris = importlib.import_module("atheris")
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)

    def fuzz(data: bytes) -> None:
        watch(data)
        if watch.is_over:
            print(watch.report("atheris"), flush=True)
            os._exit(0)

    options = [f"-max_len={_LONGEST_BYTES}", "-rss_limit_mb=1024", "-timeout=20", "-verbosity=0"]
    atheris.Setup([sys.argv[0], str(corpus), *options, f"-artifact_prefix={corpus}/fault-"], fuzz)
    atheris.Fuzz()


def _without(watch: _Watch, seeds: list[bytes], corpus: Path) -> None:
    for data in _mutations(seeds, random.Random(0)):
        if watch.is_over:
            break
        try:
            watch(data)
        except BaseException:
            (corpus / "fault-0").write_bytes(data)
            raise
    print(watch.report("random mutations"))


def main() -> None:
    """Fuzz one target and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=_TARGETS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--corpus", type=Path, help="a folder to keep inputs in")
    arguments = parser.parse_args()
    is_guided = importlib.util.find_spec("atheris") is not None
    instrumented: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    if is_guided:
        atheris = importlib.import_module("atheris")
        instrumented = atheris.instrument_imports(include=list(_INSTRUMENTED))
    with instrumented:
        fuzz, seeds = _TARGETS[arguments.target]()
        watch = _Watch(fuzz, 60 * arguments.minutes)
    for seed in seeds:
        watch(seed)
    corpus = arguments.corpus or Path(tempfile.mkdtemp())
    corpus.mkdir(parents=True, exist_ok=True)
    (_with_atheris if is_guided else _without)(watch, seeds, corpus)


if __name__ == "__main__":
    main()

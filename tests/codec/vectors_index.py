"""Files to refuse for what their header, their frames or the facts of their root index say."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import zstandard

from exgs.codec.constants import ChunkKind
from tests.codec.forge import JPEG, Case, Root, alter, assemble, digest, layers, quality, squeeze
from tests.codec.forged_files import small_file, tiny_file

LEAF, PROXY, SH, BASIS, FINE = (int(kind) for kind in list(ChunkKind)[:5])


def index_cases() -> Iterator[Case]:
    """All of them."""
    for cases in (_headers, _frames, _maps, _facts, _posters):
        yield from cases()


def _headers() -> Iterator[Case]:
    data = assemble(tiny_file())

    def lying(**lies: Any) -> bytes:
        parts = tiny_file()
        parts.header.update(lies)
        return assemble(parts)

    yield "header-empty", "truncated", "no byte at all", b""
    yield "header-cut", "truncated", "63 bytes", data[:63]
    yield "root-cut", "truncated", "the root index lacks a byte", data[: 63 + _root_bytes(data)]
    yield "header-magic", "damaged", "the magic ends in CR LF", b"EXGS\r\n\x1a\r" + data[8:]
    yield (
        "header-text",
        "damaged",
        "the file went through a text conversion",
        data.replace(b"\r\n", b"\n", 1),
    )
    yield (
        "header-crc",
        "damaged",
        "the checksum is off by a bit",
        data[:60] + bytes([data[60] ^ 1]) + data[61:],
    )
    yield "header-major", "unsupported", "major version 2", lying(major=2)
    yield "header-major-zero", "unsupported", "major version 0", lying(major=0)
    yield "header-flags", "unsupported", "an unknown flag", lying(flags=1 << 31)
    yield "header-reserved", "unsupported", "a reserved byte", lying(reserved=bytes(9) + b"\x01")
    yield "header-root-raw", "limit", "a root index of 4 GiB", lying(root_raw=(1 << 32) - 1)
    yield "header-root-packed", "limit", "a root index of 4 GiB", lying(root_packed=(1 << 32) - 1)
    noise = np.random.default_rng(0).bytes(16400)
    for name, problem, filling in (
        ("root-packed-long", "a root index of more than 16320 bytes", noise),
        ("root-raw-long", "a root index of more than 128 KiB unpacked", bytes(1 << 17)),
    ):
        parts = tiny_file()
        parts.root["filling"] = filling
        yield name, "limit", problem, assemble(parts)
    yield "header-file-huge", "limit", "a file of 2^64 - 1 bytes", lying(file_bytes=(1 << 64) - 1)
    yield "header-file-short", "damaged", "the file ends in the root index", lying(file_bytes=65)
    yield (
        "header-file-length",
        "damaged",
        "a byte more than the parts have",
        lying(file_bytes=len(data) + 1),
    )
    yield "trailing-byte", "damaged", "a byte behind the last chunk", data + b"\x00"


def _root_bytes(data: bytes) -> int:
    (length,) = struct.unpack_from("<I", data, 24)
    return int(length)


_TWO_FRAMES = "a second frame behind it"


def _bad_frames() -> Iterator[tuple[str, str, str, Callable[[bytes], bytes]]]:
    """Frames that are wrong whatever they hold."""
    no_size = zstandard.ZstdCompressor(write_content_size=False)
    window = zstandard.ZstdCompressionParameters(window_log=24, write_content_size=True)

    def wide(raw: bytes) -> bytes:
        """A frame with a window descriptor of 16 MiB: content size in 4 bytes, one raw block."""
        block = struct.pack("<I", len(raw) << 3 | 1)[:3]
        head = b"\x28\xb5\x2f\xfd\x80" + bytes([(window.window_log - 10) << 3])
        return head + struct.pack("<I", len(raw)) + block + raw

    def skippable(raw: bytes) -> bytes:
        return struct.pack("<II", 0x184D2A50, len(raw)) + raw

    def with_dictionary(raw: bytes) -> bytes:
        """Not compressed, but a dictionary with the id 7 is named."""
        block = struct.pack("<I", len(raw) << 3 | 1)[:3]
        return b"\x28\xb5\x2f\xfd\xa1\x07" + struct.pack("<I", len(raw)) + block + raw

    def reserved_bit(raw: bytes) -> bytes:
        packed = bytearray(squeeze(raw))
        packed[4] |= 0x08
        return bytes(packed)

    def reserved_block(raw: bytes) -> bytes:
        """Its content in a raw block, but the block is of type 3."""
        block = struct.pack("<I", len(raw) << 3 | 7)[:3]
        return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(raw)) + block + raw

    def bad_checksum(raw: bytes) -> bytes:
        packed = squeeze(raw, write_checksum=True)
        return packed[:-1] + bytes([packed[-1] ^ 1])

    yield "reserved-bit", "damaged", "the reserved bit of the frame is set", reserved_bit
    yield "reserved-block", "damaged", "a block of the reserved type", reserved_block
    yield "checksum", "damaged", "a wrong checksum in the frame", bad_checksum
    yield (
        "checksum-cut",
        "damaged",
        "the checksum that the frame announces is missing",
        lambda raw: squeeze(raw, write_checksum=True)[:-4],
    )
    yield "two-frames", "damaged", _TWO_FRAMES, lambda raw: squeeze(raw) + squeeze(raw)
    yield (
        "skippable-behind",
        "damaged",
        "a skippable frame behind it",
        lambda raw: squeeze(raw) + skippable(b"hidden"),
    )
    yield "skippable", "damaged", "a skippable frame instead", skippable
    yield "byte-behind", "damaged", "a byte behind the frame", lambda raw: squeeze(raw) + b"\x00"
    yield "no-size", "damaged", "no content size is declared", no_size.compress
    yield "more", "damaged", "a byte more is in it", lambda raw: squeeze(raw + b"\x00")
    yield "less", "damaged", "a byte less is in it", lambda raw: squeeze(raw[:-1])
    yield "dictionary", "damaged", "a dictionary is named", with_dictionary
    yield "window", "limit", "a window of 16 MiB", wide
    yield "frame-cut", "damaged", "the frame is cut", lambda raw: squeeze(raw)[:-1]
    yield "noise", "damaged", "no frame at all", lambda raw: b"\xa5" * len(raw)


def _frames() -> Iterator[Case]:
    for name, error, problem, wrap in _bad_frames():
        parts = tiny_file()
        parts.wrap_root = wrap
        yield f"root-{name}", error, f"root index: {problem}", assemble(parts)
        parts = small_file()
        row = parts.pages[0][1]
        raw = zstandard.ZstdDecompressor().decompress(row.data)
        parts.pages[0][1] = replace(row, data=wrap(raw))
        yield f"chunk-{name}", error, f"chunk: {problem}", assemble(parts)
    parts = tiny_file()
    parts.header["root_hash"] = bytes(16)
    yield "root-hash", "damaged", "root index: the hash is another", assemble(parts)
    for kind, name in ((LEAF, "leaf"), (PROXY, "proxy"), (SH, "sh"), (BASIS, "basis")):
        parts = small_file()
        alter(parts, kind, hash=bytes(16))
        yield f"{name}-hash", "damaged", f"{name}: the hash is another", assemble(parts)
    parts = small_file()
    alter(parts, FINE, hash=bytes(16))
    yield "fine-hash", "damaged", "fine: the hash is another", assemble(parts)
    parts = small_file()
    parts.edit_index = lambda root: root["pages"].update(hash=bytes(16 * (len(parts.pages) - 1)))
    yield "page-hash", "damaged", "page: the hash is another", assemble(parts)


def _maps() -> Iterator[Case]:
    """What MessagePack alone can do."""

    def dumped(dump: Callable[[Root], bytes]) -> bytes:
        parts = tiny_file()
        parts.dump_root = dump
        return assemble(parts)

    def sound(root: Root) -> bytes:
        return bytes(msgpack.packb(root, use_bin_type=True))

    def twice(root: Root) -> bytes:
        packed = sound(root)
        return (
            b"\xde"
            + struct.pack(">H", len(root) + 1)
            + packed[1:]
            + msgpack.packb("count")
            + b"\x04"
        )

    def integer_key(root: Root) -> bytes:
        return b"\xde" + struct.pack(">H", len(root) + 1) + sound(root)[1:] + b"\x01\x01"

    def beside(value: bytes) -> Callable[[Root], bytes]:
        """A packed value under an unknown key."""
        return lambda root: (
            b"\xde" + struct.pack(">H", len(root) + 1) + sound(root)[1:] + b"\xa1x" + value
        )

    for name, problem, value in (
        ("nested", "17 maps and lists within each other", b"\x91" * 15 + b"\x80"),
        ("unknown-twice", "a key stands twice under an unknown key", b"\x82\xa1a\x01\xa1a\x02"),
        ("unknown-utf8", "a string under an unknown key is not UTF-8", b"\xa1\xff"),
        ("unknown-key", "a byte string is a key under an unknown key", b"\x81\xc4\x01a\x01"),
    ):
        yield f"map-{name}", "damaged", problem, dumped(beside(value))
    yield "map-list", "damaged", "a list instead of a map", dumped(lambda r: sound([r]))  # type: ignore[arg-type]
    yield "map-behind", "damaged", "a byte behind the map", dumped(lambda r: sound(r) + b"\x00")
    yield "map-cut", "damaged", "the map is cut", dumped(lambda r: sound(r)[:-1])
    yield (
        "map-deep",
        "damaged",
        "100,000 nested lists",
        dumped(lambda r: b"\x91" * 100_000 + b"\xc0"),
    )
    yield (
        "map-deep-value",
        "damaged",
        "an unknown key holds 100,000 nested lists",
        dumped(beside(b"\x91" * 100_000 + b"\xc0")),
    )
    yield (
        "map-count",
        "damaged",
        "a map of 2^32 - 1 keys",
        dumped(lambda r: b"\xdf\xff\xff\xff\xff" + sound(r)[1:]),
    )
    yield (
        "map-bytes",
        "damaged",
        "a byte string of 2^32 - 1 bytes",
        dumped(lambda r: b"\x81\xa4name\xc6\xff\xff\xff\xff"),
    )
    yield "map-key-twice", "damaged", "a key stands twice", dumped(twice)
    yield "map-key-integer", "damaged", "a key is an integer", dumped(integer_key)
    yield (
        "map-utf8",
        "damaged",
        "a string is not UTF-8",
        dumped(lambda r: sound(r).replace(b"CC0-1.0", b"CC0-\xff.0")),
    )
    yield (
        "map-reserved",
        "damaged",
        "the byte C1, which MessagePack never uses",
        dumped(lambda r: b"\xc1"),
    )


def _facts() -> Iterator[Case]:
    """Fields of the root index."""

    def edited(two_layers: bool = False, **fields: Any) -> bytes:
        parts = small_file() if two_layers else tiny_file()
        parts.edit_index = lambda root: root.update(fields)
        return assemble(parts)

    def without(name: str) -> bytes:
        parts = tiny_file()
        parts.edit_index = lambda root: root.pop(name)
        return assemble(parts)

    nan, inf = float("nan"), float("inf")
    for name in tiny_file().root:
        yield f"no-{name.replace('_', '-')}", "damaged", f"{name} is missing", without(name)
    yield "no-chunk-table", "damaged", "chunks is missing", without("chunks")
    yield "no-page-table", "damaged", "pages is missing", without("pages")
    yield "name-bytes", "damaged", "the name is a byte string", edited(name=b"a")
    yield "name-long", "limit", "a name of 1025 bytes", edited(name="é" * 512 + "a")
    yield "name-escape", "damaged", "the name holds an escape sequence", edited(name="\x1b[2J")
    yield "credit-c1", "damaged", "the credit holds a C1 control character", edited(credit="\x9b2J")
    yield "count-negative", "damaged", "a negative count", edited(count=-1)
    yield "count-float", "damaged", "count is a float", edited(count=4.0)
    yield "count-bool", "damaged", "count is true", edited(count=True)
    yield "count-huge", "limit", "2^28 + 1 leaves", edited(count=(1 << 28) + 1)
    yield "count-off", "damaged", "one leaf more than the layers have", edited(count=6)
    yield "degree-four", "limit", "SH of degree 4", edited(sh_degree=4)
    yield "up-two", "damaged", "up has two numbers", edited(up=[0.0, 1.0])
    yield "up-nan", "damaged", "up is not a number", edited(up=[0.0, nan, 0.0])
    yield "up-bool", "damaged", "up holds true", edited(up=[0.0, True, 0.0])
    yield "up-huge", "damaged", "up is 1e30 long", edited(up=[0.0, 1e30, 0.0])
    for name, value, problem in (
        ("integer", 1, "antialiased is 1"),
        ("nil", None, "antialiased is nil"),
    ):
        yield f"antialiased-{name}", "damaged", problem, edited(antialiased=value)
    for name, values, problem in (
        ("four", [0.0, 0.0, 0.0, 0.0], "the origin has four numbers"),
        ("inf", [0.0, 0.0, inf], "the origin is infinite"),
        ("huge", [0, 0, 2.0**99 * (1 + 2.0**-52)], "the origin lies just beyond 2^99"),
        ("text", ["0", "0", "0"], "the origin is three strings"),
        ("bytes", bytes(24), "the origin is a byte string"),
    ):
        yield f"origin-{name}", "damaged", problem, edited(origin=values)
    yield "crs-nil", "damaged", "the reference system is nil", edited(crs=None)
    yield "crs-long", "limit", "a reference system of 1025 bytes", edited(crs="E" * 1025)
    yield "crs-escape", "damaged", "the reference system has a NUL", edited(crs="EPSG\0")
    home = {"eye": [0.0, 0.0, 0.0], "forward": [0.0, 0.0, 1.0], "fov_y": 1.0}
    yield "home-list", "damaged", "home is a list", edited(home=[])
    yield (
        "home-eye",
        "damaged",
        "the home view stands at infinity",
        edited(home={**home, "eye": [inf, 0.0, 0.0]}),
    )
    yield (
        "home-forward",
        "damaged",
        "the home view looks nowhere",
        edited(home={**home, "forward": [0.0, 0.0, 0.0]}),
    )
    yield "home-fov-zero", "damaged", "the field of view is 0", edited(home={**home, "fov_y": 0.0})
    yield (
        "home-fov-nan",
        "damaged",
        "the field of view is no number",
        edited(home={**home, "fov_y": nan}),
    )
    yield (
        "home-fov-none",
        "damaged",
        "the home view has no field of view",
        edited(home={"eye": home["eye"], "forward": home["forward"]}),
    )
    yield "layers-none", "damaged", "no layers", edited(True, layers=layers([]), count=0)
    yield (
        "layers-many",
        "limit",
        "65 layers",
        edited(True, layers=layers([(0, 0, 0, 1.0)] * 63 + [(0, 2, 1, 1.0), (1, 3, 0, 1.0)])),
    )
    yield (
        "layers-level",
        "limit",
        "tile level 17",
        edited(True, layers=layers([(0, 2, 1, 1.0), (17, 3, 0, 1.0)])),
    )
    yield (
        "layers-falling",
        "damaged",
        "tile levels fall",
        edited(True, layers=layers([(1, 2, 1, 1.0), (0, 3, 0, 1.0)])),
    )
    for name, factor in (("nan", nan), ("zero", 0.0), ("small", 0.0078), ("huge", 128.01)):
        yield (
            f"amplification-{name}",
            "damaged",
            f"amplification {factor}",
            edited(True, layers=layers([(0, 2, 1, factor), (1, 3, 0, 1.0)])),
        )
    cut = layers([(0, 2, 1, 1.0), (1, 3, 0, 1.0)])
    yield (
        "layers-cut",
        "damaged",
        "a column is cut",
        edited(True, layers={**cut, "leaves": cut["leaves"][:-1]}),
    )
    yield (
        "layers-uneven",
        "damaged",
        "columns differ in length",
        edited(True, layers={**cut, "leaves": cut["leaves"][:-4]}),
    )
    yield (
        "layers-list",
        "damaged",
        "a column is a list",
        edited(True, layers={**cut, "leaves": [2, 3]}),
    )
    yield (
        "quality-nan",
        "damaged",
        "a PSNR is not a number",
        edited(quality=quality([(1, nan, 0.5)])),
    )
    yield "quality-inf", "damaged", "a PSNR is infinite", edited(quality=quality([(1, inf, 0.5)]))
    yield "quality-ssim", "damaged", "an SSIM of 2", edited(quality=quality([(1, 20.0, 2.0)]))
    yield (
        "quality-falling",
        "damaged",
        "bytes do not rise",
        edited(quality=quality([(2, 20.0, 0.5), (2, 21.0, 0.6)])),
    )
    yield (
        "quality-many",
        "limit",
        "65 points",
        edited(quality=quality([(i, 20.0, 0.5) for i in range(65)])),
    )


def _posters() -> Iterator[Case]:
    """The picture between the root index and the first chunk."""

    def poster(data: bytes = JPEG, **fields: Any) -> bytes:
        parts = tiny_file()
        parts.poster = data
        parts.root.update(fields)
        return assemble(parts)

    def without_hash() -> bytes:
        parts = tiny_file()
        parts.poster = JPEG
        parts.edit_index = lambda root: root.pop("poster_hash")
        return assemble(parts)

    yield "poster-long", "limit", "a poster of 8193 bytes", poster(JPEG.ljust(8193, b"\0"))
    yield "poster-hash-none", "damaged", "a poster without a hash", without_hash()
    yield (
        "poster-hash-alone",
        "damaged",
        "a hash without a poster",
        poster(b"", poster_hash=digest(b"")),
    )
    yield "poster-hash", "damaged", "poster: the hash is another", poster(poster_hash=bytes(16))
    yield (
        "poster-hash-cut",
        "damaged",
        "the hash of the poster is cut",
        poster(poster_hash=digest(JPEG)[:15]),
    )
    parts = tiny_file()
    parts.poster = JPEG
    parts.header["poster_bytes"] = 8000
    yield "poster-beyond", "damaged", "a poster that is longer than the file", assemble(parts)
    parts.header["poster_bytes"] = len(JPEG) + 1
    yield "poster-length", "damaged", "a poster that reaches into the first chunk", assemble(parts)

"""Files to refuse for what their payloads say, or for how much these would unpack to."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import zstandard

from exgs.codec.constants import ChunkKind
from tests.codec.forge import Case, Parts, alter, assemble, chunk, layers, squeeze
from tests.codec.forged_files import random_file, small_file

LEAF, PROXY, SH, BASIS, FINE = (int(kind) for kind in list(ChunkKind)[:5])


def payload_cases() -> Iterator[Case]:
    """All of them."""
    for cases in (_payloads, _bombs):
        yield from cases()


def _payloads() -> Iterator[Case]:
    """Chunks whose bytes are as the table says, and wrong."""

    def patched(kind: int, offset: int, patch: bytes) -> bytes:
        return payload(kind, lambda raw: raw[:offset] + patch + raw[offset + len(patch) :])

    def payload(kind: int, change: Callable[[bytes], bytes]) -> bytes:
        parts = small_file()
        for page in parts.pages:
            for i, row in enumerate(page):
                if row.kind == kind:
                    raw = change(zstandard.ZstdDecompressor().decompress(row.data))
                    page[i] = replace(row, data=squeeze(raw), raw=len(raw))
                    return assemble(parts)
        raise ValueError(kind)

    nan, inf, zero = (struct.pack("<f", value) for value in (float("nan"), float("inf"), 0.0))
    huge, minus = struct.pack("<f", 2e30), struct.pack("<f", -1.0)
    for kind, name in ((LEAF, "leaf"), (PROXY, "proxy")):
        yield (
            f"{name}-behind",
            "damaged",
            "a byte behind the columns",
            payload(kind, lambda raw: raw + b"\x00"),
        )
        yield (
            f"{name}-short",
            "damaged",
            "a byte of the columns is missing",
            payload(kind, lambda raw: raw[:-1]),
        )
        yield f"{name}-width", "damaged", "a column of nine planes", patched(kind, 3, b"\x09")
        yield f"{name}-reserved", "unsupported", "a reserved byte", patched(kind, 11, b"\x01")
    yield "leaf-reserved-word", "unsupported", "a reserved byte", patched(LEAF, 39, b"\x80")
    yield "leaf-sh", "damaged", "a LEAF with SH of its own", patched(LEAF, 38, b"\x01")
    yield from _proxy_sh()
    for offset, field in ((12, "origin"), (28, "scale-origin")):
        yield f"leaf-{field}-nan", "damaged", f"{field} is not a number", patched(LEAF, offset, nan)
        yield f"leaf-{field}-huge", "damaged", f"{field} is 2e30", patched(LEAF, offset, huge)
    for offset, field in ((24, "position"), (32, "scale"), (40, "luma"), (44, "chroma")):
        yield f"leaf-{field}-zero", "damaged", f"{field}_step is 0", patched(LEAF, offset, zero)
        yield (
            f"leaf-{field}-inf",
            "damaged",
            f"{field}_step is infinite",
            patched(LEAF, offset, inf),
        )
    yield "leaf-position-nan", "damaged", "position_step is no number", patched(LEAF, 24, nan)
    yield "leaf-position-minus", "damaged", "position_step is negative", patched(LEAF, 24, minus)
    for value in (0, 1, 17):
        yield (
            f"leaf-rotation-{value}",
            "damaged",
            f"{value} rotation bits",
            patched(LEAF, 36, bytes([value])),
        )
    for value in (0, 17):
        yield (
            f"leaf-opacity-{value}",
            "damaged",
            f"{value} opacity bits",
            patched(LEAF, 37, bytes([value])),
        )
    yield (
        "leaf-children",
        "damaged",
        "child counts add up to more",
        patched(LEAF, 48, struct.pack("<II", 2, 1)),
    )
    yield (
        "leaf-children-wrap",
        "damaged",
        "child counts add up modulo 2^32",
        patched(LEAF, 48, struct.pack("<II", 0xFFFFFFFF, 3)),
    )
    yield (
        "fine-behind",
        "damaged",
        "a byte behind the columns",
        payload(FINE, lambda raw: raw + b"\x00"),
    )
    yield (
        "fine-short",
        "damaged",
        "a byte of the columns is missing",
        payload(FINE, lambda raw: raw[:-1]),
    )
    yield "fine-width", "damaged", "a column of 255 planes", patched(FINE, 0, b"\xff")
    yield "fine-reserved", "unsupported", "a reserved word", patched(FINE, 10, b"\x01\x00")
    for offset, field in ((12, "mean"), (16, "scale"), (20, "turn"), (24, "opacity")):
        yield f"fine-{field}-zero", "damaged", f"{field}_step is 0", patched(FINE, offset, zero)
        yield (
            f"fine-{field}-nan",
            "damaged",
            f"{field}_step is no number",
            patched(FINE, offset, nan),
        )
    yield "basis-size", "damaged", "rows of 13 numbers for degree 1", patched(BASIS, 2, b"\x0d\x00")
    yield "basis-rows", "damaged", "more rows than it holds", patched(BASIS, 0, b"\x07\x00")
    yield "basis-rows-many", "damaged", "13 rows of 12 numbers", patched(BASIS, 0, b"\x0d\x00")
    yield "basis-bases-none", "damaged", "no bases", patched(BASIS, 4, b"\x00\x00")
    yield "basis-bases", "damaged", "more bases than it holds", patched(BASIS, 4, b"\x02\x00")
    yield (
        "basis-bases-many",
        "damaged",
        "65 bases of no rows",
        payload(BASIS, lambda raw: struct.pack("<HHH", 0, 12, 65)),
    )
    yield "basis-nan", "damaged", "a number is none", patched(BASIS, 10, b"\x00\x7e")
    yield "basis-inf", "damaged", "a number is infinite", patched(BASIS, 10, b"\x00\xfc")
    yield (
        "basis-behind",
        "damaged",
        "a byte behind the rows",
        payload(BASIS, lambda raw: raw + b"\x00"),
    )
    yield (
        "sh-components",
        "damaged",
        "a component more than the basis has",
        payload(SH, lambda raw: b"\x07\x00" + raw[2:14] + b"\x00" + raw[14:]),
    )
    yield "sh-components-many", "damaged", "65535 components", patched(SH, 0, b"\xff\xff")
    yield "sh-basis", "damaged", "the second basis of one", patched(SH, 3, b"\x01")
    yield "sh-step-zero", "damaged", "the step is 0", patched(SH, 4, zero)
    yield "sh-step-inf", "damaged", "the step is infinite", patched(SH, 4, inf)
    yield "sh-width", "damaged", "a column of nine planes", patched(SH, 8, b"\x09")
    for name, what, value_width, columns in (
        ("flags-missing", "no flags of a sparse column", 1, b""),
        ("flags-spare", "a flag of a column that is not there", 1, b"\x40\x00\x01"),
        ("values-missing", "a value less than there are flags", 1, b"\x80\x80\x01"),
        ("values-behind", "a value more than there are flags", 1, b"\x80\x00\x01\x01"),
        ("value-width", "values of nine planes", 9, b"\x80\x00" + bytes(9)),
    ):
        sparse = struct.pack("<HBBfB", 1, value_width, 0, 0.1, 128) + columns
        yield f"sh-{name}", "damaged", what, payload(SH, lambda raw, sparse=sparse: sparse)
    yield "sh-cut-widths", "damaged", "two of six widths", payload(SH, lambda raw: raw[:10])
    yield (
        "sh-cut-planes",
        "damaged",
        "a column of eight planes, and none of them",
        payload(SH, lambda raw: struct.pack("<HBBfB", 1, 0, 0, 0.1, 8)),
    )
    yield (
        "sh-behind",
        "damaged",
        "a byte behind the columns",
        payload(SH, lambda raw: raw + b"\x00"),
    )
    yield (
        "sh-short",
        "damaged",
        "a byte of the columns is missing",
        payload(SH, lambda raw: raw[:-1]),
    )


def _proxy_sh() -> Iterator[Case]:
    """What stands behind the columns of a PROXY: rows of 12 numbers, then an SH payload."""

    def file(change: Callable[[bytes, int], bytes], sh_degree: int = 1) -> bytes:
        """The payload and where the rows begin are given."""
        parts = random_file(counts=(2, 3), refined=1, proxy_rows=3, sh_degree=sh_degree)
        row = parts.pages[0][0]
        raw = zstandard.ZstdDecompressor().decompress(row.data)
        start = 48 + 4 * 2 + sum(raw[:11]) * row.count
        raw = change(raw, start)
        parts.pages[0][0] = replace(row, data=squeeze(raw), raw=len(raw))
        return assemble(parts)

    def patched(offset: int, patch: bytes) -> bytes:
        """`patch` at this offset from the start of the rows."""
        return file(
            lambda raw, start: raw[: start + offset] + patch + raw[start + offset + len(patch) :]
        )

    rows = 2 * 3 * 12
    yield (
        "proxy-sh-none",
        "damaged",
        "SH behind a PROXY that has none",
        file(lambda raw, start: raw[:38] + b"\0" + raw[39:]),
    )
    yield (
        "proxy-sh-many",
        "damaged",
        "13 components of 12 numbers",
        file(
            lambda raw, start: (
                raw[:38] + b"\x0d" + raw[39:start] + bytes(2 * 13 * 12) + raw[start + rows :]
            )
        ),
    )
    yield "proxy-sh-cut", "damaged", "rows that are cut", file(lambda raw, start: raw[: start + 5])
    yield (
        "proxy-sh-headless",
        "damaged",
        "rows without SH behind them",
        file(lambda raw, start: raw[: start + rows + 7]),
    )
    yield "proxy-sh-nan", "damaged", "a row holds no number", patched(4, b"\x00\x7e")
    yield "proxy-sh-basis", "damaged", "the second basis of one", patched(rows + 3, b"\x01")
    yield "proxy-sh-step", "damaged", "the step is 0", patched(rows + 4, bytes(4))
    yield "proxy-sh-behind", "damaged", "a byte behind the SH", file(lambda raw, _: raw + b"\0")
    degree_0 = random_file(counts=(2, 3), proxy_rows=1, sh_degree=0, fine=False)
    yield "proxy-sh-degree", "damaged", "SH of proxies in a scene of degree 0", assemble(degree_0)
    parts = small_file()
    alter(parts, PROXY, raw=57 + 88 + 2 * 12 * 12 + 8 + 12 + 8 * 12 + 2)
    yield "proxy-too-large", "damaged", "a PROXY of more than geometry and SH", assemble(parts)


def _bombs() -> Iterator[Case]:
    """A few bytes that ask for much memory."""
    mebi = 1 << 20
    parts = small_file()
    parts.wrap_root = lambda raw: zstandard.ZstdCompressor(write_content_size=False).compress(
        bytes(64 * mebi)
    )
    yield "bomb-root", "damaged", "a root index that unpacks to 64 MiB, undeclared", assemble(parts)

    parts = small_file()
    alter(parts, LEAF, data=squeeze(bytes(64 * mebi)))
    yield (
        "bomb-chunk",
        "damaged",
        "a chunk that unpacks to 64 MiB, listed as small",
        assemble(parts),
    )

    # As many as are let through take their memory before the rest is seen, on the next page.
    full = 1 << 12
    head = struct.pack("<11BB3f3fBBHff", *[8] * 11, 0, *[0.0] * 3, 1.0, 0.0, 1.0, 8, 8, 0, 1.0, 1.0)
    payload = head + struct.pack("<I", full) + bytes(11 * 8 * full)
    first, *rest = [chunk(LEAF, layer, 0, full, payload) for layer in range(40)]
    root = {
        **small_file().root,
        "count": 40 * full,
        "sh_degree": 3,
        "layers": layers([(0, full, 0, 1.0)] * 40),
    }
    yield (
        "bomb-gaussians",
        "limit",
        "a hundred thousand Gaussians in columns of zeros",
        assemble(Parts(root, [[first], rest])),
    )

    large = random_file(
        counts=(600, full + 200),
        proxies=(0, 0),
        levels=(0, 0),
        sh_degree=0,
        fine=False,
        seed=3,
    )
    columns = head + struct.pack("<I", full + 200) + bytes(11 * 8 * (full + 200))
    large.pages = [[large.pages[0][0], chunk(LEAF, 1, 0, full + 200, columns)]]
    yield (
        "free-net",
        "limit",
        "more Gaussians than bytes in one chunk, more bytes than Gaussians in another",
        assemble(large),
    )

    size = 48
    eye = np.eye(size, dtype="<f2").tobytes()
    basis = chunk(BASIS, 0, 0, 0, struct.pack("<HHH", size, size, 1) + eye)
    dense = struct.pack("<HBBf", size, 0, 0, 1.0) + bytes([8]) * size + bytes(8 * size * full)
    refined = [first, basis, *[chunk(SH, 0, 0, full, dense)] * 8]
    yield (
        "bomb-sh",
        "limit",
        "the same, with as much SH as a cell can have",
        assemble(Parts(root, [refined, rest])),
    )

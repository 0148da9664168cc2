"""The specification, the constants and both decoders say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from exgs.codec import constants
from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.decode import decode, verify
from exgs.codec.errors import (
    DamagedError,
    FormatError,
    LimitError,
    TruncatedError,
    UnsupportedError,
)
from exgs.codec.format import header, index_io
from exgs.codec.measuring.directions import sh_basis
from exgs.codec.payload import fine, geometry, sh
from tests.codec import reference_decoder
from tests.codec.drawing import draw
from tests.codec.forge import assemble
from tests.codec.forged_files import divided_file, random_file
from tests.codec.make_vectors import invalid_files, read_part, unpacked_values

SPEC = Path(__file__).parents[2] / "spec"
TEXT = (SPEC / "format.md").read_text()
ERRORS = {
    "truncated": TruncatedError,
    "damaged": DamagedError,
    "unsupported": UnsupportedError,
    "limit": LimitError,
}
VALID = json.loads((SPEC / "vectors" / "valid" / "index.json").read_text())
INVALID = json.loads((SPEC / "vectors" / "invalid" / "index.json").read_text())
SIZES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "f16": 2, "f32": 4}


def tables(section: str) -> list[list[list[str]]]:
    """The tables of the section that begins with this heading, as rows of cells."""
    start = TEXT.index(f"\n{section}")
    level = section.split(" ", maxsplit=1)[0]
    end = re.search(rf"\n#{{1,{len(level)}}} ", TEXT[start + len(section) :])
    text = TEXT[start : start + len(section) + end.start()] if end else TEXT[start:]
    found: list[list[list[str]]] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    return [table[2:] for table in found]


def size_of(kind: str) -> int:
    """Bytes of a type such as u8[12] where its length is a number."""
    name, *counts = re.split(r"[\[\]]+", kind.rstrip("]"))
    return SIZES[name] * int(np.prod([int(count) for count in counts] or [1]))


def check_offsets(rows: list[list[str]], total: int) -> None:
    position = 0
    for offset, kind, *_ in rows:
        assert int(offset) == position
        position += size_of(kind)
    assert position == total


def test_the_limits_of_the_spec_are_the_constants() -> None:
    (rows,) = tables("## 9. Limits")
    named = {name.strip("`"): value for name, value, _ in rows}
    assert named.keys() == {
        name for name in vars(constants) if name.startswith("MAX_") and name in named
    }
    for name, value in named.items():
        base, _, power = value.partition("^")
        assert getattr(constants, name) == float(base) ** int(power or 1), name


def test_every_limit_of_the_file_is_specified() -> None:
    source = Path(constants.__file__).read_text()
    file_part = source[: source.index("# --- Protocol")]
    for name in re.findall(r"^(MAX_\w+)", file_part, re.MULTILINE):
        assert f"`{name}`" in TEXT, name
    assert f"first {constants.HEAD_BYTES} bytes" in TEXT


def test_the_kinds_of_the_spec_are_the_constants() -> None:
    kinds = tables("## 6. Chunk table")[1]
    assert {row[1]: int(row[0]) for row in kinds} == {kind.name: int(kind) for kind in ChunkKind}


def test_the_header_of_the_spec_is_the_one_that_is_written() -> None:
    (rows,) = tables("## 3. Header")
    check_offsets(rows, constants.HEADER_BYTES)
    magic = bytes.fromhex(re.findall(r"`(.*?)`", rows[0][3])[0])
    assert magic == constants.MAGIC
    versions = f"version {constants.FORMAT_MAJOR}.{constants.FORMAT_MINOR}"
    assert versions in TEXT.splitlines()[0]
    packed = header.pack_header(header.Header(1 << 33, 2, 3, bytes(range(16)), 7, 5))
    fields = {row[2]: packed[int(row[0]) : int(row[0]) + size_of(row[1])] for row in rows}
    assert int.from_bytes(fields["file_bytes"], "little") == 1 << 33
    assert int.from_bytes(fields["root_packed"], "little") == 2
    assert int.from_bytes(fields["root_raw"], "little") == 3
    assert fields["root_hash"] == bytes(range(16))
    assert int.from_bytes(fields["poster_bytes"], "little") == 7
    assert int.from_bytes(fields["minor"], "little") == 5


def test_the_tables_of_the_index_are_those_of_the_spec() -> None:
    layers, quality, pages = tables("## 5. Root index")[1:]
    rows = tables("## 6. Chunk table")[0]
    for table, columns in (
        (layers, index_io._LAYER_COLUMNS),
        (quality, index_io._QUALITY_COLUMNS),
        (pages, index_io._PAGE_COLUMNS),
        (rows, index_io.CHUNK_COLUMNS),
    ):
        boxes = [row for row in table if row[1] == "f32[3]"]
        assert ", ".join(row[0] for row in boxes) == ("low, high" if table in (pages, rows) else "")
        specified = {row[0]: row[1] for row in table if row[0] != "hash" and row not in boxes}
        assert list(specified) == list(columns)
        for name, dtype in columns.items():
            assert f"<{specified[name][0]}{SIZES[specified[name]]}" == dtype
    assert constants.HASH_BYTES == 16


def test_the_payload_heads_of_the_spec_are_the_ones_that_are_written() -> None:
    head, columns = tables("### 7.2 LEAF and PROXY")
    check_offsets(head[:-1], constants.GEOMETRY_HEAD_BYTES)
    assert int(head[-1][0]) == geometry._HEAD.size == constants.GEOMETRY_HEAD_BYTES
    assert len(columns) == size_of(head[0][1]) == constants.GEOMETRY_COLUMNS
    (head,) = tables("### 7.3 FINE")
    check_offsets(head, constants.FINE_HEAD_BYTES)
    assert fine._HEAD.size == constants.FINE_HEAD_BYTES
    assert size_of(head[0][1]) == constants.FINE_COLUMNS
    (head,) = tables("### 7.4 BASIS")
    check_offsets(head[:-1], constants.BASIS_HEAD_BYTES)
    assert sh._BASIS_HEAD.size == constants.BASIS_HEAD_BYTES
    (head,) = tables("### 7.5 SH")
    check_offsets(head[:-1], constants.SH_HEAD_BYTES)
    assert sh._HEAD.size == constants.SH_HEAD_BYTES


def test_the_sh_functions_of_the_spec_are_those_that_are_drawn() -> None:
    (rows,) = tables("## 8. What to draw")
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    x, y, z = directions.T
    expected = sh_basis(directions, 3)
    for k, formula in rows[1:]:
        code = formula.replace("²", "**2").replace(" (", " * (")
        code = re.sub(r"(?<=[0-9xyz]) (?=[xyz(])", " * ", code)
        value = eval(code, {"x": x, "y": y, "z": z})
        np.testing.assert_allclose(value, expected[:, int(k) - 1], atol=1e-12)


# --- Vectors ----------------------------------------------------------------------------------


def check_drawn(drawn: DrawnScene, expected: dict[str, npt.NDArray[Any]]) -> None:
    """`drawn` is what a reference says, up to rounding."""
    np.testing.assert_array_equal(drawn.is_proxy, expected["is_proxy"])
    for name in ("means", "quats", "scales", "opacities", "sh0", "shN"):
        np.testing.assert_allclose(
            getattr(drawn.gaussians, name), expected[name], rtol=2e-6, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("name", VALID)
def test_valid_vectors_decode_to_their_values(name: str) -> None:
    folder = SPEC / "vectors" / "valid"
    path = folder / f"{name}.exgs"
    data = path.read_bytes()
    verify(path)
    for asked in VALID[name]["draws"]:
        packed = (folder / asked["values"]).read_bytes()
        expected = unpacked_values(packed, asked["count"], asked["k"])
        for key, values in reference_decoder.arrays(read_part(data, asked)).items():
            np.testing.assert_allclose(values, expected[key], rtol=1e-6, atol=1e-7)
        if "without" in asked:
            check_drawn(draw(data, {asked["without"]}), expected)
        else:
            check_drawn(decode(path, max_bytes=asked.get("bytes")), expected)


def test_every_file_of_values_belongs_to_a_drawing() -> None:
    folder = SPEC / "vectors" / "valid"
    named = {asked["values"] for entry in VALID.values() for asked in entry["draws"]}
    assert {path.name for path in folder.glob("*.bin")} == named
    assert {path.stem for path in folder.glob("*.exgs")} == VALID.keys()


@pytest.mark.parametrize("name", INVALID)
def test_invalid_vectors_give_their_error(name: str) -> None:
    path = SPEC / "vectors" / "invalid" / f"{name}.exgs"
    error = INVALID[name]["error"]
    for read in (decode, verify):
        with pytest.raises(FormatError) as caught:
            read(path)
        assert type(caught.value) is ERRORS[error]
        assert "\n" not in str(caught.value)
    if name != "bomb-sh":  # an obvious decoder is too slow for it
        with pytest.raises(reference_decoder.Fault) as fault:
            reference_decoder.read(path.read_bytes())
        assert fault.value.kind == error


def test_the_vectors_are_those_that_their_makers_make() -> None:
    cases = invalid_files()
    assert {name: {"error": error, "problem": why} for name, error, why, _ in cases} == INVALID
    folders = [SPEC / "vectors" / name for name in ("valid", "invalid")]
    size = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
    assert size < 600_000


# --- Random files -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_both_decoders_draw_the_same(seed: int, tmp_path: Path) -> None:
    levels = ((0, 1, 2), (0, 0, 1), (2, 2, 2), (0, 3, 4))[seed % 4]
    data = assemble(
        random_file(
            counts=(3, seed % 3, 6),
            proxies=(4, 2, seed // 8),
            levels=levels,
            amplification=(1.5, 1.25, 1.0),
            sh_degree=seed % 4,
            sh_passes=1 + seed % 3,
            fine=seed % 5 > 0,
            seed=seed,
            rows_per_page=4,
        )
    )
    check_prefixes(data, np.linspace(len(data) // 3, len(data), 8).astype(int).tolist(), tmp_path)


def test_both_decoders_draw_the_same_of_a_file_that_is_divided_by_space(tmp_path: Path) -> None:
    data = assemble(divided_file())
    check_prefixes(data, range(500, len(data) + 1, 151), tmp_path)


def check_prefixes(data: bytes, lengths: Iterable[int], folder: Path) -> None:
    """Both decoders draw the same of the front of a file."""
    path = folder / "random.exgs"
    path.write_bytes(data)
    verify(path)
    for prefix in lengths:
        try:
            splats = reference_decoder.read(data[:prefix])
        except reference_decoder.Fault as fault:
            assert fault.kind == "truncated"
            continue
        check_drawn(decode(path, max_bytes=prefix), reference_decoder.arrays(splats))

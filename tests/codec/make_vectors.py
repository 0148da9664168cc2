"""Writes spec/vectors: sound files with what they decode to, and files to refuse.

Run it after a change of the format: python -m tests.codec.make_vectors. The same library versions
give the same bytes. Decoded values come from the reference decoder, not from exgs.codec.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.codec import reference_decoder
from tests.codec.forge import Case
from tests.codec.vectors_index import index_cases
from tests.codec.vectors_payloads import payload_cases
from tests.codec.vectors_rows import row_cases
from tests.codec.vectors_space import space_cases
from tests.codec.vectors_valid import Valid, valid_files

FOLDER = Path(__file__).parents[2] / "spec" / "vectors"
_SHAPES = {
    "means": (3,),
    "quats": (4,),
    "scales": (3,),
    "opacities": (),
    "sh0": (3,),
    "shN": (-1, 3),
    "is_proxy": (),
}


def invalid_files() -> Iterator[Case]:
    """All files to refuse."""
    for cases in (index_cases, row_cases, space_cases, payload_cases):
        yield from cases()


def write(folder: Path) -> None:
    """All vectors."""
    for name in ("valid", "invalid"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).iterdir():
            old.unlink()
    index: dict[str, Any] = {}
    for valid in valid_files():
        (folder / "valid" / f"{valid.name}.exgs").write_bytes(valid.data)
        draws = []
        for asked in drawings(valid):
            suffix = "".join(
                f".without-{value}" if key == "without" else f".{value}"
                for key, value in asked.items()
            )
            values = reference_decoder.arrays(read_part(valid.data, asked))
            name = f"{valid.name}{suffix}.bin"
            (folder / "valid" / name).write_bytes(packed_values(values))
            counts = {"count": len(values["means"]), "k": values["shN"].shape[1]}
            draws.append({**asked, "values": name, **counts})
        index[valid.name] = {"shows": valid.shows, "draws": draws}
    _dump(folder / "valid" / "index.json", index)
    refused: dict[str, Any] = {}
    for name, error, problem, data in invalid_files():
        if name in refused:
            raise ValueError(f"{name} stands twice")
        refused[name] = {"error": error, "problem": problem}
        (folder / "invalid" / f"{name}.exgs").write_bytes(data)
    _dump(folder / "invalid" / "index.json", refused)


def drawings(valid: Valid) -> list[dict[str, int]]:
    """What of a file is decoded: all, prefixes, all but one chunk."""
    return [
        {},
        *({"bytes": prefix} for prefix in valid.prefixes),
        *({"without": number} for number in valid.missing),
    ]


def read_part(data: bytes, asked: dict[str, int]) -> list[reference_decoder.Splat]:
    """What the reference decoder draws of a file."""
    missing = {asked["without"]} if "without" in asked else set[int]()
    return reference_decoder.read(data[: asked.get("bytes")], missing)


def packed_values(arrays: dict[str, npt.NDArray[Any]]) -> bytes:
    """Little-endian f32, one array behind the other."""
    return b"".join(arrays[name].astype("<f4").tobytes() for name in _SHAPES)


def unpacked_values(data: bytes, count: int, k: int) -> dict[str, npt.NDArray[Any]]:
    """The arrays of `packed_values`."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    start = 0
    for name, shape in _SHAPES.items():
        full = (count, *(k if size < 0 else size for size in shape))
        size = int(np.prod(full))
        arrays[name] = np.frombuffer(data, "<f4", size, 4 * start).reshape(full)
        start += size
    if 4 * start != len(data):
        raise ValueError(f"{len(data)} bytes of values, expected {4 * start}")
    arrays["is_proxy"] = arrays["is_proxy"] == 1
    return arrays


def _dump(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

"""Writes spec/vectors: sound files with what they decode to, and files to refuse.

Run it after a change of the format: python -m tests.codec.make_vectors. The same library versions
give the same bytes. Decoded values come from the reference decoder, not from exgs.codec.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tests.codec import reference_decoder
from tests.codec.vectors_index import index_cases
from tests.codec.vectors_payloads import payload_cases
from tests.codec.vectors_rows import row_cases
from tests.codec.vectors_valid import valid_files

FOLDER = Path(__file__).parents[2] / "spec" / "vectors"


def write(folder: Path) -> None:
    """All vectors."""
    for name in ("valid", "invalid"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).iterdir():
            old.unlink()
    index: dict[str, Any] = {}
    for valid in valid_files():
        index[valid.name] = {
            "shows": valid.shows,
            "prefixes": list(valid.prefixes),
            "missing": list(valid.missing),
        }
        (folder / "valid" / f"{valid.name}.exgs").write_bytes(valid.data)
        drawn = {"": reference_decoder.read(valid.data)}
        for prefix in valid.prefixes:
            drawn[f".{prefix}"] = reference_decoder.read(valid.data[:prefix])
        for number in valid.missing:
            drawn[f".without-{number}"] = reference_decoder.read(valid.data, {number})
        for suffix, splats in drawn.items():
            path = folder / "valid" / f"{valid.name}{suffix}.npz"
            _save(path, reference_decoder.arrays(splats))
    _dump(folder / "valid" / "index.json", index)
    refused: dict[str, Any] = {}
    for name, error, problem, data in (*index_cases(), *row_cases(), *payload_cases()):
        if name in refused:
            raise ValueError(f"{name} stands twice")
        refused[name] = {"error": error, "problem": problem}
        (folder / "invalid" / f"{name}.exgs").write_bytes(data)
    _dump(folder / "invalid" / "index.json", refused)


def _save(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    small = {
        name: values if values.dtype == bool else values.astype(np.float32)
        for name, values in arrays.items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **small)
    path.write_bytes(buffer.getvalue())


def _dump(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

"""Sparse files of large scenes: real header, root index and pages; the chunks are holes.

The rows of `tests.codec.synthetic` get the hashes of zeros, so readers can verify every chunk. The
chunks can't be decoded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from exgs.codec.constants import HASH_BYTES
from exgs.codec.format.header import pack_header
from exgs.codec.format.packing import pack_index
from tests.codec.synthetic import synthetic

_ZEROS = bytes(1 << 16)


def sparse_file(folder: Path, count: int) -> Path:
    """The file of a scene of `count` Gaussians in `folder`, written if it is not there."""
    path = folder / f"{count}.exgs"
    if path.exists():
        return path
    scene = synthetic(count)
    hashes = _hashes_of_zeros({chunk.packed_bytes for chunk in scene.chunks})
    chunks = [replace(chunk, hash=hashes[chunk.packed_bytes]) for chunk in scene.chunks]
    index = pack_index(scene.facts, chunks, scene.box_of, thorough=False)
    header = index.header()
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        file.write(pack_header(header) + index.root)
        first = 0
        for frames, members in zip(index.pages, index.counts, strict=True):
            if not first:
                first = index.root_count
                file.seek(sum(chunk.packed_bytes for chunk in chunks[:first]), os.SEEK_CUR)
            file.write(b"".join(frames))
            area = chunks[first : first + members]
            file.seek(sum(chunk.packed_bytes for chunk in area), os.SEEK_CUR)
            first += members
        file.truncate(header.file_bytes)
    return unfinished.rename(path)


def _hashes_of_zeros(lengths: Iterable[int]) -> dict[int, bytes]:
    """The hash of so many zeros, for each length."""
    hashes = {}
    running, done = hashlib.sha256(), 0
    for length in sorted(lengths):
        while done < length:
            step = min(length - done, len(_ZEROS))
            running.update(_ZEROS[:step])
            done += step
        hashes[length] = running.digest()[:HASH_BYTES]
    return hashes

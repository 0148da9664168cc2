"""Decodes a file, its first bytes or its first layers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from exgs.codec.decoding.build import DrawnScene, SceneBuilder
from exgs.codec.decoding.cell_reader import CellReader
from exgs.codec.errors import TruncatedError
from exgs.codec.format.container import (
    FileHead,
    FilePusher,
    ReadRange,
    open_head,
    open_table,
    read_poster,
)
from exgs.codec.format.facts import SceneFacts
from exgs.codec.format.frame import check_hash
from exgs.codec.format.index import ChunkTable
from exgs.scene.scene import Scene

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class ExgsFile:
    """A file with its whole chunk table."""

    path: Path
    head: FileHead
    table: ChunkTable

    @property
    def facts(self) -> SceneFacts:
        """The facts that the file states about its scene."""
        return self.head.root.facts

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        return self.head.header.file_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Read up to `length` bytes at `offset`."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def open_scene(path: str | os.PathLike[str]) -> ExgsFile:
    """Read the index of a file. Raises FormatError, OSError."""
    path = Path(path)
    with path.open("rb") as file:
        head, table = open_table(_reader(file))
    return ExgsFile(path, head, table)


def read_facts(path: str | os.PathLike[str]) -> SceneFacts:
    """Read the facts of a file, which may be cut after the root index.

    Raises FormatError, OSError.
    """
    with Path(path).open("rb") as file:
        return open_head(_reader(file)).root.facts


def poster(path: str | os.PathLike[str]) -> bytes:
    """Read the poster of a file, a JPEG or WebP of its home view; empty if there is none.

    Raises FormatError, OSError.
    """
    with Path(path).open("rb") as file:
        return read_poster(_reader(file))


def decode(
    path: str | os.PathLike[str],
    *,
    max_bytes: int | None = None,
    max_layer: int | None = None,
) -> DrawnScene:
    """Decode the first `max_bytes` of a file, or its layers up to `max_layer`.

    A truncated file is decoded as far as it goes. Raises TruncatedError if the header or the root
    index is cut, the other FormatErrors at the first fault, OSError, and ValueError for a negative
    `max_layer`.
    """
    if max_layer is not None and max_layer < 0:
        raise ValueError(f"max_layer is {max_layer}; layers count from 0")
    pusher = FilePusher()
    builder: SceneBuilder | None = None
    left = max_bytes if max_bytes is not None else Path(path).stat().st_size
    with Path(path).open("rb") as file:
        while left > 0 and (block := file.read(min(left, _BLOCK_BYTES))):
            left -= len(block)
            for chunk, packed in pusher.receive_data(block):
                if builder is None:
                    builder = _builder(pusher)
                if max_layer is None or chunk.layer <= max_layer:
                    builder.add(chunk, packed)
    return (builder or _builder(pusher)).drawn()


def as_scene(drawn: DrawnScene, facts: SceneFacts) -> Scene:
    """Convert the drawn Gaussians to a scene with the file's origin, CRS and rendering mode."""
    return Scene(drawn.gaussians, facts.antialiased, facts.origin, facts.crs)


def verify(
    path: str | os.PathLike[str], progress: Callable[[float], None] = lambda share: None
) -> None:
    """Check every hash, limit and value of a file. Raises the first fault.

    Raises TruncatedError if the file is cut, the other FormatErrors, OSError.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        head = open_head(_reader(file))
    if size < head.header.file_bytes:
        raise TruncatedError(
            f"{size} of {head.header.file_bytes} bytes are here; fetch the rest",
            section="file",
            needed_bytes=head.header.file_bytes,
        )
    pusher = FilePusher()
    with Path(path).open("rb") as file:
        _, table = open_table(_reader(file))
        file.seek(0)
        while block := file.read(_BLOCK_BYTES):
            for chunk, packed in pusher.receive_data(block):
                check_hash(packed, chunk.hash, section=chunk.section, offset=chunk.offset)
            progress(0.5 * pusher.position / size)
        reader = CellReader(_reader(file), head.root.facts, table, size)
        reader.check(lambda share: progress(0.5 + 0.5 * share))


@contextmanager
def open_cells(
    path: str | os.PathLike[str],
    *,
    max_bytes: int | None = None,
    max_layer: int | None = None,
) -> Iterator[CellReader]:
    """Read what `decode` decodes cell by cell, in memory for one cell and the index.

    Raises FormatError, OSError. The pages of the index must be complete: TruncatedError.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        head, table = open_table(_reader(file))
        end = size if max_bytes is None else min(size, max_bytes)
        yield CellReader(_reader(file), head.root.facts, table, end, max_layer)


def _builder(pusher: FilePusher) -> SceneBuilder:
    if pusher.head is None or pusher.table is None:
        raise TruncatedError(
            f"{pusher.position} bytes do not hold the header and the root index",
            section="file",
            needed_bytes=pusher.needed_bytes,
        )
    return SceneBuilder(pusher.head.root.facts, pusher.table)


def _reader(file: BinaryIO) -> ReadRange:
    def read(offset: int, length: int) -> bytes:
        file.seek(offset)
        return file.read(length)

    return read

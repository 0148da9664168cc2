"""What tests of the codec compare scenes by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

import numpy as np

from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.build import DrawnScene, SceneBuilder
from exgs.codec.errors import TruncatedError
from exgs.codec.format.container import FilePusher, PackedChunk
from exgs.codec.format.frame import pack_frame
from exgs.codec.format.rows import ChunkRef
from exgs.scene.gaussians import Gaussians


def draw(data: bytes, missing: Collection[int] = ()) -> DrawnScene:
    """What a file, or its first bytes, shows without some chunks; raises FormatError."""
    pusher = FilePusher()
    arrived = [pair for pair in pusher.receive_data(data) if pair[0].id not in missing]
    return _builder(pusher, arrived).drawn()


def parts_of(data: bytes) -> tuple[FilePusher, list[tuple[ChunkRef, bytes]]]:
    """A whole file taken apart."""
    pusher = FilePusher()
    return pusher, pusher.receive_data(data)


def _builder(pusher: FilePusher, arrived: list[tuple[ChunkRef, bytes]]) -> SceneBuilder:
    if pusher.head is None or pusher.table is None:
        raise TruncatedError("no head", section="file", needed_bytes=pusher.needed_bytes)
    builder = SceneBuilder(pusher.head.root.facts, pusher.table)
    for chunk, packed in arrived:
        builder.add(chunk, packed)
    return builder


def fingerprint(drawn: DrawnScene) -> bytes:
    """Every bit of what is drawn."""
    scene = drawn.gaussians
    arrays = [getattr(scene, field.name) for field in fields(scene)]
    shape = repr(scene.shN.shape).encode()
    return shape + b"".join(a.tobytes() for a in [*arrays, drawn.is_proxy, drawn.sh_pending])


def packed_chunk(
    kind: int, layer: int, tile: int, count: int, columns: list[bytes], gain: float = 1.0
) -> PackedChunk:
    """A chunk of these columns."""
    packed, raw_bytes = pack_frame(columns, thorough=False)
    return PackedChunk(ChunkKind(kind), layer, tile, count, gain, raw_bytes, packed)


def equal(one: Gaussians, other: Gaussians) -> bool:
    """Whether two scenes are the same to the bit."""
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for field in fields(one)
    )

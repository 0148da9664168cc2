"""How long payloads can be (rule 8 of spec/format.md, section 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exgs.codec.constants import (
    BASIS_HEAD_BYTES,
    COLUMN_BYTES_MAX,
    FINE_COLUMNS,
    FINE_HEAD_BYTES,
    GEOMETRY_COLUMNS,
    GEOMETRY_HEAD_BYTES,
    MAX_BASES,
    MAX_CHUNK_RAW_BYTES,
    SH_HEAD_BYTES,
    ChunkKind,
)
from exgs.codec.format.chunk_rows import Flags, Ints
from exgs.codec.format.facts import SceneFacts


@dataclass(frozen=True, slots=True)
class UnpackedSize:
    """The length of a payload: from `least` to `most` plus `each` for every Gaussian."""

    least: int
    most: int
    each: int = 0

    def allows(self, raw_bytes: int, count: int) -> bool:
        """Whether a payload of `count` Gaussians can have `raw_bytes` bytes."""
        return self.least <= raw_bytes <= self.most + self.each * count


def unpacked_size(kind: ChunkKind, layer: int, facts: SceneFacts) -> UnpackedSize:
    """The limits of payloads of this kind in this layer."""
    components = 3 * (facts.sh_degree + 1) ** 2  # at most
    sh_each = COLUMN_BYTES_MAX * components + (components + 7) // 8
    match kind:
        case ChunkKind.LEAF | ChunkKind.PROXY:
            least = GEOMETRY_HEAD_BYTES + 4 * facts.child_count(layer)
            each = COLUMN_BYTES_MAX * GEOMETRY_COLUMNS
            if kind is ChunkKind.LEAF:
                return UnpackedSize(least, least, each)
            sh_most = 2 * components * components + SH_HEAD_BYTES + components
            return UnpackedSize(least, least + sh_most, each + sh_each)
        case ChunkKind.SH:
            return UnpackedSize(SH_HEAD_BYTES, SH_HEAD_BYTES + components, sh_each)
        case ChunkKind.FINE:
            return UnpackedSize(FINE_HEAD_BYTES, FINE_HEAD_BYTES, COLUMN_BYTES_MAX * FINE_COLUMNS)
        case ChunkKind.BASIS:
            rows = 2 * MAX_BASES * components * components
            return UnpackedSize(BASIS_HEAD_BYTES, BASIS_HEAD_BYTES + rows)
        case ChunkKind.EXTRA:
            return UnpackedSize(0, MAX_CHUNK_RAW_BYTES)


def are_allowed(kind: Ints, layer: Ints, count: Ints, raw_bytes: Ints, facts: SceneFacts) -> Flags:
    """Whether each chunk can have so many bytes unpacked. Kinds and layers are known ones."""
    layers = len(facts.layers)
    pairs = kind.astype(np.int64) * layers + layer
    found, place = np.unique(pairs, return_inverse=True)
    sizes = [unpacked_size(ChunkKind(int(p) // layers), int(p) % layers, facts) for p in found]
    least, most, each = np.array([(s.least, s.most, s.each) for s in sizes], np.int64).T[:, place]
    allowed: Flags = (raw_bytes >= least) & (raw_bytes <= most + each * count)
    return allowed

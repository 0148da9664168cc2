"""Bits of leaves by attribute, and the error due to the quantization of each attribute.

    python -m bench.encoder.precision playbot FILE.exgs      # a file with proxies

For each layer of leaves, first with LEAF and the first SH, then with all chunks: bits per leaf by
attribute (order-0 entropy of the payload's columns), and the share of the error that disappears if
the attribute is replaced by that of the source. At the optimum, each attribute causes about the
same error per number; an attribute that causes less takes too many bits.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from bench.common.encoded import CACHE
from bench.common.scenes import SCENES, load_scene
from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.decoding.decode import ExgsFile, open_scene
from exgs.codec.format.container import unpack_chunk
from exgs.codec.format.rows import ChunkRef
from exgs.codec.measuring.pictures import scaled
from exgs.codec.payload.geometry import canonical_axes
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.views.made_up import synthesise_views

_VIEWS, _WIDTH, _HEIGHT, _SEED = (
    8,
    480,
    270,
    77,
)  # the seed is not used by encoders or other benchmarks
_ATTRIBUTES = {
    "means": ("means",),
    "scales": ("scales",),
    "quats": ("quats",),
    "opacities": ("opacities",),
    "colours": ("sh0", "shN"),
}
# The attribute of each column (spec/format.md, 7.2 and 7.3).
_COLUMNS = {
    ChunkKind.LEAF: ["means", *["scales"] * 3, *["quats"] * 3, "opacities", *["colours"] * 3],
    ChunkKind.FINE: [*["means"] * 3, *["scales"] * 3, *["quats"] * 3, "opacities"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    bench = load_scene(options.scene, CACHE)
    scene, file, rasterizer = bench.gaussians, open_scene(options.file), default_rasterizer()
    views: Sequence[Camera] = bench.cameras.fit[::6] if bench.cameras else ()
    if not views:
        views = synthesise_views(scene, _VIEWS, width=_WIDTH, height=_HEIGHT, seed=_SEED)
    cameras = [scaled(camera, _WIDTH) for camera in views]
    nearest = cKDTree(scene.means)
    print("| layer | chunks | noise, dB | " + " | ".join(_ATTRIBUTES) + " |")
    print("|---|---|---:|" + "---:|" * len(_ATTRIBUTES))
    for layer, facts in enumerate(file.facts.layers):
        if not facts.leaf_count:
            continue
        first, whole = (_leaves(file, layer, all_chunks=all_) for all_ in (False, True))
        index = nearest.query(whole.means)[1]
        rest = scene.select(np.setdiff1d(np.arange(len(scene)), index))
        source = scene.select(index)
        scales, quats = canonical_axes(source.scales, source.quats)
        source = replace(source, scales=scales, quats=quats)

        def pictures(leaves: Gaussians, others: Gaussians = rest) -> FloatArray:
            state = Gaussians.concatenate([leaves, others])
            return np.stack([np.clip(rasterizer.render(state, c).rgb, 0, 1) for c in cameras])

        references = pictures(source)
        for words, drawn in (("first", first), ("all", whole)):
            bits = _bits(file, layer, all_chunks=drawn is whole)
            everything = float(np.mean(np.square(pictures(drawn) - references)))
            cells = [f"{10 * np.log10(everything):.1f}"]
            for name, fields in _ATTRIBUTES.items():
                repaired = replace(drawn, **{field: getattr(source, field) for field in fields})
                left = float(np.mean(np.square(pictures(repaired) - references)))
                cells.append(f"{bits[name]:.1f} bits, {100 * (1 - left / everything):.1f}%")
            print(f"| {layer} | {words} | " + " | ".join(cells) + " |")


def _rows(file: ExgsFile, *, all_chunks: bool) -> Iterator[ChunkRef]:
    """The rows of a file: without FINE and all but the first SH of a cell, or `all_chunks`."""
    with_sh = set()
    for row in file.table.values():
        later = row.kind is ChunkKind.FINE
        if row.kind is ChunkKind.SH:
            later = (row.layer, row.tile) in with_sh
            with_sh.add((row.layer, row.tile))
        if all_chunks or not later:
            yield row


def _leaves(file: ExgsFile, layer: int, *, all_chunks: bool) -> Gaussians:
    """The leaves of one layer."""
    builder = SceneBuilder(file.facts, file.table)
    for row in _rows(file, all_chunks=all_chunks):
        if row.layer <= layer:
            builder.add(row, file.read(row.offset, row.packed_bytes))
    drawn = builder.drawn()
    own = np.flatnonzero(~drawn.is_proxy)
    before = sum(facts.leaf_count for facts in file.facts.layers[:layer])
    return drawn.gaussians.select(own[before:])


def _bits(file: ExgsFile, layer: int, *, all_chunks: bool) -> dict[str, float]:
    """Bits per leaf by attribute."""
    totals: dict[str, float] = defaultdict(float)
    for row in _rows(file, all_chunks=all_chunks):
        if row.layer != layer:
            continue
        if row.kind is ChunkKind.SH:
            totals["colours"] += 8 * row.packed_bytes
        names = _COLUMNS.get(row.kind)
        if names is None:
            continue
        payload = unpack_chunk(row, file.read(row.offset, row.packed_bytes))
        widths = payload[: len(names)]
        planes = np.frombuffer(payload, np.uint8)[len(payload) - sum(widths) * row.count :]
        owners = np.repeat(names, list(widths))
        for name, plane in zip(owners, planes.reshape(sum(widths), row.count), strict=True):
            totals[name] += _entropy_bits(plane)
    return {name: totals[name] / file.facts.layers[layer].leaf_count for name in _ATTRIBUTES}


def _entropy_bits(values: npt.NDArray[np.uint8]) -> float:
    counts = np.bincount(values)
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


if __name__ == "__main__":
    main()

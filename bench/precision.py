"""Where the bits of leaves go, and the error that each attribute's quantization makes.

    python -m bench.precision playbot FILE.exgs

For each layer of leaves, first as coarse as LEAF and the first SH give it, then with all chunks:
bits of a leaf by attribute (order-0 entropy of the payload's columns), and the share of the error
that goes when the attribute is replaced by the source's own. At the best precision every attribute
makes about as much error for each of its numbers; one that makes less takes too many bits.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from bench.scenes import SCENES, load_scene
from exgs.codec.build import SceneBuilder
from exgs.codec.constants import FINE_COLUMNS, GEOMETRY_COLUMNS, ChunkKind
from exgs.codec.container import unpack_chunk
from exgs.codec.decode import ExgsFile, open_scene
from exgs.codec.geometry import canonical_axes
from exgs.codec.index import ChunkRef
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterize import Rasterizer, default_rasterizer
from exgs.scene.views import synthesise_views

_CACHE = Path.home() / ".cache" / "exgs-bench"
_VIEWS, _WIDTH, _HEIGHT, _SEED = 8, 480, 270, 77  # of no encoder and no judge
_ATTRIBUTES = {
    "means": ("means",),
    "scales": ("scales",),
    "quats": ("quats",),
    "opacities": ("opacities",),
    "colours": ("sh0", "shN"),
}
# The attribute of each column of LEAF and of FINE (spec/format.md, 7.2 and 7.3).
_LEAF_COLUMNS = ["means", *["scales"] * 3, *["quats"] * 3, "opacities", *["colours"] * 3]
_FINE_COLUMNS = [*["means"] * 3, *["scales"] * 3, *["quats"] * 3, "opacities"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    scene = load_scene(options.scene, _CACHE)
    views = scene.cameras.fit[::6] if scene.cameras else ()
    cameras = [camera.resized(_WIDTH, _WIDTH * camera.height // camera.width) for camera in views]
    if not cameras:
        found = synthesise_views(scene.gaussians, _VIEWS, width=_WIDTH, height=_HEIGHT, seed=_SEED)
        cameras = list(found)
    file = open_scene(options.file)
    print("| layer | chunks | noise, dB | " + " | ".join(_ATTRIBUTES) + " |")
    print("|---|---|---:|" + "---:|" * len(_ATTRIBUTES))
    for layer, facts in enumerate(file.facts.layers):
        if facts.leaf_count:
            for words, coarse in (("first", True), ("all", False)):
                print(
                    f"| {layer} | {words} | " + _row(scene.gaussians, file, layer, cameras, coarse)
                )


def _row(scene: Gaussians, file: ExgsFile, layer: int, cameras: list[Camera], coarse: bool) -> str:
    """The figures of one layer, drawn with the source's own Gaussians instead of all others."""
    rasterizer = default_rasterizer()
    whole = _leaves(file, layer, lambda row, nth: True)
    drawn = _leaves(file, layer, lambda row, nth: nth == 0) if coarse else whole
    index = cKDTree(scene.means).query(whole.means)[1]
    source = scene.select(index)
    scales, quats = canonical_axes(source.scales, source.quats)
    source = replace(source, scales=scales, quats=quats)
    rest = scene.select(np.setdiff1d(np.arange(len(scene)), index))
    references = _pictures(Gaussians.concatenate([source, rest]), cameras, rasterizer)

    def noise(leaves: Gaussians) -> float:
        pictures = _pictures(Gaussians.concatenate([leaves, rest]), cameras, rasterizer)
        pairs = zip(pictures, references, strict=True)
        return float(np.mean([np.mean(np.square(p - r)) for p, r in pairs]))

    everything = noise(drawn)
    bits = _bits(file, layer, coarse)
    cells = [f"{10 * np.log10(everything):.1f}"]
    for name, fields in _ATTRIBUTES.items():
        mended = replace(drawn, **{field: getattr(source, field) for field in fields})
        share = (everything - noise(mended)) / everything
        cells.append(f"{bits[name]:.1f} bits, {100 * share:.1f}%")
    return " | ".join(cells) + " |"


def _leaves(file: ExgsFile, layer: int, wanted: Callable[[ChunkRef, int], bool]) -> Gaussians:
    """The leaves of one layer with some of their refinements; `nth` counts the SH of a cell."""
    builder = SceneBuilder(file.facts, file.table)
    seen: dict[tuple[int, int], int] = defaultdict(int)
    for row in file.table.values():
        nth = 1 if row.kind is ChunkKind.FINE else 0
        if row.kind is ChunkKind.SH:
            nth = seen[row.layer, row.tile]
            seen[row.layer, row.tile] += 1
        if row.layer <= layer and (row.kind is ChunkKind.BASIS or wanted(row, nth)):
            builder.add(row, file.read(row.offset, row.packed_bytes))
    drawn = builder.drawn()
    own = np.flatnonzero(~drawn.is_proxy)
    before = sum(facts.leaf_count for facts in file.facts.layers[:layer])
    return drawn.gaussians.select(own[before:])


def _bits(file: ExgsFile, layer: int, coarse: bool) -> dict[str, float]:
    """Bits of a leaf by attribute."""
    totals: dict[str, float] = defaultdict(float)
    seen: dict[int, int] = defaultdict(int)
    for row in file.table.values():
        if row.layer != layer or row.kind not in (ChunkKind.LEAF, ChunkKind.FINE, ChunkKind.SH):
            continue
        first = row.kind is ChunkKind.LEAF
        if row.kind is ChunkKind.SH:
            first = not seen[row.tile]
            seen[row.tile] += 1
        if coarse and not first:
            continue
        if row.kind is ChunkKind.SH:
            totals["colours"] += 8 * row.packed_bytes
            continue
        payload = unpack_chunk(row, file.read(row.offset, row.packed_bytes))
        is_leaf = row.kind is ChunkKind.LEAF
        columns = GEOMETRY_COLUMNS if is_leaf else FINE_COLUMNS
        widths = payload[:columns]
        planes = np.frombuffer(payload, np.uint8)[len(payload) - sum(widths) * row.count :]
        at = 0
        for name, width in zip(_LEAF_COLUMNS if is_leaf else _FINE_COLUMNS, widths, strict=True):
            for _ in range(width):
                totals[name] += _entropy_bits(planes[at : at + row.count])
                at += row.count
    return {name: totals[name] / file.facts.layers[layer].leaf_count for name in _ATTRIBUTES}


def _entropy_bits(values: npt.NDArray[np.uint8]) -> float:
    counts = np.bincount(values)
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / counts.sum())).sum())


def _pictures(scene: Gaussians, cameras: list[Camera], rasterizer: Rasterizer) -> list[FloatArray]:
    return [np.clip(rasterizer.render(scene, camera).rgb, 0, 1) for camera in cameras]


if __name__ == "__main__":
    main()

"""Compares readers and writers of scenes with @playcanvas/splat-transform, in both directions.

    python -m bench.formats [scene.ply ...]

The tool writes each format that exgs reads, and converts files of exgs to PLY. Gaussians are
matched by position. It prints the 99th percentile of the difference of each attribute.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from bench.common.data import data_dir
from bench.common.encoded import CACHE
from bench.rd.peers.splat_transform import convert
from exgs.scene.formats import WRITABLE, read_scene, write_scene
from exgs.scene.gaussians import Gaussians

_THEIRS: tuple[tuple[str, list[str]], ...] = (
    (".ply", []),
    (".spz", ["--spz-version", "3"]),
    (".spz", ["--spz-version", "4"]),
    (".compressed.ply", []),
    (".sog", ["-g", "cpu", "-i", "3", "-H", "1"]),
    (".glb", []),
)
# The tool does not read .glb.
_OURS = tuple(extension for extension in WRITABLE if extension != ".glb")


def difference(got: Gaussians, wanted: Gaussians) -> dict[str, float]:
    """99th percentiles of the differences between Gaussians at the same positions."""
    _, match = cKDTree(wanted.means).query(got.means)
    wanted = wanted.select(match)
    k = min(got.shN.shape[1], wanted.shN.shape[1])
    turned = 1 - np.abs(np.einsum("ni,ni->n", got.quats, wanted.quats))
    parts = {
        "position": np.abs(got.means - wanted.means),
        "rotation": np.degrees(2 * np.arccos(np.clip(1 - turned, 0, 1))),
        "log scale": np.abs(np.log(got.scales / wanted.scales)),
        "opacity": np.abs(got.opacities - wanted.opacities),
        "sh0": np.abs(got.sh0 - wanted.sh0),
        "shN": np.abs(got.shN[:, :k] - wanted.shN[:, :k]),
    }
    return {name: float(np.percentile(part, 99)) for name, part in parts.items() if part.size}


def report(label: str, got: Gaussians, wanted: Gaussians) -> None:
    figures = " ".join(f"{n} {v:.4g}" for n, v in difference(got, wanted).items())
    print(f"  {label:32} {len(got):>8,} Gaussians; {figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", type=Path, default=[data_dir() / "fox.ply"])
    cache = CACHE
    cache.mkdir(parents=True, exist_ok=True)
    for path in parser.parse_args().scenes:
        scene = read_scene(path).gaussians
        print(f"{path.name}: {len(scene):,} Gaussians, SH degree {scene.sh_degree}")
        for extension, actions in _THEIRS:
            made = convert(path, actions, extension, cache)
            if made is not None:
                report(
                    f"reads its {extension} {' '.join(actions)}", read_scene(made).gaussians, scene
                )
        for extension in _OURS:
            own = cache / f"own{extension}"
            write_scene(own, scene)
            made = convert(own, ["-g", "cpu"], ".ply", cache)
            if made is not None:
                report(f"it reads our {extension}", read_scene(made).gaussians, scene)


if __name__ == "__main__":
    main()

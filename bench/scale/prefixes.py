"""PSNR of prefixes of several files of one scene, mean and worst view, as a Markdown table.

    python -m bench.scale.prefixes SCENE FILE.exgs [FILE.exgs ...] --kilobytes 20 200 2000

Views come from no generator seed that an encoder uses. PSNR is that of the mean squared error over
all views; the worst view is in brackets.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from exgs.codec.decoding.decode import decode
from exgs.scene.backends import default_rasterizer
from exgs.scene.formats import read_scene
from exgs.scene.views.made_up import synthesise_views

_SEED = 1_000_003  # of views; encoders use small ones
_WIDTH, _HEIGHT = 480, 270


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.exgs")
    parser.add_argument("--kilobytes", type=float, nargs="+", required=True, metavar="KB")
    parser.add_argument("--views", type=int, default=8)
    arguments = parser.parse_args()
    scene = read_scene(arguments.scene)
    rasterizer = default_rasterizer(antialiased=scene.antialiased)
    cameras = synthesise_views(
        scene.gaussians, arguments.views, width=_WIDTH, height=_HEIGHT, seed=_SEED
    )
    references = [np.clip(rasterizer.render(scene.gaussians, c).rgb, 0, 1) for c in cameras]
    print("| kB |", " | ".join(path.name for path in arguments.files), "|")
    print("|---:|" + "---:|" * len(arguments.files))
    for kilobytes in arguments.kilobytes:
        cells = []
        for path in arguments.files:
            drawn = decode(path, max_bytes=round(1000 * kilobytes)).gaussians
            errors = [
                float(np.mean((np.clip(rasterizer.render(drawn, c).rgb, 0, 1) - reference) ** 2))
                for c, reference in zip(cameras, references, strict=True)
            ]
            mean, worst = (-10 * np.log10(e) for e in (np.mean(errors), max(errors)))
            cells.append(f"{mean:.1f} ({worst:.1f})")
        print(f"| {kilobytes:g} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()

"""Measures popping: how much arriving chunks change the picture in one frame.

    python -m bench.client.popping FILE.exgs [--rate 250000] [--fade 0.02]

The camera follows a fixed path while the file arrives at `--rate` bytes per second. The change in a
frame is the RMS difference (white is 1) between the pictures with and without the new chunks, from
the camera of that frame. Figures go to bench/results/popping.md.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.decode import decode, open_scene
from exgs.codec.errors import TruncatedError
from exgs.codec.format.facts import SceneFacts
from exgs.present.fade import crossfade
from exgs.present.picture import draw_picture
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.views.made_up import camera_path

_REPORT = Path(__file__).parents[1] / "results" / "popping.md"
_FRAMES_PER_S = 4  # about what two cores draw and keep
_PATH = 120  # cameras
_SEED = 2_000_003
_SIZE = (480, 270)


def changes(path: Path, rate: float, bound: float | None) -> list[float]:
    """The change that each frame's new chunks cause, while the file comes in at `rate`."""
    facts = open_scene(path).facts
    size = path.stat().st_size
    whole = decode(path)
    cameras = camera_path(whole.gaussians, _PATH, width=_SIZE[0], height=_SIZE[1], seed=_SEED)
    frames = itertools.cycle(cameras)
    found: list[float] = []
    before: DrawnScene | None = None
    number = 0
    while True:
        arrived = int(rate * number / _FRAMES_PER_S)
        after = _decoded(path, arrived)
        if before is not None and after is not None:
            if bound is None:
                camera = next(frames)
                found.append(_rms(_draw(after, facts)(camera), _draw(before, facts)(camera)))
                number += 1
            else:
                weight_before = 0.0
                fading = crossfade(
                    _draw(before, facts), _draw(after, facts), frames.__next__, bound
                )
                for image, camera, _ in fading:
                    old = _draw(before, facts)(camera)
                    whole_change = _rms(_draw(after, facts)(camera), old)
                    weight = _rms(image, old) / whole_change if whole_change else 1.0
                    found.append((weight - weight_before) * whole_change)
                    weight_before = weight
                    number += 1
        else:
            number += 1
        before = after
        if arrived >= size:
            return found


def _decoded(path: Path, arrived: int) -> DrawnScene | None:
    try:
        drawn = decode(path, max_bytes=arrived)
    except TruncatedError:
        return None
    return drawn if len(drawn.gaussians) else None


def _draw(drawn: DrawnScene, facts: SceneFacts) -> Callable[[Camera], FloatArray]:
    rasterizer = default_rasterizer()
    return lambda camera: draw_picture(rasterizer, drawn, facts, camera)


def _rms(a: FloatArray, b: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(np.clip(a, 0, 1) - np.clip(b, 0, 1)))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=float, default=250_000, help="bytes a second")
    parser.add_argument("--fade", type=float, default=0.02, help="bound to keep")
    options = parser.parse_args()
    rows = []
    for name, bound in (("at once", None), (f"`--fade {options.fade:g}`", options.fade)):
        found = np.array(changes(options.file, options.rate, bound))
        rows.append(
            f"| {name} | {len(found)} | {np.median(found):.4f} | {np.quantile(found, 0.95):.4f}"
            f" | {found.max():.4f} |"
        )
        print(rows[-1], flush=True)
    _REPORT.write_text(
        "\n".join(
            [
                "# Popping: changes by arriving chunks",
                "",
                f"`python -m bench.client.popping {options.file.name}`:"
                f" {options.rate / 1000:g} kB/s, a path of {_PATH} cameras of"
                f" {_SIZE[0]}x{_SIZE[1]}, {_FRAMES_PER_S} frames per second."
                " RMS change of a frame by the chunks that arrived since the frame before; white is"
                " 1.",
                "",
                "| display of chunks | frames | median | 95% | largest |",
                "|---|---:|---:|---:|---:|",
                *rows,
                "",
            ]
        )
    )


if __name__ == "__main__":
    main()

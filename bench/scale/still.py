"""Still views that are streamed, each for itself: PSNR and the worst tenth of the picture by bytes.

    python -m bench.scale.still SCENE FILE.exgs [FILE.exgs ...] [--views street|whole]
        [--count 20] [--kilobytes 100 200 500 1000 2000 4000 8000]

Parts come in the order in which a server sends them to a client that stands still. Bytes include
header and index. The first table has the PSNR of the mean squared error over all views, and that of
the worst view in brackets. The second has the PSNR of the worst tenth of each picture (of its 16x9
parts), as the mean over the views. No encoder uses these views.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bench.scale.prefixes import VIEWS, views_of
from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.decoding.decode import open_scene
from exgs.codec.measuring.pictures import clipped_pictures
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.formats import read_scene
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.wire.events import View
from exgs.wire.layer_zero import read_sketch
from exgs.wire.parts import is_page
from exgs.wire.plan import PartPlan
from exgs.wire.scheduler import ENDLESS_BYTES, Scheduler

_PARTS = (16, 9)  # of a picture, across and down
_WORST = 0.1  # share of these parts
_KILOBYTES = (100, 200, 500, 1000, 2000, 4000, 8000)


class StreamedFile:
    """A file whose parts are sent for one view at a time."""

    def __init__(self, path: Path) -> None:
        self._file = open_scene(path)
        self._plan = PartPlan(self._file.head, self._file.table)
        self._plan.screen.sketch = read_sketch(self._file.head, self._file.read)

    def states(self, camera: Camera, budgets: Sequence[int]) -> Iterator[Gaussians]:
        """What is drawn once so many bytes have arrived, for each of the rising `budgets`."""
        builder = SceneBuilder(self._file.facts, self._file.table)
        scheduler = Scheduler(self._plan)
        scheduler.set_view(View(1, camera))
        arrived = self._file.head.header.poster_end
        for budget in budgets:
            while (piece := scheduler.next(ENDLESS_BYTES)) is not None:
                if arrived + piece.length > budget:
                    break
                scheduler.record(piece)
                arrived += piece.length
                if not is_page(piece.part):
                    data = self._file.read(piece.file_offset, piece.length)
                    builder.add(self._file.table[piece.part], data)
            yield builder.drawn().gaussians


def errors_of_parts(picture: FloatArray, reference: FloatArray) -> FloatArray:
    """The mean squared error of each part of a picture."""
    across, down = _PARTS
    rows = np.array_split((picture - reference) ** 2, down, axis=0)
    parts = [np.array_split(row, across, axis=1) for row in rows]
    return np.array([part.mean() for row in parts for part in row], np.float32)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.exgs")
    parser.add_argument("--kilobytes", type=float, nargs="+", metavar="KB", default=_KILOBYTES)
    parser.add_argument("--views", choices=VIEWS, default="street")
    parser.add_argument("--count", type=int, default=20)
    arguments = parser.parse_args()
    scene = read_scene(arguments.scene)
    cameras = views_of(scene.gaussians, arguments.views, arguments.count)
    rasterizer = default_rasterizer(antialiased=scene.antialiased)
    references = clipped_pictures(scene.gaussians, cameras, rasterizer)
    del scene
    budgets = sorted(round(1000 * kilobytes) for kilobytes in arguments.kilobytes)
    across, down = _PARTS
    errors = np.zeros((len(arguments.files), len(cameras), len(budgets), across * down))
    for number, path in enumerate(arguments.files):
        file = StreamedFile(path)
        for view, (camera, reference) in enumerate(zip(cameras, references, strict=True)):
            for place, drawn in enumerate(file.states(camera, budgets)):
                [picture] = clipped_pictures(drawn, [camera], rasterizer)
                errors[number, view, place] = errors_of_parts(picture, reference)
    whole = errors.mean(axis=3)
    count = max(round(_WORST * across * down), 1)
    worst = np.sort(errors, axis=3)[..., -count:].mean(axis=3)
    with np.errstate(divide="ignore"):  # infinite where pictures are equal
        mean_db, least_db = -10 * np.log10(whole.mean(axis=1)), -10 * np.log10(whole.max(axis=1))
        worst_db = (-10 * np.log10(worst)).mean(axis=1)
    print(f"{len(cameras)} views\n")
    heads = [f"{budget / 1000:g}" for budget in budgets]
    for title, cells in (
        (
            "PSNR (worst view)",
            [
                [f"{a:.1f} ({b:.1f})" for a, b in zip(*row, strict=True)]
                for row in zip(mean_db, least_db, strict=True)
            ],
        ),
        ("worst tenth", [[f"{a:.1f}" for a in row] for row in worst_db]),
    ):
        print(f"| kB: {title} |", " | ".join(heads), "|")
        print("|---|" + "---:|" * len(heads))
        for path, row in zip(arguments.files, cells, strict=True):
            print(f"| {path.name} |", " | ".join(row), "|")
        print()


if __name__ == "__main__":
    main()

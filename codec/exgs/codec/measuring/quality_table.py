"""The rate-quality table: what each prefix of a file shows, on views that no fit has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.format.container import FilePusher
from exgs.codec.format.facts import QualityPoint
from exgs.codec.threads import ahead
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import ssim
from exgs.scene.rasterizer import Rasterizer

_GROWTH = 1.6  # bytes from one point to the next, at least


def measure_quality(
    pieces: Iterable[bytes],
    scene: Gaussians,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    points: int,
    progress: Callable[[float], None] = lambda _: None,
) -> list[QualityPoint]:
    """Replay a file (`pieces`, whatever its own table says) and compare with `scene`.

    That is done about `points` times, two at least. PSNR is that of the mean squared error over
    all views; SSIM is the mean of the views'.
    """
    references = [np.clip(rasterizer.render(scene, camera).rgb, 0, 1) for camera in cameras]
    pusher = FilePusher()
    arrived = [pair for piece in pieces for pair in pusher.receive_data(piece)]
    head, table = pusher.head, pusher.table
    if head is None or table is None:
        raise ValueError("the pieces are not a whole file")
    start = head.header.root_end
    ends = [chunk.end - start for chunk, _ in arrived]
    wanted = _chosen(ends, points)

    def states() -> Iterator[tuple[int, Gaussians]]:
        """What is drawn where it is wanted, and after how many bytes."""
        builder = SceneBuilder(head.root.facts, table)
        for number, (chunk, packed) in enumerate(arrived):
            builder.add(chunk, packed)
            if number in wanted:
                yield ends[number], builder.drawn().gaussians

    rows = []
    for end, drawn in ahead(states()):
        pictures = [np.clip(rasterizer.render(drawn, camera).rgb, 0, 1) for camera in cameras]
        error = np.mean([np.mean((p - r) ** 2) for p, r in zip(pictures, references, strict=True)])
        structure = np.mean([ssim(p, r) for p, r in zip(pictures, references, strict=True)])
        psnr_db = float(-10 * np.log10(max(error, 1e-12)))
        rows.append(QualityPoint(end, psnr_db, float(structure)))
        progress(end / ends[-1])
    return rows


def _chosen(ends: Sequence[int], points: int) -> set[int]:
    """Chunks behind which to measure: about geometric in bytes, with the first and the last."""
    growth = max(_GROWTH, (ends[-1] / ends[0]) ** (1 / (points - 1)))
    wanted = {0, len(ends) - 1}
    last = ends[0]
    for number, end in enumerate(ends):
        if end >= last * growth:
            wanted.add(number)
            last = end
    return wanted

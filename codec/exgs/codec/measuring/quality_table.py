"""The rate-quality table: PSNR and SSIM of prefixes of a file, on held-out views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.format.container import FilePusher
from exgs.codec.format.facts import QualityPoint
from exgs.codec.measuring.pictures import clipped_pictures
from exgs.codec.threads import ahead
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import ssim
from exgs.scene.rasterizer import Rasterizer

_GROWTH_MIN = 1.6  # ratio of the bytes of two consecutive points


def measure_quality(
    pieces: Iterable[bytes],
    scene: Gaussians,
    cameras: Sequence[Camera],
    rasterizer: Rasterizer,
    points: int,
    progress: Callable[[float], None] = lambda _: None,
) -> list[QualityPoint]:
    """Decode a file piece by piece and compare about `points` (2 or more) prefixes with `scene`.

    PSNR is computed from the mean squared error over all views; SSIM is the mean over the views.
    The quality table inside the file is ignored. Raises ValueError if `pieces` are not a whole
    file.

    Args:
        pieces: the bytes of the file.
        scene: the scene that was encoded.
        cameras: held-out views, one or more.
        rasterizer: draws the views.
        points: number of prefixes, about.
        progress: called with the share of the bytes that are done.
    """
    references = clipped_pictures(scene, cameras, rasterizer)
    pusher = FilePusher()
    arrived = [pair for piece in pieces for pair in pusher.receive_data(piece)]
    head, table = pusher.head, pusher.table
    if head is None or table is None:
        raise ValueError("the pieces are not a whole file")
    start = head.header.root_end
    ends = [chunk.end - start for chunk, _ in arrived]
    measured = measured_chunks(ends, points)

    def states() -> Iterator[tuple[int, Gaussians]]:
        """The bytes behind the root index, and the Gaussians drawn from them, for each point."""
        builder = SceneBuilder(head.root.facts, table)
        for number, (chunk, packed) in enumerate(arrived):
            builder.add(chunk, packed)
            if number in measured:
                yield ends[number], builder.drawn().gaussians

    rows = []
    for end, drawn in ahead(states()):
        error, structure = errors_of(clipped_pictures(drawn, cameras, rasterizer), references)
        rows.append(quality_point(end, error, structure))
        progress(end / ends[-1])
    return rows


def errors_of(
    pictures: Sequence[FloatArray],
    references: Sequence[FloatArray],
    weights: Sequence[float] | None = None,
) -> tuple[np.floating, np.floating]:
    """The mean squared error and the mean SSIM of pictures [H, W, 3], by `weights`."""
    pairs = list(zip(pictures, references, strict=True))
    error = np.average([np.mean((p - r) ** 2) for p, r in pairs], weights=weights)
    return error, np.average([ssim(p, r) for p, r in pairs], weights=weights)


def quality_point(end: int, error: np.floating, structure: np.floating) -> QualityPoint:
    """A point of the table: `end` bytes, with the PSNR of a mean squared error, and SSIM."""
    bounded = 1e-12 if error < 1e-12 else error
    return QualityPoint(end, float(-10 * np.log10(bounded)), float(structure))


def measured_chunks(ends: Sequence[int], points: int) -> set[int]:
    """Numbers of the chunks after which quality is measured, by the `ends` of all chunks.

    They include the first and the last chunk; the bytes in between grow about geometrically.
    """
    growth = max(_GROWTH_MIN, (ends[-1] / ends[0]) ** (1 / (points - 1)))
    measured = {0, len(ends) - 1}
    last = ends[0]
    for number, end in enumerate(ends):
        if end >= last * growth:
            measured.add(number)
            last = end
    return measured

"""A few merged Gaussians of a block, as context of other blocks and for coarse layers.

An outline is made before any rendering, with weights by surface area. A summary is made after
scoring, with weights by contribution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.blocks.job import Job
from exgs.codec.encoding.layered_scene import Index
from exgs.codec.merging.agglomerate import agglomerate, as_mixture, merge_components
from exgs.codec.merging.clusters import cluster
from exgs.codec.merging.proxies import mean_area, merge
from exgs.scene.gaussians import FloatArray, Gaussians

_OUTLINE_SHARE = 1 / 64  # of a block's Gaussians
_FAR_SHARE = 1 / 1024
_PARTS = 2  # clusters per Gaussian of a summary, before agglomeration


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """Merged Gaussians of a block, and the tile of each."""

    gaussians: Gaussians
    tile: Index  # [N] of the first level that is encoded by blocks, in the whole scene


def outline_block(job: Job, number: int) -> None:
    """Merge a block without rendering, to a fine and a coarse outline, and store both."""
    scene = job.spill.block(number)
    colors = scene.sh0
    plain = scene.without_sh()
    area = plain.opacities * mean_area(plain.scales) + 1e-30
    size = np.linalg.norm(job.spill.high[number] - job.spill.low[number])
    distances = np.full(len(scene), max(float(size), 1e-9), np.float32)
    everywhere = np.zeros(len(scene), np.int64)
    counts = [max(round(share * len(scene)), 1) for share in (_OUTLINE_SHARE, _FAR_SHARE)]
    # With areas as weights, a few walls would take all clusters; the root leaves some for details.
    divided = cluster(plain.means, colors, np.sqrt(area), distances, everywhere, counts)
    for step, labels in zip(("outline", "far"), divided, strict=True):
        count = int(labels.max()) + 1
        job.save(step, number, merge(plain, colors, area, np.ones(len(scene)), labels, count))


def summarise(
    scene: Gaussians,
    masses: npt.NDArray[np.float64],
    distances: npt.NDArray[np.floating],
    pixel_sizes: npt.NDArray[np.floating],
    tile: Index,
    count: int,
) -> Summary:
    """About `count` merged Gaussians of `scene` [N], none of which spans two values of `tile` [N].

    `masses` [N] > 0 are how much of the pictures each makes up, `distances` [N] are typical viewing
    distances, and `pixel_sizes` [N] those of a pixel there. SH are averaged.
    """
    plain = scene.without_sh()
    [labels] = cluster(
        scene.means, scene.sh0, masses, distances, tile, [min(_PARTS * count, len(scene))]
    )
    many = int(labels.max()) + 1
    blobs = merge_components(
        as_mixture(plain, scene.sh0, masses, distances, pixel_sizes), labels, many
    )
    owner = np.zeros(many, np.int64)
    owner[labels] = tile
    labels = agglomerate(blobs, owner, count)[labels]
    merged_count = int(labels.max()) + 1
    area = np.maximum(plain.opacities * mean_area(plain.scales), 1e-30)
    visibility = masses * np.square(distances, dtype=np.float64) / area
    merged = merge(plain, scene.sh0, masses, visibility, labels, merged_count)
    of_merged = np.zeros(merged_count, np.int64)
    of_merged[labels] = tile
    shN = _averaged(scene.shN, masses, labels, merged_count)
    return Summary(replace(merged, shN=shN), of_merged)


def _averaged(
    shN: FloatArray, masses: npt.NDArray[np.float64], labels: Index, count: int
) -> FloatArray:
    total = np.bincount(labels, masses, count)
    averaged = np.empty((count, *shN.shape[1:]), np.float32)
    for k in range(shN.shape[1]):
        for channel in range(3):
            sums = np.bincount(labels, masses * shN[:, k, channel], count)
            averaged[:, k, channel] = sums / total
    return averaged

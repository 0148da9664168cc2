"""The cameras of a scene's photographs, for blocks: which of them see a block, and how much of it.

A sample of the scene is drawn once from each camera, which tells the share of the picture that
shows each block. A block is measured and fitted in the parts of those pictures that show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.blocks.job import BlockCameras, Job
from exgs.codec.encoding.encode import require_seen
from exgs.codec.measuring.camera_check import check_cameras
from exgs.codec.measuring.pictures import evenly_spaced, scaled
from exgs.codec.measuring.viewpoints import PICTURE_WIDTH, without
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.gaussians import Gaussians

PHOTOGRAPH_SHARE = 0.7  # of all views, where there are photographs; the others are generated

_MOST = 1000  # cameras that are looked at
_PROBE_WIDTH = 96
_LEAST_SHOWN = 1e-3  # share of a picture that shows the block


@dataclass(frozen=True, slots=True)
class CameraCounts:
    """The maximum numbers of cameras of each block."""

    measured: int
    fitted: int
    held_out: int  # of all blocks together


def share_cameras(job: Job, cameras: CameraSet, counts: CameraCounts) -> tuple[Camera, ...]:
    """Choose the cameras of each block, and store them; returns those that are for fits.

    `cameras` are in the frame of the file. Raises SceneError if they see nothing of the scene.
    """
    sample = job.spill.sample()
    fit = _photographs(evenly_spaced(cameras.fit, _MOST))
    held_out = _photographs(evenly_spaced(cameras.held_out, counts.held_out))
    check_cameras(sample, cameras.cameras)
    shown = _shown(job, sample, fit)
    require_seen(shown, photographed=True)
    also_shown = _shown(job, sample, held_out)
    for number in range(job.blocks):
        job.save(
            "cameras",
            number,
            BlockCameras(
                *_chosen(fit, shown[:, number], counts),
                held_out=tuple(_seeing(held_out, also_shown[:, number])),
                held_out_pixels=sum(camera.width * camera.height for camera in held_out),
            ),
        )
    return tuple(fit)


def _photographs(cameras: Sequence[Camera]) -> list[Camera]:
    """Cameras of pictures of limited size, with names that mean nothing to other modules."""
    return [
        replace(scaled(camera, PICTURE_WIDTH), name=f"photograph {number}")
        for number, camera in enumerate(cameras)
    ]


def _shown(job: Job, sample: Gaussians, cameras: Sequence[Camera]) -> npt.NDArray[np.float64]:
    """The share [C, B] of each picture that shows each block."""
    rasterizer = default_rasterizer(antialiased=job.spill.facts.antialiased)
    block = job.spill.tree.locate(sample.means)
    shown = np.zeros((len(cameras), job.blocks))
    for row, camera in zip(shown, cameras, strict=True):
        small = scaled(camera, _PROBE_WIDTH)
        sums = rasterizer.contributions(sample, small).sum
        row[:] = np.bincount(block, sums, job.blocks) / (small.width * small.height)
    return shown


def _seeing(cameras: Sequence[Camera], shown: npt.NDArray[np.float64]) -> list[Camera]:
    return [cameras[place] for place in np.flatnonzero(shown > _LEAST_SHOWN).tolist()]


def _chosen(
    cameras: Sequence[Camera], shown: npt.NDArray[np.float64], counts: CameraCounts
) -> tuple[tuple[Camera, ...], float, tuple[Camera, ...]]:
    """The cameras on which a block is measured, the share of all that see it, those for fits.

    `shown` [C] are the shares of their pictures that show the block. The more a camera shows, the
    more likely it is for fits; as for a scene, cameras for gains are not for fits.
    """
    seeing = _seeing(cameras, shown)
    measured = evenly_spaced(seeing, counts.measured)
    candidates = without(seeing, measured[1::2])
    share_of = dict(zip(map(id, cameras), shown, strict=True))
    ends = np.cumsum([share_of[id(camera)] for camera in candidates])
    count = min(counts.fitted, len(candidates))
    steps = (np.arange(count) + 0.5) / max(count, 1)
    picks: list[int] = np.unique(np.searchsorted(ends, steps * ends[-1:])).tolist()
    fitted = tuple(candidates[pick] for pick in picks)
    return tuple(measured), len(seeing) / len(cameras), fitted

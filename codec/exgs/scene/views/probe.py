"""Rates camera positions with small pictures: whether they are inside matter or fog.

The pictures are drawn on the CPU from the thinned scene, even with a GPU, so that the same views
are chosen on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from exgs.scene.camera import Camera
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.gaussians import FloatArray
from exgs.scene.views.survey import Array, Mask, Survey

_HEIGHT = 54
_NEAR = 0.03  # least depth of most of a picture, relative to the size of the scene
_FOG = 2.0  # a picture with this many times the finest grain counts as fog
_EMPTY = 0.3  # a picture with less than this share of the usual coverage counts as empty
_USUAL = 16  # additional views to rate, to find the usual values


@dataclass(frozen=True, slots=True)
class Probe:
    """The measurements of a small picture."""

    coverage: float  # mean alpha
    near: float  # 5th percentile of the depth of covered pixels, world units; 0 without any
    grain: float  # size of the Gaussians at the median pixel, world units


class Prober:
    """Rates cameras in a scene. Keeps the memory of the rasterizer between pictures."""

    def __init__(self, layout: Survey) -> None:
        self._layout = layout
        self._rasterizer = CpuRasterizer()
        sizes = layout.thinned.scales.max(axis=1, keepdims=True)
        self._sizes: FloatArray = np.repeat(sizes, 3, axis=1)

    def best(self, candidates: Sequence[Camera], count: int) -> list[Camera]:
        """The first `count` cameras that are clear of matter and show detail, else the best ones.

        Rates only as many cameras as needed.
        """
        probes: list[Probe] = []
        faults: list[int] = []
        while len(probes) < len(candidates) and faults.count(0) < count:
            more = candidates[len(probes) : len(probes) + count + _USUAL]
            probes += [self.probe(camera) for camera in more]
            faults = self._faults(probes)
        order = sorted(range(len(faults)), key=faults.__getitem__)
        return [candidates[index] for index in order[:count]]

    def _faults(self, probes: Sequence[Probe]) -> list[int]:
        """The faults of each view, 0 for a good one, compared with the usual values of all."""
        shown = [probe for probe in probes if probe.near > 0]
        if not shown:
            return [1] * len(probes)
        grain = float(np.quantile([probe.grain for probe in shown], 0.1))
        coverage = float(np.median([probe.coverage for probe in shown]))
        near, empty = _NEAR * self._layout.size, _EMPTY * coverage
        return [
            2 * (probe.near < near) + 2 * (probe.coverage < empty) + (probe.grain > _FOG * grain)
            for probe in probes
        ]

    def probe(self, camera: Camera) -> Probe:
        """Rate one camera."""
        picture = self._rasterizer.render(self._layout.thinned, _small(camera), colors=self._sizes)
        covered = picture.alpha > 0.3
        if not covered.any():
            return Probe(float(picture.alpha.mean()), 0.0, 0.0)
        grain = picture.rgb[..., 0][covered] / picture.alpha[covered]
        return Probe(
            float(picture.alpha.mean()),
            float(np.quantile(picture.depth[covered], 0.05)),
            float(np.median(grain)),
        )

    def seen(self, cameras: Sequence[Camera]) -> Mask:
        """Whether each of the thinned Gaussians is visible from any of the cameras, [N]."""
        seen = np.zeros(len(self._layout.thinned), np.bool_)
        for camera in cameras:
            scores = self._rasterizer.contributions(self._layout.thinned, _small(camera))
            seen |= scores.max > 0.02
        return seen

    def area(self, of: Mask) -> float:
        """The total area times opacity of the thinned Gaussians `of` [N] that are in bounds."""
        scene, layout = self._layout.thinned, self._layout
        s: Array = np.sort(scene.scales, axis=1).astype(np.float64)
        near = np.all((scene.means >= layout.low) & (scene.means <= layout.high), axis=1)
        return float((scene.opacities * s[:, 1] * s[:, 2])[of & near].sum())


def _small(camera: Camera) -> Camera:
    width = max(1, round(_HEIGHT * camera.width / camera.height))
    return camera.resized(width, _HEIGHT)

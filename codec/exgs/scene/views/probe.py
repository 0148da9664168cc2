"""What small pictures tell about places to look from: whether they stand in matter or in fog.

Drawn from the thinned scene on the CPU, where a GPU is at hand too, so that the same views are
chosen everywhere.
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
_NEAR = 0.03  # of the scene's size: what most of a picture must not be nearer than
_FOG = 2.0  # times the finest detail, from which what a picture shows counts as fog
_EMPTY = 0.3  # of the usual coverage
_USUAL = 16  # views to look at beyond those wanted, to know what is usual


@dataclass(frozen=True, slots=True)
class Probe:
    """What a small picture tells."""

    coverage: float  # mean alpha
    near: float  # depth that 5% of the covered pixels are within, world units; 0 where none is
    grain: float  # size of the Gaussians at the median pixel, world units


class Prober:
    """Rates cameras in a scene; keeps the rasterizer's memory between pictures."""

    def __init__(self, layout: Survey) -> None:
        self._layout = layout
        self._rasterizer = CpuRasterizer()
        sizes = layout.thinned.scales.max(axis=1, keepdims=True)
        self._sizes: FloatArray = np.repeat(sizes, 3, axis=1)

    def best(self, candidates: Sequence[Camera], count: int) -> list[Camera]:
        """The first `count` that are clear of matter and show detail; else the next best.

        No more are looked at than it takes to find so many.
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
        """How bad each view is, 0 for a good one; what is usual follows from all of them."""
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
        """[N] which of the thinned Gaussians any of the cameras sees."""
        seen = np.zeros(len(self._layout.thinned), np.bool_)
        for camera in cameras:
            scores = self._rasterizer.contributions(self._layout.thinned, _small(camera))
            seen |= scores.max > 0.02
        return seen

    def area(self, of: Mask) -> float:
        """Area times opacity of those of the thinned Gaussians `of` [N] that lie within bounds."""
        scene, layout = self._layout.thinned, self._layout
        s: Array = np.sort(scene.scales, axis=1).astype(np.float64)
        near = np.all((scene.means >= layout.low) & (scene.means <= layout.high), axis=1)
        return float((scene.opacities * s[:, 1] * s[:, 2])[of & near].sum())


def _small(camera: Camera) -> Camera:
    width = max(1, round(_HEIGHT * camera.width / camera.height))
    return camera.resized(width, _HEIGHT)

"""The quality of a session over time: by the fast model, or by rendering."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from exgs.lab.assets.asset import Asset
from exgs.lab.quality.curves import Curves, Painter, psnr_of
from exgs.lab.quality.perceptual import Metric
from exgs.lab.simulation.transcript import Transcript
from exgs.lab.viewers.path_views import PathViews
from exgs.scene.metrics import ssim

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Quality at times of a session."""

    times_s: Doubles  # [S]
    psnr_db: Doubles  # [S], at most MOST_DB
    ssim: Doubles  # [S]
    perceptual: Mapping[str, Doubles] = field(default_factory=dict)  # [S] by metric


def sample_times(length_s: float, step_s: float) -> Doubles:
    """Times from one step to the end."""
    times: Doubles = np.arange(1, round(length_s / step_s) + 1, dtype=np.float64) * step_s
    return times


def fast_quality(
    asset: Asset, curves: Curves, transcript: Transcript, times_s: Doubles, views: Longs
) -> Seen:
    """Quality from the measured curves; `views` [S] are numbers of measured views."""
    psnr_db = psnr_of(curves.mse(views, progress_over(asset, transcript, times_s)))
    return Seen(times_s, psnr_db, curves.ssim_at(views, psnr_db))


def progress_over(
    asset: Asset, transcript: Transcript, times_s: Doubles
) -> npt.NDArray[np.float32]:
    """Progress [S, T] of the tiles at each time."""
    made = np.zeros((len(times_s), asset.tile_count), np.float32)
    places = np.searchsorted(times_s, transcript.times_s, "left")
    for place, item in zip(places.tolist(), transcript.items.tolist(), strict=True):
        if place < len(times_s):
            row = asset.progress_of[item]
            made[place] = np.maximum(made[place], row) if asset.is_level else made[place] + row
    if asset.is_level:
        return np.maximum.accumulate(made, axis=0)
    return np.cumsum(made, axis=0, dtype=np.float64).astype(np.float32)


def exact_quality(
    asset: Asset,
    whole: Painter,
    transcript: Transcript,
    times_s: Doubles,
    views: PathViews,
    metrics: Mapping[str, Metric],
) -> Seen:
    """Quality by rendering the received part and the `whole` scene from the view at each time."""
    drawing, done = asset.source.open(), 0
    psnr, ssims = [], []
    perceptual: dict[str, list[float]] = {name: [] for name in metrics}
    for time_s in times_s.tolist():
        while done < len(transcript.items) and transcript.times_s[done] <= time_s:
            drawing.add(int(transcript.items[done]))
            done += 1
        camera = views.camera(views.number(time_s))
        shown = Painter(drawing.gaussians(), antialiased=asset.source.antialiased).picture(camera)
        wanted = whole.picture(camera)
        psnr.append(float(np.mean(np.square(shown - wanted), dtype=np.float64)))
        ssims.append(ssim(shown, wanted))
        for name, metric in metrics.items():
            perceptual[name].append(metric(shown, wanted))
    psnr_db = psnr_of(np.array(psnr))
    found = {name: np.array(values) for name, values in perceptual.items()}
    return Seen(times_s, psnr_db, np.array(ssims), found)

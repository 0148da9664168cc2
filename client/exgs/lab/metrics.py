"""Metrics of a session: times to a quality, quality over time, dips, wasted bytes, stalls, QoE.

docs/laboratory.md describes the columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.lab.assets.asset import Asset
from exgs.lab.quality.perceptual import PERCEPTUAL
from exgs.lab.quality.seen import Seen
from exgs.lab.simulation.transcript import Transcript

Doubles = npt.NDArray[np.float64]

LEVELS_DB = (25, 30, 35)
STALL_DB = 20.0
_DIP_DB = 1.0


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of the QoE (Yin et al., SIGCOMM 2015), with a utility from 0 to 1.

    qoe = mean utility - switch * mean |change of utility| per second - stall * share of time below
    20 dB - wait * seconds to the first picture; utility = (PSNR - 20) / 20, clamped to [0, 1].
    """

    switch: float = 0.2
    stall: float = 1.0
    wait: float = 0.02


def measure(
    asset: Asset, transcript: Transcript, seen: Seen, was_seen: npt.NDArray[np.bool_], qoe: Weights
) -> dict[str, float | int | None]:
    """The metrics of a session by column.

    `was_seen` [N]: whether items were in view after arrival.
    """
    times, psnr_db = seen.times_s, seen.psnr_db
    shows = ~asset.is_setup[transcript.items]
    first_s = float(transcript.times_s[shows][0]) if shows.any() else None
    row: dict[str, float | int | None] = {"first_picture_s": first_s}
    # The background may match before the first picture.
    started = times >= (first_s if first_s is not None else math.inf)
    for level in LEVELS_DB:
        reached = np.flatnonzero(started & (psnr_db >= level))
        row[f"t{level}_s"] = float(times[reached[0]]) if len(reached) else None
    row["ready_s"] = transcript.done_s
    row["mean_db"] = float(psnr_db.mean())
    row["p5_db"] = float(np.percentile(psnr_db, 5))
    row["last_db"] = float(psnr_db[-1])
    row["mean_ssim"] = float(seen.ssim.mean())
    for name in PERCEPTUAL:
        values = seen.perceptual.get(name)
        row[f"mean_{name}"] = None if values is None else float(values.mean())
    row |= _dips(times, psnr_db)
    answered = transcript.answered_s
    row["answer_ms"] = float(np.median(answered)) * 1e3 if len(answered) else None
    never_seen = transcript.items[~was_seen & shows]
    row["received_bytes"] = transcript.bytes_at(float(times[-1]))
    row["wasted_bytes"] = int(asset.item_bytes[never_seen].sum()) + transcript.partial_bytes
    step_s = float(times[0])
    stall_s = float((started & (psnr_db < STALL_DB)).sum()) * step_s
    row["stall_s"] = stall_s
    row["qoe"] = _qoe(times, psnr_db, first_s, stall_s, qoe)
    return row


def _dips(times: Doubles, psnr_db: Doubles) -> dict[str, float | int | None]:
    """Drops of 1 dB or more, until the level before is reached again or the session ends."""
    depths, lengths = [], []
    level, low, since = float(psnr_db[0]), 0.0, None
    for time_s, value in zip(times.tolist(), psnr_db.tolist(), strict=True):
        if since is None:
            if value <= level - _DIP_DB:
                since, low = time_s, value
            else:
                level = value
        else:
            low = min(low, value)
            if value > level - _DIP_DB:
                depths.append(level - low)
                lengths.append(time_s - since)
                level, since = value, None
    if since is not None:
        depths.append(level - low)
        lengths.append(float(times[-1]) - since)
    return {
        "dips": len(depths),
        "dip_db": float(np.mean(depths)) if depths else None,
        "dip_s": float(np.mean(lengths)) if lengths else None,
    }


def _qoe(
    times: Doubles, psnr_db: Doubles, first_s: float | None, stall_s: float, weights: Weights
) -> float:
    length_s = float(times[-1])
    utility = np.clip((psnr_db - STALL_DB) / 20, 0, 1)
    changes = float(np.abs(np.diff(utility)).sum()) / length_s
    wait_s = first_s if first_s is not None else length_s
    return (
        float(utility.mean())
        - weights.switch * changes
        - weights.stall * stall_s / length_s
        - weights.wait * wait_s
    )

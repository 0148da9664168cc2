"""How much work the encoder does: by quality, or by what fits into a time on this machine.

Between the qualities low, default and high lie rungs of a ladder. For a time, one picture of the
scene and one gradient step are timed, the time of every rung is predicted from that, and the
highest rung that fits is chosen. The rung alone determines the file.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from exgs.codec.encoding.layer_plan import LayerPlan
from exgs.codec.encoding.remainder import ProxyEffort
from exgs.codec.measuring.pictures import thinned
from exgs.codec.merging.descent import gradient_of_squares
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer

Quality = Literal["low", "default", "high"]

_RUNGS = 4  # from one quality to the next
_TRAINING_PIXELS = 40_000  # of the picture of the timed step

# Times in pictures of the whole scene, measured on fox, tower and playbot.
_TRAINING_PICTURE = 0.3
_FIT_PICTURE = 1.2  # in every layer with proxies, per iteration and view
_GAIN_PICTURE = 0.45  # in every layer
_TABLE_PICTURE = 0.4
_LEAF_STEP = 0.5  # of a gradient step, times the share of the leaves that have arrived
_FIRST_STEP = 0.25  # a step of few proxies, relative to one of the layer with most
_PACKING_S = 3.5e-5  # per Gaussian, slow compression
_FAST = 0.7  # of it, fast compression


@dataclass(frozen=True, slots=True)
class Effort:
    """Settings that determine the encoding time."""

    views: int  # scoring views, unless `EncodeOptions.views` is set
    training_views: int  # for distillation
    fit_views: int  # of the training views, for colour fits
    gain_views: int  # for gains
    held_out_views: int  # for the rate-quality table
    quality_points: int  # of the rate-quality table, about
    final_steps: int  # of a round of `reduce_scene`, in scenes of 500,000 Gaussians or more
    thorough: bool  # slow compression, and larger training views
    proxies: ProxyEffort


EFFORTS: dict[Quality, Effort] = {
    "low": Effort(
        views=10,
        training_views=80,
        fit_views=16,
        gain_views=4,
        held_out_views=2,
        quality_points=8,
        final_steps=100,
        thorough=False,
        proxies=ProxyEffort(2, 200, 0, fit_iterations=2, fit_missing=0.5, thorough=False),
    ),
    "default": Effort(
        views=40,
        training_views=100,
        fit_views=20,
        gain_views=16,
        held_out_views=4,
        quality_points=14,
        final_steps=270,
        thorough=True,
        proxies=ProxyEffort(4, 440, 280, fit_iterations=2, fit_missing=0.0, thorough=True),
    ),
    "high": Effort(
        views=40,
        training_views=200,
        fit_views=60,
        gain_views=40,
        held_out_views=6,
        quality_points=14,
        final_steps=660,
        thorough=True,
        proxies=ProxyEffort(5, 2000, 1000, fit_iterations=4, fit_missing=0.0, thorough=True),
    ),
}


def rungs() -> list[Effort]:
    """The efforts from low to high, four steps from each quality to the next."""
    low, default, high = EFFORTS["low"], EFFORTS["default"], EFFORTS["high"]
    shares = [step / _RUNGS for step in range(_RUNGS)]
    return [_between(a, b, t) for a, b in ((low, default), (default, high)) for t in shares] + [
        high
    ]


def effort_for(
    seconds: float,
    scene: Gaussians,
    plan: Sequence[LayerPlan],
    camera: Camera,
    rasterizer: Rasterizer,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Effort, float]:
    """The highest rung whose predicted time is at most `seconds`, and that time.

    Low is the lowest rung, also where it takes longer. `camera` is a scoring view.
    """
    picture_s = _second_time(lambda: rasterizer.impact(scene, camera), clock)
    most = max((layer.proxies for layer in plan), default=0)
    step_s = 0.0
    if most:
        some = _like_proxies(scene, most)
        small = thinned(camera, _TRAINING_PIXELS)
        black = np.zeros((small.height, small.width, 3), np.float32)
        step_s = _second_time(
            lambda: rasterizer.render_gradients(
                some, small, lambda picture: gradient_of_squares(picture, black)
            ),
            clock,
        )
    best, best_s = None, 0.0
    for effort in rungs():
        needed_s = _predicted_s(effort, len(scene), plan, picture_s, step_s)
        if best is None or needed_s <= seconds:
            best, best_s = effort, needed_s
    assert best is not None
    return best, best_s


def _predicted_s(
    effort: Effort, count: int, plan: Sequence[LayerPlan], picture_s: float, step_s: float
) -> float:
    """Predicted encoding time, from the time of a picture and of a gradient step."""
    pictures = effort.views + _TRAINING_PICTURE * effort.training_views
    pictures += _GAIN_PICTURE * effort.gain_views * (len(plan) + 1)
    pictures += _TABLE_PICTURE * effort.held_out_views * effort.quality_points
    most = max(max((layer.proxies for layer in plan), default=0), 1)
    steps_s, arrived = 0.0, 0
    for layer in plan:
        arrived += layer.leaves
        missing = count - arrived
        if not layer.proxies:
            continue
        share = arrived / count
        steps = effort.proxies.steps_to_distil(count, missing)
        one_s = step_s * (_FIRST_STEP + (1 - _FIRST_STEP) * layer.proxies / most)
        steps_s += steps * (one_s + _LEAF_STEP * share * picture_s)
        if missing >= effort.proxies.fit_missing * count:
            fits = effort.proxies.fit_iterations * effort.fit_views
            pictures += _FIT_PICTURE * fits * max(share, layer.proxies / count)
    packing_s = _PACKING_S * count * (1.0 if effort.thorough else _FAST)
    return pictures * picture_s + steps_s + packing_s


def _between(low: Effort, high: Effort, share: float) -> Effort:
    """The effort at `share` of the way from `low` to `high`: numbers grow by equal factors."""

    def number(a: int, b: int) -> int:
        if not a:
            return round(share * b)
        return round(a * math.pow(b / a, share))

    p, q = low.proxies, high.proxies
    thorough = high.thorough if share else low.thorough
    return Effort(
        views=number(low.views, high.views),
        fit_views=number(low.fit_views, high.fit_views),
        training_views=number(low.training_views, high.training_views),
        gain_views=number(low.gain_views, high.gain_views),
        held_out_views=number(low.held_out_views, high.held_out_views),
        quality_points=number(low.quality_points, high.quality_points),
        final_steps=number(low.final_steps, high.final_steps),
        thorough=thorough,
        proxies=ProxyEffort(
            number(p.parts, q.parts),
            number(p.distill_steps, q.distill_steps),
            number(p.refine_steps, q.refine_steps),
            fit_iterations=number(p.fit_iterations, q.fit_iterations),
            fit_missing=(1 - share) * p.fit_missing + share * q.fit_missing,
            thorough=thorough,
        ),
    )


def _like_proxies(scene: Gaussians, count: int) -> Gaussians:
    """`count` of the Gaussians, evenly, so large that they cover about the area of all."""
    picks = np.linspace(0, len(scene) - 1, count).astype(np.int64)
    some = scene.select(picks).without_sh()
    growth = np.float32((len(scene) / count) ** 0.5)
    return replace(some, scales=some.scales * growth)


def _second_time(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of the second call: the first one may compile."""
    work()
    started = clock()
    work()
    return clock() - started

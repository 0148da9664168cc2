"""Reduces a scene to fewer Gaussians whose pictures lose no more than an allowed PSNR.

Rounds of pruning and refitting: the least important Gaussians are dropped, then all values of the
others follow the gradient of the squared error against pictures of the whole scene. A round counts
only if the loss in views that the fit has not used stays within the bound.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from exgs.codec.encoding.efforts import Effort
from exgs.codec.encoding.layered_scene import LayeredScene
from exgs.codec.encoding.progressive import decoded_leaves
from exgs.codec.encoding.remainder import more_steps
from exgs.codec.encoding.row_order import value_order
from exgs.codec.measuring.camera_check import are_plausible
from exgs.codec.measuring.importance import measure_importance
from exgs.codec.measuring.pictures import FitViews, clipped_pictures, evenly_spaced, scaled, zoomed
from exgs.codec.measuring.viewpoints import OUTSIDE_SHARE, without
from exgs.codec.merging.descent import Descent, descend
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.errors import SceneWarning
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Rasterizer
from exgs.scene.views.made_up import SceneViews

FINAL_MAX_DB = 3.0
PHOTO_DB = 30.0  # assumed PSNR of a scene against its photographs

_REDUCTION_SHARE = 0.6  # of the allowed loss; the rest is for quantization

_FIRST_LOSS = 4.0  # of the first pruning, relative to the allowed loss: a refit removes the rest
_NEXT_KEPT = 0.85  # share of the Gaussians that a later round keeps; nearer to 1 after a failure
_LAST_KEPT = 0.95  # the search ends when a larger share would have to be kept
_PRUNING_TRIES = 6
_RATE = 0.15  # of the first step, relative to that of proxies
_LAST_RATE = 0.015

_WIDTH = 640  # pixels, of a view at most
_TRAINING_VIEWS = 100  # at most
_PLAUSIBLE_VIEWS = 40  # of the training views, which tell whether cameras fit the scene
_ERROR_VIEWS = 12
_CAMERAS_MIN = 6  # for fits; with fewer, views are generated
_MEASURED = 6  # one in 6 of the cameras measures the loss
_ZOOMS = (1.0, 1.5, 2.2)  # of generated views, in turn: people also look from nearer
_SEED = 2_000_029  # of generated views; no other views of the encoder have these seeds
_OPACITIES = (0.004, 0.9995)

_COARSENESS_START = 4.0
_COARSENESS_TRIES = 4
_COARSENESS = (0.5, 32.0)
_COARSENESS_MARGIN = 0.98
_NEAR_ENOUGH = 0.95  # of the allowed loss: the search ends


def lost_db(error: float) -> float:
    """The loss of PSNR against a photograph, of a picture with this mean squared `error`.

    The scene itself matches the photograph with 30 dB. If both errors are independent, their
    squares add up.
    """
    return 10 * math.log10(1 + error * 10 ** (PHOTO_DB / 10))


@dataclass(frozen=True, slots=True, eq=False)
class ViewLoss:
    """The mean loss of a scene over some views, see `lost_db`.

    The error of a view is the mean over the pixels that the whole scene covers.
    """

    cameras: Sequence[Camera]
    references: Sequence[FloatArray]  # [H, W, 3]
    covered: Sequence[float]  # pixels, of each view
    rasterizer: Rasterizer

    @staticmethod
    def of(scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer) -> ViewLoss:
        """The loss against `scene`."""
        pictures = [rasterizer.render(scene, camera) for camera in cameras]
        return ViewLoss(
            cameras,
            [np.clip(picture.rgb, 0, 1) for picture in pictures],
            [max(float(picture.alpha.sum()), 1.0) for picture in pictures],
            rasterizer,
        )

    def __call__(self, candidate: Gaussians) -> float:
        """The loss of `candidate` in dB."""
        pictures = clipped_pictures(candidate, self.cameras, self.rasterizer)
        losses = []
        for picture, reference, covered in zip(
            pictures, self.references, self.covered, strict=True
        ):
            total = float(np.square(picture - reference).sum(dtype=np.float64))
            losses.append(lost_db(total / (3 * covered)))
        return float(np.mean(losses))


@dataclass(frozen=True, slots=True, eq=False)
class FinalViews:
    """The views of a reduction."""

    training: Sequence[Camera]
    loss: ViewLoss  # in other views


def final_views(
    scene: Gaussians,
    cameras: CameraSet | None,
    seed: int,
    rasterizer: Rasterizer,
) -> FinalViews:
    """Views to fit to, and other views to measure the loss in.

    Every 6th of the `cameras` for fits measures the loss. Without cameras, or with cameras that do
    not fit the scene, all views are generated.
    """
    if cameras is not None and len(cameras.fit) >= _CAMERAS_MIN:
        measured = cameras.fit[_MEASURED // 2 :: _MEASURED]
        fit = without(cameras.fit, measured)
        training = [scaled(camera, _WIDTH) for camera in evenly_spaced(fit, _TRAINING_VIEWS)]
        held_back = [scaled(camera, _WIDTH) for camera in evenly_spaced(measured, _ERROR_VIEWS)]
        some = evenly_spaced(training, _PLAUSIBLE_VIEWS)
        if are_plausible(scene, some, measure_importance(scene, some, rasterizer)):
            return FinalViews(training, ViewLoss.of(scene, held_back, rasterizer))
    made = SceneViews(scene)
    training, held_back = (
        _mixed(made.views(count, _SEED + 2 * seed + kind, outside=OUTSIDE_SHARE))
        for kind, count in enumerate((_TRAINING_VIEWS, _ERROR_VIEWS))
    )
    return FinalViews(training, ViewLoss.of(scene, held_back, rasterizer))


def _mixed(cameras: Sequence[Camera]) -> list[Camera]:
    """`cameras`, from nearer in turn."""
    return [zoomed(c, zoom) for c, zoom in zip(cameras, itertools.cycle(_ZOOMS), strict=False)]


def reduce_scene(
    scene: Gaussians,
    views: FinalViews,
    rasterizer: Rasterizer,
    loss_db: float,
    effort: Effort,
    progress: Callable[[float], None] = lambda _: None,
) -> Gaussians:
    """The smallest scene that is found with at most 60% of the allowed loss.

    Args:
        scene: the whole scene, sorted by `value_order`.
        views: to measure the importance in and to refit to, and others to measure the loss in.
        rasterizer: draws and differentiates.
        loss_db: see `EncodeOptions.final`.
        effort: the time to spend.
        progress: called with the share of the work that is done, about.
    """
    training, loss = views.training, views.loss
    allowed_db = _REDUCTION_SHARE * loss_db
    steps = more_steps(effort.final_steps, len(scene))
    pictures = (clipped_pictures(scene, [camera], rasterizer)[0] for camera in training)
    fit = FitViews(training, [picture.astype(np.float16) for picture in pictures])
    order = _ranked(scene, training, rasterizer)
    enough, first = (
        _pruned_count(scene, order, loss, factor * allowed_db) for factor in (1.0, _FIRST_LOSS)
    )
    best, kept, rounds = scene.select(order[:enough]), first / enough, 0
    order = np.arange(enough)
    while kept < _LAST_KEPT and (wanted := max(round(kept * len(best)), 1)) < len(best):
        pruned = best.select(np.sort(order[:wanted]))
        candidate = _refitted(pruned, fit, rasterizer, steps)
        if loss(candidate) <= allowed_db:
            best, kept = candidate, max(kept, _NEXT_KEPT)
            order = _ranked(best, training, rasterizer)
        else:
            kept = math.sqrt(kept)
        rounds += 1
        progress(rounds / (rounds + 1))
    return best.select(value_order(best))


def coarsest(
    layered: LayeredScene, effort: Effort, loss: ViewLoss, loss_db: float
) -> tuple[LayeredScene, float]:
    """`layered` with the coarsest quantization that loses at most `loss_db`, and what it loses.

    If even the finest one exceeds that, it is taken.
    """
    quick = replace(effort, thorough=False)
    exact_db = loss(layered.scene)
    tried: dict[float, float] = {}
    coarseness = _COARSENESS_START
    for _ in range(_COARSENESS_TRIES):
        candidate = replace(layered, coarseness=coarseness)
        tried[coarseness] = loss(decoded_leaves(candidate, quick))
        if _NEAR_ENOUGH * loss_db <= tried[coarseness] <= loss_db:
            break
        # The added loss is about proportional to the coarseness.
        added_db = max(tried[coarseness] - exact_db, 1e-9)
        coarseness *= _COARSENESS_MARGIN * max(loss_db - exact_db, 1e-9) / added_db
        coarseness = min(max(coarseness, _COARSENESS[0]), _COARSENESS[1])
        if coarseness in tried:
            break
    within = [value for value, measured_db in tried.items() if measured_db <= loss_db]
    best = max(within) if within else min(tried)
    if not within:
        warnings.warn(
            f"the file loses {tried[best]:.2f} dB instead of {loss_db:g}: less would need a larger"
            " one",
            SceneWarning,
            stacklevel=3,
        )
    return replace(layered, coarseness=best), tried[best]


def _ranked(
    scene: Gaussians, cameras: Sequence[Camera], rasterizer: Rasterizer
) -> npt.NDArray[np.int64]:
    """The numbers of the Gaussians, the most important ones in the views of `cameras` first."""
    scores = measure_importance(scene, cameras, rasterizer).combined
    return np.argsort(-scores, kind="stable")


def _pruned_count(
    scene: Gaussians, order: npt.NDArray[np.int64], loss: ViewLoss, loss_db: float
) -> int:
    """The number of Gaussians from the front of `order` that lose about `loss_db`, not more."""
    low, high = 0.0, 1.0
    for _ in range(_PRUNING_TRIES):
        share = (low + high) / 2
        some = scene.select(np.sort(order[: max(round(share * len(scene)), 1)]))
        if loss(some) <= loss_db:
            high = share
        else:
            low = share
    return max(round(high * len(scene)), 1)


def _refitted(
    start: Gaussians,
    views: FitViews,
    rasterizer: Rasterizer,
    steps: int,
) -> Gaussians:
    """`start` after `steps` of gradient descent on the squared error of pictures."""
    rng = np.random.default_rng(0)
    descent = Descent(
        Gaussians.empty(start.sh_degree), start, evenly_spaced(views.cameras, 24), _OPACITIES
    )
    numbers = np.arange(len(views.cameras))
    rates = _RATE, _LAST_RATE
    for _ in descend(
        descent, numbers, views, rasterizer, rng, steps=steps, rates=rates, fit_sh=True
    ):
        pass
    return descent.current()

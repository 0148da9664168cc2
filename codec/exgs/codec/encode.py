"""Encoding: a trained scene in, one progressive file out.

Score the Gaussians by rendering them, sort them into layers and tiles, quantize, stand proxies in
for what comes later, measure what each chunk mends, and write the chunks in that order.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from exgs.codec.container import build_file
from exgs.codec.errors import SceneError
from exgs.codec.fields import text_fault
from exgs.codec.home import home_view
from exgs.codec.importance import measure_importance, ugc_scores
from exgs.codec.index import Layer, QualityPoint, SceneFacts
from exgs.codec.layered import LayeredScene
from exgs.codec.layers import assign_layers, plan_layers, region_level
from exgs.codec.progressive import Effort, encode_chunks
from exgs.codec.quality import measure_quality
from exgs.codec.remainder import ProxyEffort
from exgs.codec.tiles import build_tiles, tile_bounds
from exgs.codec.viewpoints import Viewpoints, made_up_viewpoints, photographed_viewpoints
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterize import Rasterizer, default_rasterizer

Progress = Callable[[str, float], None]  # (stage, share of the stage that is done)

_EFFORTS = {
    "low": Effort(
        views=10,
        fit_views=4,
        lesson_views=0,
        gain_views=4,
        judge_views=2,
        judge_points=10,
        thorough=False,
        proxies=ProxyEffort(1, 0, 0, fit_iterations=2, fit_missing=0.5, thorough=False),
    ),
    "default": Effort(
        views=1 << 20,
        fit_views=12,
        lesson_views=100,
        gain_views=16,
        judge_views=4,
        judge_points=14,
        thorough=True,
        proxies=ProxyEffort(4, 440, 280, fit_iterations=2, fit_missing=0.0, thorough=True),
    ),
    "high": Effort(
        views=1 << 20,
        fit_views=40,
        lesson_views=200,
        gain_views=40,
        judge_views=6,
        judge_points=14,
        thorough=True,
        proxies=ProxyEffort(5, 2000, 1000, fit_iterations=4, fit_missing=0.0, thorough=True),
    ),
}
_VISIBLE_OPACITY = 1 / 255  # below it the rasterizer draws nothing


@dataclass(frozen=True, slots=True, eq=False)
class EncodeOptions:
    """Choices of an encoder.

    `cameras` are those of the scene's photographs; without them views are made up. `views` is how
    many to score from. `proxies=False` makes the plain pruned layers of ExGS. `score` orders the
    Gaussians: by worth (what their removal costs; the default with proxies), by energy (sum of
    w^2; the default without them), by contribution (sum of w), or as ExGS does.
    """

    quality: Literal["low", "default", "high"] = "default"
    seed: int = 0
    views: int = 40
    cameras: CameraSet | None = None
    name: str = ""
    credit: str = ""
    license: str = ""
    proxies: bool = True
    score: Literal["worth", "energy", "contribution", "ugc"] | None = None


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """What an encoder has done."""

    gaussians: int
    dropped: int  # Gaussians too faint to be drawn from anywhere
    file_bytes: int
    scene_hash: bytes
    layers: tuple[Layer, ...]
    quality: tuple[QualityPoint, ...]
    seconds: dict[str, float]  # by stage


def encode(
    scene: Gaussians,
    out_path: str | os.PathLike[str],
    options: EncodeOptions | None = None,
    progress: Progress | None = None,
    *,
    rasterizer: Rasterizer | None = None,
) -> EncodeReport:
    """Write `scene` to `out_path` as a progressive .exgs file; an old file stays until it is done.

    The same scene, options and rasterizer give the same bytes. Raises SceneError for a scene
    with nothing to draw or texts that no file can hold, OSError where the file can't be written.
    """
    options = options or EncodeOptions()
    for name in ("name", "credit", "license"):
        if fault := text_fault(getattr(options, name)):
            raise SceneError(f"the {name} of the file {fault}")
    stages = _Stages(progress or (lambda stage, share: None))
    rasterizer = rasterizer or default_rasterizer()
    effort = _EFFORTS[options.quality]

    visible = scene.opacities >= _VISIBLE_OPACITY
    dropped = int(len(scene) - np.count_nonzero(visible))
    scene = scene.select(visible)
    if not len(scene):
        raise SceneError("the scene has no Gaussian that can be seen")

    stages.enter("scoring")
    viewpoints = _viewpoints(scene, options, effort)
    cameras = viewpoints.scoring
    plan = plan_layers(len(scene), proxies=options.proxies)
    tiles = build_tiles(scene.means, max(layer.tile_level for layer in plan))
    fine_tile = tiles.locate(scene.means)
    level = region_level(plan)
    regions = fine_tile >> tiles.level - level
    importance = measure_importance(
        scene, cameras, rasterizer, regions, 1 << level, progress=stages.report
    )

    stages.enter("layering")
    scores: dict[str, Callable[[], npt.NDArray[np.floating]]] = {
        "worth": lambda: importance.worth,
        "energy": lambda: importance.energy,
        "contribution": lambda: importance.contribution,
        "ugc": lambda: ugc_scores(scene, cameras, rasterizer),
    }
    sizes = [layer.leaves for layer in plan]
    # Where most is missing and nothing stands for it, what a Gaussian hides is missing as well.
    score = options.score or ("worth" if options.proxies else "energy")
    layer_of = assign_layers(scores[score](), scene.means, sizes)

    layered = LayeredScene(scene, importance, plan, tiles, fine_tile, layer_of)
    chunks, proxy_counts = encode_chunks(layered, viewpoints, rasterizer, effort, stages.enter)
    facts = SceneFacts(
        name=options.name,
        credit=options.credit,
        license=options.license,
        encoder=f"exgs {version('exgs')}",
        leaf_count=len(scene),
        sh_degree=scene.sh_degree,
        up=_up(cameras),
        layers=tuple(
            Layer(layer.tile_level, layer.leaves, count, layer.amplification)
            for layer, count in zip(plan, proxy_counts, strict=True)
        ),
        tile_bounds=tile_bounds(scene.means, fine_tile, tiles.count),
        quality=(),
        home=home_view(cameras[int(importance.view_worth.argmax())]),
    )

    stages.enter("measuring")
    quality = measure_quality(
        build_file(facts, chunks),
        scene,
        viewpoints.judges,
        rasterizer,
        effort.judge_points,
        stages.report,
    )
    facts = replace(facts, quality=tuple(quality))

    stages.enter("writing")
    size = 0
    head = hashlib.sha256()
    with atomic_write(Path(out_path)) as file:
        for number, piece in enumerate(build_file(facts, chunks)):
            if number < 2:  # header and root index name the scene
                head.update(piece)
            file.write(piece)
            size += len(piece)
    return EncodeReport(
        gaussians=len(scene),
        dropped=dropped,
        file_bytes=size,
        scene_hash=head.digest()[:16],
        layers=facts.layers,
        quality=facts.quality,
        seconds=stages.finish(),
    )


class _Stages:
    """Names the stages to the caller, and takes their times."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._started_s = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def enter(self, stage: str) -> None:
        self._close()
        self._stage = stage
        self._progress(stage, 0.0)

    def report(self, share: float) -> None:
        self._progress(self._stage, share)

    def finish(self) -> dict[str, float]:
        self._close()
        return self.seconds

    def _close(self) -> None:
        now_s = time.perf_counter()
        if self._stage:
            self._progress(self._stage, 1.0)
            self.seconds[self._stage] = now_s - self._started_s
        self._started_s = now_s


def _viewpoints(scene: Gaussians, options: EncodeOptions, effort: Effort) -> Viewpoints:
    views = min(options.views, effort.views)
    if options.cameras is not None:
        return photographed_viewpoints(
            options.cameras, views=views, lessons=effort.lesson_views, judges=effort.judge_views
        )
    return made_up_viewpoints(
        scene,
        views=views,
        lessons=effort.lesson_views,
        judges=effort.judge_views,
        seed=options.seed,
    )


def _up(cameras: Sequence[Camera]) -> tuple[float, float, float]:
    """The direction that is up in most pictures."""
    mean = np.mean([-camera.viewmat[1, :3] for camera in cameras], axis=0)
    x, y, z = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return float(x), float(y), float(z)

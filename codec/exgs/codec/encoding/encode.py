"""The encoder: writes a trained scene as a progressive file.

It measures the importance of the Gaussians by rendering, assigns them to layers and tiles,
quantizes them, makes proxies for later layers, measures the gain of each chunk, and writes the
chunks in the order of gain per byte.
"""

from __future__ import annotations

import errno
import hashlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from exgs.codec.constants import MAX_SCENE_COUNT
from exgs.codec.encoding.efforts import EFFORTS, Effort, Quality, effort_for
from exgs.codec.encoding.final import (
    FINAL_MAX_DB,
    coarsest,
    final_views,
    reduce_scene,
)
from exgs.codec.encoding.first_picture import first_chunk_room, poster_room
from exgs.codec.encoding.layer_plan import (
    LayerPlan,
    assign_layers,
    check_plan,
    plan_layers,
    region_level,
)
from exgs.codec.encoding.layered_scene import LayeredScene
from exgs.codec.encoding.poster import POSTER_BYTES, draw_poster, pack_poster, with_poster
from exgs.codec.encoding.progressive import encode_chunks
from exgs.codec.encoding.row_order import value_order
from exgs.codec.encoding.stages import Progress, Stages
from exgs.codec.encoding.tiles import TileBoxes, build_tiles
from exgs.codec.errors import SceneError
from exgs.codec.format.container import build_file
from exgs.codec.format.facts import HomeView, Layer, QualityPoint, SceneFacts
from exgs.codec.format.fields import text_fault
from exgs.codec.format.packing import pack_index
from exgs.codec.measuring.camera_check import are_plausible, check_cameras
from exgs.codec.measuring.home_view import VISIBLE_OPACITY, Home, find_home, find_up
from exgs.codec.measuring.importance import measure_importance, ugc_scores
from exgs.codec.measuring.quality_table import measure_quality
from exgs.codec.measuring.sensitivity import Sensitivity
from exgs.codec.measuring.viewpoints import (
    Viewpoints,
    bound_views,
    made_up_viewpoints,
    photographed_viewpoints,
)
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.errors import SceneWarning
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import Gaussians
from exgs.scene.rasterizer import Rasterizer
from exgs.scene.repair import require_sound
from exgs.scene.scene import Scene, Vector
from exgs.scene.stores import AnyPath, Place, place

Score = Literal["combined", "energy", "contribution", "ugc"]

_EXTENT_MIN = 0.1  # world units; nothing within 0.01 of the camera is drawn


@dataclass(frozen=True, slots=True, eq=False)
class EncodeOptions:
    """Options of `encode`. Raises ValueError for values out of range.

    Attributes:
        quality: the encoding time: `low` is fastest, `high` gives the best quality for the bytes.
        seconds: instead of `quality`, a time to spend, about: the encoder does what it predicts to
            fit, between low and high. Other machines, and other programs beside it, change the
            prediction and so the file.
        seed: of the generated views.
        views: number of views on which importance is measured; None for 40, or 10 with quality
            `low`.
        cameras: the cameras of the scene's photographs, of which every 8th is a held-out view; None
            for generated views.
        name: title in the file.
        credit: author in the file.
        license: licence in the file.
        proxies: whether layers have proxies; False for the pruned layers of ExGS.
        score: the measure that orders the Gaussians. `combined` is the error without the Gaussian
            plus 0.6 times its energy, both normalised (the default with proxies); `energy` is the
            sum of w^2 (the default without proxies), `contribution` the sum of w, with w the
            blending weights; `ugc` is the score of ExGS.
        home: the home view, in the frame of the source; None to choose one.
        up: the up direction, in the frame of the source; None to find it from the cameras or from
            the floor of the scene.
        final: the file ends early, with fewer Gaussians, which are refit and quantized more
            coarsely; None for the whole scene. It is the mean loss of PSNR in dB against
            photographs that the scene matches with 30 dB, if errors are independent. For 0.3,
            pictures match those of the scene with 41.5 dB in the pixels that it covers. It is
            measured in views that the refit has not used: every 6th of the cameras for fits, or
            generated views.
    """

    quality: Quality = "default"
    seed: int = 0
    views: int | None = None
    cameras: CameraSet | None = None
    name: str = ""
    credit: str = ""
    license: str = ""
    proxies: bool = True
    score: Score | None = None
    home: HomeView | None = None
    up: Vector | None = None
    seconds: float | None = None
    final: float | None = None

    def __post_init__(self) -> None:
        if self.quality not in EFFORTS:
            raise ValueError(f"quality is {self.quality!r}, expected one of {', '.join(EFFORTS)}")
        scores = get_args(Score)
        if self.score not in (None, *scores):
            raise ValueError(f"score is {self.score!r}, expected one of {', '.join(scores)}")
        if self.views is not None and self.views < 1:
            raise ValueError(f"views is {self.views}, expected 1 or more")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise ValueError(f"seconds is {self.seconds}, expected more than 0")
        if self.final is not None and not 0 < self.final <= FINAL_MAX_DB:
            raise ValueError(
                f"final is {self.final}, expected more than 0 and at most {FINAL_MAX_DB:g} dB"
            )
        if self.final is not None and self.seconds is not None:
            raise ValueError("final takes its own time: set quality instead of seconds")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected 0 or more")


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """The result of `encode`."""

    gaussians: int  # in the file
    dropped: int  # Gaussians that are invalid or too transparent to be drawn
    file_bytes: int
    scene_hash: bytes  # [16]
    layers: tuple[Layer, ...]
    quality: tuple[QualityPoint, ...]
    seconds: dict[str, float]  # by stage
    reduced: int = 0  # Gaussians that are left out because of `EncodeOptions.final`
    loss_db: float | None = None  # in the sense of `EncodeOptions.final`, where that is set
    is_up_known: bool = True  # False if neither options, cameras nor a floor tell the up direction


def encode(
    scene: Scene | Gaussians,
    out_path: AnyPath,
    options: EncodeOptions | None = None,
    progress: Progress | None = None,
    *,
    rasterizer: Rasterizer | None = None,
) -> EncodeReport:
    """Write `scene` to `out_path` as a progressive .exgs file.

    An existing file is replaced when the new one is complete. The same scene, options and
    rasterizer give the same bytes on the same type of processor. Invalid Gaussians (values that are
    not finite, scales of 0, quaternions that are not unit) are repaired or dropped with a
    SceneWarning, as in `read_ply`.

    Args:
        scene: the scene, or its Gaussians.
        out_path: the file to write, in an existing folder, or its URL in a store (s3://...).
        options: defaults are used if None.
        progress: called with the name of the stage and the share of it that is done.
        rasterizer: the default rasterizer if None.

    Raises:
        SceneError: the scene has no visible or too many Gaussians, the cameras see none of them, or
            a text can't be stored.
        OSError, StoreError: the file can't be written.
    """
    options, out = options or EncodeOptions(), place(out_path)
    given = scene if isinstance(scene, Scene) else Scene(scene)
    check_request(len(given.gaussians), given.crs, out, options)
    stages = Stages(progress or (lambda stage, share: None))
    rasterizer = rasterizer or default_rasterizer(antialiased=given.antialiased)
    whole = _visible(given.gaussians, options)
    dropped = len(given.gaussians) - len(whole)
    given = replace(given, gaussians=whole)
    del scene  # in another order: only one copy stays
    check_plan(plan_layers(len(whole), proxies=options.proxies))

    stages.enter("scoring")
    cameras = options.cameras
    if cameras is not None:
        cameras = cameras.relative_to(given.origin)
    effort = _effort(whole, cameras, options, rasterizer)
    viewpoints = _viewpoints(whole, cameras, options, effort)
    gaussians, views, loss_db = whole, None, None
    if options.final is not None:
        stages.enter("reducing")
        views = final_views(whole, cameras, options.seed, rasterizer)
        gaussians = reduce_scene(whole, views, rasterizer, options.final, effort, stages.report)
        stages.enter("scoring")
    plan = plan_layers(len(gaussians), proxies=options.proxies, whole=len(whole))
    layered = _layered(gaussians, plan, viewpoints.scoring, cameras, options, rasterizer, stages)
    if options.final is not None and views is not None:
        stages.enter("coarsening")
        layered, loss_db = coarsest(layered, effort, views.loss, options.final)
    home = _home(given, options)
    picture = draw_poster(whole, home.view, home.up, rasterizer)
    poster = pack_poster(picture, POSTER_BYTES)
    texts = (options.name, options.credit, options.license, given.crs)
    room_bytes = first_chunk_room(layered.plan, texts, effort.quality_points, len(poster))
    chunks, proxy_counts = encode_chunks(
        layered, viewpoints, rasterizer, effort, room_bytes, stages.enter
    )

    stages.enter("measuring")
    layers, boxes = layered.plan, TileBoxes(gaussians.means, layered.fine_tile, layered.tiles.level)
    del layered  # its measurements are not needed any more
    leaf_counts = [layer.leaves for layer in layers]
    facts = scene_facts(given, layers, leaf_counts, proxy_counts, home, options)
    index = pack_index(facts, chunks, boxes.box, thorough=False)
    most_bytes = poster_room(len(index.root), effort.quality_points, chunks[0].packed_bytes)
    if len(poster) > most_bytes:
        poster = pack_poster(picture, most_bytes)
    facts = with_poster(facts, poster)
    quality = measure_quality(
        build_file(facts, chunks, boxes.box, poster),
        whole,
        viewpoints.held_out,
        rasterizer,
        effort.quality_points,
        stages.report,
    )
    facts = replace(facts, quality=tuple(quality))

    stages.enter("writing")
    pieces = build_file(facts, chunks, boxes.box, poster)
    file_bytes, scene_hash = write_pieces(out, pieces)
    return EncodeReport(
        gaussians=len(gaussians),
        dropped=dropped,
        file_bytes=file_bytes,
        scene_hash=scene_hash,
        layers=facts.layers,
        quality=facts.quality,
        seconds=stages.finish(),
        is_up_known=home.is_up_known,
        reduced=len(whole) - len(gaussians),
        loss_db=loss_db,
    )


def check_request(count: int, crs: str, out: Place, options: EncodeOptions) -> None:
    """Raise for requests that would otherwise fail only when the file is written.

    `count` and `crs` are the number of Gaussians and the coordinate reference system of the scene.
    """
    if isinstance(out, Path) and not out.absolute().parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "no such folder", str(out.parent))
    _check_texts(options, crs)
    if count > MAX_SCENE_COUNT:
        raise SceneError(f"the scene has {count:,} Gaussians, a file can hold {MAX_SCENE_COUNT:,}")


def _check_texts(options: EncodeOptions, crs: str) -> None:
    """Raise SceneError for a text that no file can hold."""
    for name, text in (
        ("name", options.name),
        ("credit", options.credit),
        ("license", options.license),
        ("CRS", crs),
    ):
        if fault := text_fault(text):
            raise SceneError(f"the {name} of the file {fault}")


def _visible(given: Gaussians, options: EncodeOptions) -> Gaussians:
    """The valid Gaussians with a visible opacity, in an order that depends on their values."""
    scene = require_sound(given, options.name or "the scene")
    scene = scene.select(scene.opacities >= VISIBLE_OPACITY)
    if not len(scene):
        raise SceneError("the scene has no visible Gaussian")
    _warn_of_size(scene)
    return scene.select(value_order(scene))


def _layered(
    scene: Gaussians,
    plan: Sequence[LayerPlan],
    views: Sequence[Camera],
    cameras: CameraSet | None,
    options: EncodeOptions,
    rasterizer: Rasterizer,
    stages: Stages,
) -> LayeredScene:
    """Divide the scene into tiles, measure its importance on `views`, and assign the layers.

    `cameras` are those of the photographs; `views` are some of them, or generated views.
    """
    tiles = build_tiles(scene.means, max(layer.tile_level for layer in plan))
    fine_tile = tiles.locate(scene.means)
    level = region_level(plan)
    regions = fine_tile >> tiles.level - level
    importance = measure_importance(
        scene, views, rasterizer, regions, 1 << level, progress=stages.report
    )
    require_seen(importance.contribution, photographed=cameras is not None)
    sensitivity = Sensitivity.of(importance)
    if cameras is not None:
        check_cameras(scene, cameras.cameras, importance)
        if not are_plausible(scene, cameras.cameras, importance):
            bound = measure_importance(
                scene, bound_views(scene, options.seed), rasterizer, regions, 1 << level
            )
            sensitivity = sensitivity.bounded_below(Sensitivity.of(bound))

    stages.enter("layering")
    scores: dict[Score, Callable[[], npt.NDArray[np.floating]]] = {
        "combined": lambda: importance.combined,
        "energy": lambda: importance.energy,
        "contribution": lambda: importance.contribution,
        "ugc": lambda: ugc_scores(scene, views, rasterizer),
    }
    # The removal assumes that the Gaussians behind are present or have proxies.
    score: Score = options.score or ("combined" if options.proxies else "energy")
    layer_of = assign_layers(scores[score](), scene.means, [layer.leaves for layer in plan])
    return LayeredScene(scene, importance, sensitivity, plan, tiles, fine_tile, layer_of)


def _home(scene: Scene, options: EncodeOptions) -> Home:
    """The home view and the up direction, in the frame of the file."""
    cameras = options.cameras.relative_to(scene.origin).cameras if options.cameras else ()
    if options.home is None:
        return find_home(scene.gaussians, cameras, up=options.up, antialiased=scene.antialiased)
    up = options.up or find_up(scene.gaussians, cameras)
    return Home(options.home.relative_to(scene.origin), up)


def scene_facts(
    scene: Scene,
    plan: Sequence[LayerPlan],
    leaf_counts: Sequence[int],
    proxy_counts: Sequence[int],
    home: Home,
    options: EncodeOptions,
) -> SceneFacts:
    """The facts of a file, without its quality table and poster.

    `scene` tells SH degree, mode, origin and CRS; it may have no Gaussians. `leaf_counts` and
    `proxy_counts` are those of each layer of `plan`.
    """
    return SceneFacts(
        name=options.name,
        credit=options.credit,
        license=options.license,
        encoder=f"exgs {version('exgs')}",
        leaf_count=sum(leaf_counts),
        sh_degree=scene.gaussians.sh_degree,
        up=home.up,
        layers=tuple(
            Layer(layer.tile_level, leaves, proxies, layer.amplification)
            for layer, leaves, proxies in zip(plan, leaf_counts, proxy_counts, strict=True)
        ),
        quality=(),
        home=home.view,
        antialiased=scene.antialiased,
        origin=scene.origin,
        crs=scene.crs,
    )


def write_pieces(out: Place, pieces: Iterator[bytes]) -> tuple[int, bytes]:
    """Write a file; return its length in bytes and its scene hash [16]."""
    size = 0
    head = hashlib.sha256()
    with atomic_write(out) as file:
        for number, piece in enumerate(pieces):
            if number < 2:  # the header and the root index
                head.update(piece)
            file.write(piece)
            size += len(piece)
    return size, head.digest()[:16]


def _warn_of_size(scene: Gaussians) -> None:
    low, high = np.percentile(scene.means, [5, 95], axis=0)
    extent = max(float((high - low).max()), 2 * float(np.median(scene.scales.max(axis=1))))
    if extent < _EXTENT_MIN:
        warnings.warn(
            f"the scene is {extent:.2g} units across, and nothing within 0.01 units of the camera"
            " is drawn: make the scene larger",
            SceneWarning,
            stacklevel=3,
        )


def require_seen(contribution: npt.NDArray[np.floating], *, photographed: bool) -> None:
    """Raise SceneError if no Gaussian contributes to a view."""
    if not contribution.any():
        raise SceneError(
            "the cameras see nothing of the scene: are they in its frame and units?"
            if photographed
            else "no view shows any of the scene: it is too small (--scale), or has no visible part"
        )


def _effort(
    scene: Gaussians, cameras: CameraSet | None, options: EncodeOptions, rasterizer: Rasterizer
) -> Effort:
    """The effort of the chosen quality, or the one that fits into the chosen time."""
    if options.seconds is None:
        return EFFORTS[options.quality]
    view = _viewpoints(scene, cameras, replace(options, views=1), EFFORTS["low"]).scoring[0]
    plan = plan_layers(len(scene), proxies=options.proxies)
    effort, predicted_s = effort_for(options.seconds, scene, plan, view, rasterizer)
    if predicted_s > options.seconds:
        warnings.warn(
            f"encoding will take about {predicted_s:.0f} s, the least that it can take",
            SceneWarning,
            stacklevel=3,
        )
    return effort


def _viewpoints(
    scene: Gaussians, cameras: CameraSet | None, options: EncodeOptions, effort: Effort
) -> Viewpoints:
    views = options.views or effort.views
    if cameras is not None:
        return photographed_viewpoints(
            cameras, views=views, training=effort.training_views, held_out=effort.held_out_views
        )
    return made_up_viewpoints(
        scene,
        views=views,
        training=effort.training_views,
        held_out=effort.held_out_views,
        seed=options.seed,
    )

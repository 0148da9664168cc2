"""Shared data of the sessions of an experiment: scenes, paths, measured curves.

They follow from the experiment and a cache folder, so each process, on any machine, can open them
itself. Costly data are in the cache.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.client.link import Link, parse_link
from exgs.codec.decoding.home_camera import home_camera
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.format.facts import HomeView
from exgs.lab.assets.asset import Asset
from exgs.lab.assets.exgs_file import ExgsFile, exgs_asset
from exgs.lab.assets.peers import sog_asset, splat_asset, whole_file_asset
from exgs.lab.errors import LabError
from exgs.lab.experiment import Experiment, LinkSpec, SceneSpec, ViewerSpec
from exgs.lab.links.rates import Rates
from exgs.lab.links.traces import read_trace
from exgs.lab.links.transport import LinkModel
from exgs.lab.plugins import is_plugin, load_plugin
from exgs.lab.quality.curves import Curves, Painter, Reference, measured_curves
from exgs.lab.quality.perceptual import Metric, perceptual_metric
from exgs.lab.quality.views import nearest_views, spread_views
from exgs.lab.viewers.made import Place, made_path
from exgs.lab.viewers.path import ViewPath
from exgs.lab.viewers.path_views import PathViews
from exgs.lab.viewers.recorded import read_camera_path, read_eyenavgs
from exgs.sample import sample_scene
from exgs.scene.formats import read_scene, write_scene
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene

_READERS: dict[str, Callable[[Path], Asset]] = {
    "exgs": exgs_asset,
    "spz": whole_file_asset,
    "splat": splat_asset,
    "sog": sog_asset,
}
_ENDINGS = {"exgs": ".exgs", "spz": ".spz", "splat": ".splat", "ply": ".ply"}
_PICTURES = 600  # of the reference that are kept
_FOV_Y = 0.8726646259971648  # 50 degrees; for files without a home view


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredPath:
    """A viewer's path through a scene, with the views in which quality is measured."""

    views: PathViews  # of all seeds
    measured: list[int]  # their numbers
    nearest: npt.NDArray[np.int64]  # for each view, the place of the nearest in `measured`


class Stage:
    """Opens the data of sessions, each once."""

    def __init__(self, experiment: Experiment, cache: Path) -> None:
        self.experiment = experiment
        self.cache = cache
        self._scenes = {
            spec.name: SceneStage(spec, experiment, cache) for spec in experiment.scenes
        }
        self._links: dict[str, LinkModel] = {}

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The perceptual metrics to measure."""
        return {name: perceptual_metric(name) for name in self.experiment.settings.perceptual}

    def scene(self, name: str) -> SceneStage:
        """A scene by its name."""
        return self._scenes[name]

    def link(self, spec: LinkSpec, seed: int) -> LinkModel:
        """A link for a seed: its trace starts at a random time."""
        if spec.name not in self._links:
            self._links[spec.name] = open_link(spec)
        link = self._links[spec.name]
        if link.rates is None or not spec.vary or not seed:
            return link
        chance = random.Random(f"{spec.name}/{seed}")
        return link.shifted(chance.random() * link.rates.length_s)


def open_link(spec: LinkSpec) -> LinkModel:
    """The model of a link. Raises LabError, LinkError, OSError."""
    if spec.rate:
        return LinkModel(parse_link(spec.rate), transport=spec.transport)
    if spec.trace is not None:
        rates = read_trace(spec.trace, spec.form, spec.member)
    else:
        starts = [at for at, _ in spec.steps]
        length_s = 2 * starts[-1] - starts[-2] if len(starts) > 1 else 1.0
        rates = Rates.of(starts, [rate * 1e6 for _, rate in spec.steps], length_s)
    rates = rates.scaled(spec.scale)
    link = Link(rates.mean_bps, spec.delay_ms / 1e3, spec.jitter_ms / 1e3, spec.loss)
    return LinkModel(link, rates, spec.transport)


class SceneStage:
    """One scene: its files, the place of viewers, its curves."""

    def __init__(self, spec: SceneSpec, experiment: Experiment, cache: Path) -> None:
        self.spec = spec
        self._experiment = experiment
        self._cache = cache
        self._assets: dict[str, Asset] = {}
        self._paths: dict[str, MeasuredPath] = {}
        self._curves: dict[tuple[str, str], Curves] = {}

    def file(self, kind: str) -> Path:
        """The file of a format, converted from the source if the experiment says so."""
        if kind in self.spec.files:
            return self.spec.files[kind]
        if kind not in self.spec.make or kind not in _ENDINGS:
            raise LabError(f"scene {self.spec.name}: no {kind} file, and 'make' does not list it")
        source = self.spec.files.get("source")
        path = self._cache / f"{self.spec.name}-{self._source_key}{_ENDINGS[kind]}"
        if not path.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            whole = read_scene(source) if source is not None else Scene(sample_scene())
            if kind == "exgs":
                encode(whole, path, EncodeOptions())
            else:
                write_scene(path, whole)
        return path

    def asset(self, kind: str) -> Asset:
        """The items of a format."""
        if kind not in self._assets:
            reader = _READERS.get(kind)
            if reader is None:
                named = self._experiment.formats.get(kind, "")
                if not is_plugin(named):
                    raise LabError(
                        f"format {kind!r} is none of {', '.join(_READERS)}, nor in [formats]"
                    )
                reader = load_plugin(named, self._experiment.folder)
            self._assets[kind] = reader(self.file(kind))
        return self._assets[kind]

    @cached_property
    def _source_key(self) -> str:
        source = self.spec.files.get("source")
        if source is None:
            return "sample"
        return hashlib.sha256(source.read_bytes()).hexdigest()[:16]

    @cached_property
    def own(self) -> ExgsFile:
        """The .exgs file, which contains the home view."""
        source = self.asset("exgs").source
        if not isinstance(source, ExgsFile):
            raise LabError(f"scene {self.spec.name}: its exgs file is not valid")
        return source

    @cached_property
    def reference(self) -> Reference:
        """The scene with which all formats are compared: the source, or the complete .exgs file."""
        path = self.spec.files.get("source")
        if path is None and self.spec.make:
            return Reference(self._source_key, sample_scene)
        if path is None:
            return Reference(self.asset("exgs").key, self._decoded, self.own.antialiased)
        return Reference(self._source_key, self._loaded, self.own.antialiased)

    @cached_property
    def whole(self) -> Painter:
        """Draws the reference. Sessions of one viewer see the same pictures of it."""
        reference = self.reference
        return Painter(reference.load(), antialiased=reference.antialiased, kept=_PICTURES)

    def _decoded(self) -> Gaussians:
        return self.own.owners()[0]

    def _loaded(self) -> Gaussians:
        return read_scene(self.spec.files["source"]).gaussians

    @cached_property
    def place(self) -> Place:
        """The home view of the file, and the point that it looks at."""
        facts, settings = self.own.head.root.facts, self._experiment.settings
        asset = self.asset("exgs")
        boxes = (asset.low < asset.high).all(axis=1)
        middles = (asset.low[boxes] + asset.high[boxes]) / 2
        size = float(np.linalg.norm(asset.high[boxes].max(axis=0) - asset.low[boxes].min(axis=0)))
        home_view = facts.home or _from_the_front(middles, size)
        home = home_camera(home_view, facts.up, *settings.picture)
        forward = home.viewmat[2, :3]
        ahead = float((np.median(middles, axis=0) - home.position) @ forward)
        reach = max(ahead, 0.15 * size)
        up = np.asarray(facts.up, np.float64)
        return Place(home, home.position + reach * forward, up / np.linalg.norm(up), reach)

    def measured_path(self, spec: ViewerSpec) -> MeasuredPath:
        """The path of a viewer."""
        if spec.name not in self._paths:
            settings, reach = self._experiment.settings, self.place.reach
            length_s = settings.length_s + spec.vary_s * (len(settings.seeds) - 1)
            first = round(spec.start_s / settings.view_step_s)
            path = self._path(spec, length_s + spec.start_s)
            views = PathViews(path, settings.view_step_s, first=first)
            count = round(length_s / settings.view_step_s) + 1
            most_views = self.spec.most_views or settings.most_views
            measured = spread_views(views, count, reach, most_views)
            nearest = nearest_views(views, count + 1, measured, reach)
            self._paths[spec.name] = MeasuredPath(views, measured, nearest)
        return self._paths[spec.name]

    def _path(self, spec: ViewerSpec, length_s: float) -> ViewPath:
        if spec.kind in ("eyenavgs", "cameras"):
            if spec.file is None:
                raise LabError(f"viewer {spec.name}: it needs a file")
            if spec.kind == "cameras":
                return read_camera_path(spec.file, self.place, per_s=spec.per_s)
            metres = spec.metres or 0.25 * self.place.reach
            return read_eyenavgs(spec.file, self.place, metres=metres, member=spec.member)
        return made_path(spec.kind, self.place, length_s, spec.period_s)

    def curves(
        self, kind: str, spec: ViewerSpec, progress: Callable[[float], None] = lambda _: None
    ) -> Curves:
        """The measured curves of a format along a viewer's path."""
        key = kind, spec.name
        if key not in self._curves:
            path = self.measured_path(spec)
            cameras = [path.views.camera(number) for number in path.measured]
            self._curves[key] = measured_curves(
                self.asset(kind), self.reference, cameras, self._cache, progress
            )
        return self._curves[key]


def _from_the_front(middles: npt.NDArray[np.float64], size: float) -> HomeView:
    """A view for files without a home view: toward +z, from the distance of the scene's size."""
    x, y, z = np.median(middles, axis=0).tolist()
    return HomeView((x, y, z - size), (0.0, 0.0, 1.0), _FOV_Y)

"""An experiment as described by its TOML file: scenes x links x viewers x policies x seeds."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from exgs.lab.errors import LabError
from exgs.lab.metrics import Weights
from exgs.lab.quality.perceptual import perceptual_metric

_SCENE_FILES = ("exgs", "source", "spz", "splat", "sog")


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A scene: its files by format, and the formats to convert its source to."""

    name: str
    files: Mapping[str, Path]  # format -> file; "source" is the reference for quality
    make: tuple[str, ...] = ()  # formats to convert the source to, stored in the cache
    most_views: int = 0  # as in Settings, of this scene; 0: that of the experiment
    optional: bool = False  # skip the scene, with a note, if a file is missing

    @property
    def formats(self) -> frozenset[str]:
        """The available formats."""
        return frozenset([*self.files, *self.make])


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A link with constant rate, with steps, or with a trace."""

    name: str
    rate: str = ""  # for example "2mbit,100ms,1%"
    steps: tuple[tuple[float, float], ...] = ()  # seconds, Mbit/s
    trace: Path | None = None
    member: str = ""  # the file in it, where it is an archive
    form: str = ""  # format of the trace
    delay_ms: float = 0.0  # one way, of a stepped or traced link
    jitter_ms: float = 0.0
    loss: float = 0.0  # share of lost segments
    scale: float = 1.0  # factor on the rates of a trace
    transport: str = "bbr"
    vary: bool = True  # start the trace at another time for each seed
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ViewerSpec:
    """A viewer: a generated or recorded camera path."""

    name: str
    kind: str  # stays, orbit, walk, turn, teleport, eyenavgs, cameras
    file: Path | None = None
    member: str = ""  # the file in it, where it is an archive
    period_s: float = 8.0  # of generated paths
    # World units per metre of a recording; 0: a quarter of the distance to the centre.
    metres: float = 0.0
    per_s: float = 30.0  # cameras per second of a camera file
    start_s: float = 0.0
    vary_s: float = 0.0  # each seed starts this much later than the one before
    scenes: tuple[str, ...] = ()  # scenes for this viewer; empty: all
    optional: bool = False

    def looks_at(self, scene: SceneSpec) -> bool:
        """Whether this viewer is used with a scene."""
        return not self.scenes or scene.name in self.scenes


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A policy, the format it is used with, and the predictor of views."""

    name: str
    use: str  # exgs, exgs-static, one of POLICIES, or FILE.py:CLASS
    format: str = "exgs"
    profile: str = "push"  # push: the server chooses; ranges: the client requests
    predictor: str = "stays"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of all sessions."""

    name: str = "experiment"
    length_s: float = 30.0
    seeds: tuple[int, ...] = (0,)
    view_step_s: float = 0.1  # interval between views, if they differ
    sample_s: float = 0.05  # interval between quality samples
    width: int = 192  # of the pictures on which quality is measured
    height: int = 108
    quality: str = "fast"  # fast or exact
    exact_step_s: float = 1.0
    perceptual: tuple[str, ...] = ()  # with exact quality: also flip, stlpips
    # Every n-th session is also rendered, to measure the error of the fast model; 0: none.
    check_every: int = 0
    most_views: int = 12  # views per path in which curves are measured
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """The contents of an experiment file."""

    path: Path
    settings: Settings
    scenes: tuple[SceneSpec, ...]
    links: tuple[LinkSpec, ...]
    viewers: tuple[ViewerSpec, ...]
    policies: tuple[PolicySpec, ...]
    formats: Mapping[str, str]  # name of a user-defined format -> FILE.py:FUNCTION
    qoe: Weights = field(default_factory=Weights)

    @property
    def folder(self) -> Path:
        """The folder to which its paths are relative."""
        return self.path.parent


def read_experiment(path: Path) -> Experiment:
    """Read and check an experiment. Raises LabError, OSError."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: not TOML: {error}") from error
    try:
        return _experiment(path, data)
    except LabError as error:
        raise LabError(f"{path}: {error}") from error


def _experiment(path: Path, data: dict[str, Any]) -> Experiment:
    known = {"experiment", "scene", "link", "viewer", "policy", "formats", "qoe"}
    if extra := set(data) - known:
        raise LabError(f"unknown table {sorted(extra)[0]!r}; known are {', '.join(sorted(known))}")
    folder = path.parent
    settings = dict(data.get("experiment", {}))
    if "picture" in settings:
        settings["width"], settings["height"] = settings.pop("picture")
    settings["perceptual"] = tuple(settings.get("perceptual", ()))
    if "seeds" in settings:
        given = settings["seeds"]
        settings["seeds"] = tuple(range(given)) if isinstance(given, int) else tuple(given)
    made = Experiment(
        path,
        _made(Settings, settings, "[experiment]"),
        tuple(_scene(row, folder) for row in _rows(data, "scene")),
        tuple(_link(row, folder) for row in _rows(data, "link")),
        tuple(_viewer(row, folder) for row in _rows(data, "viewer")),
        tuple(_made(PolicySpec, row, "[[policy]]") for row in _rows(data, "policy")),
        data.get("formats", {}),
        _made(Weights, data.get("qoe", {}), "[qoe]"),
    )
    for table in (made.scenes, made.links, made.viewers, made.policies):
        names = [row.name for row in table]
        if len(set(names)) < len(names):
            raise LabError(f"two rows of one table have the name {max(names, key=names.count)!r}")
    if made.settings.quality not in ("fast", "exact"):
        raise LabError("quality must be fast or exact")
    if made.settings.perceptual and made.settings.quality != "exact":
        raise LabError("'perceptual' needs quality = 'exact'")
    for name in made.settings.perceptual:
        perceptual_metric(name)
    if made.settings.length_s <= 0 or not made.settings.seeds:
        raise LabError("[experiment] needs length_s above 0 and at least one seed")
    return made


def _rows(data: dict[str, Any], table: str) -> list[dict[str, Any]]:
    rows = data.get(table)
    if not isinstance(rows, list) or not rows:
        raise LabError(f"it needs at least one [[{table}]]")
    return rows


def _scene(row: dict[str, Any], folder: Path) -> SceneSpec:
    row = dict(row)
    files = {name: _path(row.pop(name), folder) for name in _SCENE_FILES if name in row}
    files |= {name: _path(text, folder) for name, text in row.pop("files", {}).items()}
    row["make"] = tuple(row.get("make", ()))
    spec: SceneSpec = _made(SceneSpec, {**row, "files": files}, "[[scene]]")
    if "exgs" not in files and "exgs" not in spec.make:
        raise LabError(f"scene {spec.name}: name its exgs file, or make = ['exgs'] of a source")
    if spec.make and "source" not in files and spec.name != "sample":
        raise LabError(f"scene {spec.name}: 'make' needs a source")
    return spec


def _link(row: dict[str, Any], folder: Path) -> LinkSpec:
    row = dict(row)
    if "trace" in row:
        row["trace"] = _path(row["trace"], folder)
    row["steps"] = tuple((float(at), float(rate)) for at, rate in row.get("steps", ()))
    spec: LinkSpec = _made(LinkSpec, row, "[[link]]")
    if sum((bool(spec.rate), bool(spec.steps), spec.trace is not None)) != 1:
        raise LabError(f"link {spec.name}: give one of rate, steps and trace")
    return spec


def _viewer(row: dict[str, Any], folder: Path) -> ViewerSpec:
    row = dict(row)
    if "file" in row:
        row["file"] = _path(row["file"], folder)
    row["scenes"] = tuple(row.get("scenes", ()))
    spec: ViewerSpec = _made(ViewerSpec, row, "[[viewer]]")
    return spec


def _path(text: str, folder: Path) -> Path:
    """A path relative to the experiment's folder; $VARIABLES of the environment are replaced."""
    return folder / Path(os.path.expandvars(text)).expanduser()


def _made(kind: type[Any], row: dict[str, Any], place: str) -> Any:
    """Convert a table to a dataclass. Raises LabError for unknown and missing keys."""
    names = {item.name for item in fields(kind)}
    if extra := set(row) - names:
        raise LabError(
            f"{place}: unknown key {sorted(extra)[0]!r}; known: {', '.join(sorted(names))}"
        )
    try:
        return kind(**row)
    except TypeError as error:
        missing = sorted(item.name for item in fields(kind) if item.name not in row)
        raise LabError(f"{place}: {error}; missing keys: {', '.join(missing)}") from error

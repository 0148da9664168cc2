"""An experiment as described by its TOML file: scenes x links x viewers x policies x seeds."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from exgs.lab.errors import LabError
from exgs.lab.metrics import Weights
from exgs.lab.quality.perceptual import perceptual_metric

_SCENE_FILES = ("exgs", "source", "spz", "splat", "sog")
_LEAST_PIXELS = 16  # SSIM has a window of 11 x 11
_MOST_LOSS = 0.5


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
    picture: tuple[int, int] = (192, 108)  # width and height, on which quality is measured
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
    settings = dict(_table(data, "experiment"))
    if isinstance(settings.get("seeds"), int):
        settings["seeds"] = tuple(range(settings["seeds"]))
    made = Experiment(
        path,
        _made(Settings, settings, "[experiment]"),
        tuple(_scene(row, folder) for row in _rows(data, "scene")),
        tuple(_link(row, folder) for row in _rows(data, "link")),
        tuple(_viewer(row, folder) for row in _rows(data, "viewer")),
        tuple(_made(PolicySpec, row, "[[policy]]") for row in _rows(data, "policy")),
        {name: str(value) for name, value in _table(data, "formats").items()},
        _made(Weights, data.get("qoe", {}), "[qoe]"),
    )
    for table in (made.scenes, made.links, made.viewers, made.policies):
        names = [row.name for row in table]
        if len(set(names)) < len(names):
            raise LabError(f"two rows of one table have the name {max(names, key=names.count)!r}")
    _check(made.settings)
    return made


def _check(settings: Settings) -> None:
    if not settings.seeds:
        raise LabError("[experiment] needs at least one seed")
    for name in ("length_s", "view_step_s", "sample_s", "exact_step_s", "most_views"):
        if getattr(settings, name) <= 0:
            raise LabError(f"[experiment]: {name} must be above 0")
    if min(settings.picture) < _LEAST_PIXELS:
        raise LabError(f"[experiment]: a picture has at least {_LEAST_PIXELS} x {_LEAST_PIXELS}")
    if settings.quality not in ("fast", "exact"):
        raise LabError("quality must be fast or exact")
    if settings.perceptual and settings.quality != "exact":
        raise LabError("'perceptual' needs quality = 'exact'")
    for name in settings.perceptual:
        perceptual_metric(name)


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise LabError(f"{name} must be a table")
    return table


def _rows(data: dict[str, Any], table: str) -> list[dict[str, Any]]:
    rows = data.get(table)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise LabError(f"it needs at least one [[{table}]]")
    return rows


def _scene(row: dict[str, Any], folder: Path) -> SceneSpec:
    row = dict(row)
    files = {name: _path(row.pop(name), folder) for name in _SCENE_FILES if name in row}
    files |= {name: _path(text, folder) for name, text in _table(row, "files").items()}
    row.pop("files", None)
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
    spec: LinkSpec = _made(LinkSpec, row, "[[link]]")
    if sum((bool(spec.rate), bool(spec.steps), spec.trace is not None)) != 1:
        raise LabError(f"link {spec.name}: give one of rate, steps and trace")
    if not 0 <= spec.loss <= _MOST_LOSS or not 0 <= spec.jitter_ms <= spec.delay_ms:
        raise LabError(
            f"link {spec.name}: loss is from 0 to {_MOST_LOSS}, the jitter at most the delay"
        )
    return spec


def _viewer(row: dict[str, Any], folder: Path) -> ViewerSpec:
    row = dict(row)
    if "file" in row:
        row["file"] = _path(row["file"], folder)
    spec: ViewerSpec = _made(ViewerSpec, row, "[[viewer]]")
    return spec


def _path(text: object, folder: Path) -> Path:
    """A path relative to the experiment's folder; $VARIABLES of the environment are replaced."""
    if not isinstance(text, str):
        raise LabError(f"{text!r} is not the name of a file")
    return folder / Path(os.path.expandvars(text)).expanduser()


def _made(kind: type[Any], row: object, place: str) -> Any:
    """Convert a table to a dataclass. Raises LabError for wrong keys and values."""
    if not isinstance(row, dict):
        raise LabError(f"{place} must be a table")
    known = get_type_hints(kind)
    if extra := set(row) - set(known):
        raise LabError(
            f"{place}: unknown key {sorted(extra)[0]!r}; known: {', '.join(sorted(known))}"
        )
    values = {name: _frozen(value) for name, value in row.items()}
    for name, value in values.items():
        if not _fits(value, known[name]):
            raise LabError(f"{place}: {name} = {row[name]!r} is of the wrong type")
    try:
        return kind(**values)
    except TypeError as error:
        missing = sorted(item.name for item in fields(kind) if item.name not in row)
        raise LabError(f"{place}: {error}; missing keys: {', '.join(missing)}") from error


def _frozen(value: Any) -> Any:
    """Lists as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _fits(value: object, hint: Any) -> bool:
    """Whether a value has the type of a field."""
    kinds = get_args(hint)
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            return False
        if kinds[-1] is Ellipsis:
            return all(_fits(item, kinds[0]) for item in value)
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint if isinstance(hint, UnionType) else get_origin(hint) or hint)

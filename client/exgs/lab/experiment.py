"""An experiment as its TOML file describes it: scenes x links x viewers x policies x seeds."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from exgs.lab.errors import LabError
from exgs.lab.metrics import Weights

_SCENE_FILES = ("exgs", "source", "spz", "splat", "sog")


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A scene: its files by format, and what may be made of its source."""

    name: str
    files: Mapping[str, Path]  # format -> file; "source" is what all are compared with
    make: tuple[str, ...] = ()  # formats to make of the source, kept in the cache
    optional: bool = False  # left out, with a note, where a file is not there

    @property
    def formats(self) -> frozenset[str]:
        """Formats that it can be had in."""
        return frozenset([*self.files, *self.make])


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A link: constant, stepped, or by a trace."""

    name: str
    rate: str = ""  # as "2mbit,100ms,1%"
    steps: tuple[tuple[float, float], ...] = ()  # seconds, Mbit/s
    trace: Path | None = None
    member: str = ""  # the file in it, where it is an archive
    form: str = ""  # of the trace
    delay_ms: float = 0.0  # one way, of a stepped or traced link
    jitter_ms: float = 0.0
    loss: float = 0.0  # share of segments
    scale: float = 1.0  # factor on the rates of a trace
    transport: str = "bbr"
    vary: bool = True  # begin a trace elsewhere with each seed
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ViewerSpec:
    """A viewer: made up, or recorded."""

    name: str
    kind: str  # stays, orbit, walk, turn, teleport, eyenavgs, cameras
    file: Path | None = None
    member: str = ""  # the file in it, where it is an archive
    period_s: float = 8.0  # of made-up ones
    metres: float = 0.0  # world units for a metre of a recording; 0: a quarter of the reach
    per_s: float = 30.0  # cameras a second of a camera file
    start_s: float = 0.0
    vary_s: float = 0.0  # each seed begins so much later than the one before
    scenes: tuple[str, ...] = ()  # that it looks at; none named: all
    optional: bool = False

    def looks_at(self, scene: SceneSpec) -> bool:
        """Whether it looks at this scene."""
        return not self.scenes or scene.name in self.scenes


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A policy: what chooses, over which format, with what it may know of the next views."""

    name: str
    use: str  # exgs, exgs-static, one of POLICIES, or FILE.py:CLASS
    format: str = "exgs"
    profile: str = "push"  # the server chooses; or ranges: the client asks
    predictor: str = "stays"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all sessions."""

    name: str = "experiment"
    length_s: float = 30.0
    seeds: tuple[int, ...] = (0,)
    view_step_s: float = 0.1  # views are sent so often, where they differ
    sample_s: float = 0.05  # of quality over time
    width: int = 192  # of pictures that quality is measured on
    height: int = 108
    quality: str = "fast"  # or exact
    exact_step_s: float = 1.0
    check_every: int = 0  # every n-th session is drawn too, for the fast model's error; 0: none
    most_views: int = 12  # that curves are measured in, for each path
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Experiment:
    """Everything that the file says."""

    path: Path
    settings: Settings
    scenes: tuple[SceneSpec, ...]
    links: tuple[LinkSpec, ...]
    viewers: tuple[ViewerSpec, ...]
    policies: tuple[PolicySpec, ...]
    formats: Mapping[str, str]  # name of a user's format -> FILE.py:FUNCTION
    qoe: Weights = field(default_factory=Weights)

    @property
    def folder(self) -> Path:
        """Where its paths begin."""
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
            raise LabError(f"two rows of one table are called {max(names, key=names.count)!r}")
    if made.settings.quality not in ("fast", "exact"):
        raise LabError("quality is fast or exact")
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
    """Relative to the experiment's folder; $VARIABLES are those of the environment."""
    return folder / Path(os.path.expandvars(text)).expanduser()


def _made(kind: type[Any], row: dict[str, Any], place: str) -> Any:
    """A dataclass of a table; raises LabError for keys that it has not."""
    names = {item.name for item in fields(kind)}
    if extra := set(row) - names:
        raise LabError(
            f"{place}: unknown key {sorted(extra)[0]!r}; known: {', '.join(sorted(names))}"
        )
    try:
        return kind(**row)
    except TypeError as error:
        missing = sorted(item.name for item in fields(kind) if item.name not in row)
        raise LabError(
            f"{place}: {error}; keys that are not given: {', '.join(missing)}"
        ) from error

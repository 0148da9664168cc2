"""Scenes that a command reads: of any format or .exgs, with the facts of the file.

A prefix of an .exgs file too short for a picture is refused here, for every command alike.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exgs.cli.inputs import extension, local_file, require_scene
from exgs.cli.output import Report, format_bytes
from exgs.cli.urls import InputError
from exgs.codec.decoding.build import DrawnScene
from exgs.codec.decoding.decode import as_scene, decode, read_facts
from exgs.codec.format.container import open_head
from exgs.codec.format.facts import SceneFacts
from exgs.codec.measuring.home_view import VISIBLE_OPACITY
from exgs.scene.cameras import CameraSet, read_cameras
from exgs.scene.formats import READABLE, read_scene
from exgs.scene.scene import Scene


@dataclass(frozen=True, slots=True, eq=False)
class LoadedScene:
    """The Gaussians to draw, and the facts of an .exgs file."""

    scene: Scene
    drawn: DrawnScene
    facts: SceneFacts | None


def require_any_scene(name: str) -> None:
    """Raise InputError if the extension of `name` is not that of a scene."""
    require_scene(name, ".exgs", *READABLE)


def load_scene(
    name: str, report: Report, *, max_bytes: int | None = None, frame: str | None = None
) -> LoadedScene:
    """The scene of a file or URL, or of the first `max_bytes` of an .exgs file.

    Raises InputError if these contain no Gaussians, FormatError, SceneError, OSError.
    """
    if extension(name) == ".exgs":
        with local_file(name, max_bytes=max_bytes, report=report) as path:
            drawn, facts = decode_picture(path, name, max_bytes), read_facts(path)
        return LoadedScene(as_scene(drawn, facts), drawn, facts)
    with local_file(name, report=report) as path:
        report("reading", 0.0)
        scene = read_scene(path, frame=frame)
    if not np.any(scene.gaussians.opacities >= VISIBLE_OPACITY):
        raise InputError(f"{name}: has no Gaussian that can be seen")
    none = np.zeros(len(scene), bool)
    return LoadedScene(scene, DrawnScene(scene.gaussians, none, none), None)


def decode_picture(
    path: Path, name: str, max_bytes: int | None = None, max_layer: int | None = None
) -> DrawnScene:
    """Call `decode`; raise InputError if the result has no Gaussians."""
    drawn = decode(path, max_bytes=max_bytes, max_layer=max_layer)
    if not len(drawn.gaussians) and max_layer is None:
        here = min(max_bytes or path.stat().st_size, path.stat().st_size)
        needed = _first_picture_bytes(path)
        hint = f"the first one takes {needed:,} bytes" if needed else "allow more of them"
        raise InputError(f"{name}: {format_bytes(here)} hold no picture yet; {hint}")
    return drawn


def _first_picture_bytes(path: Path) -> int | None:
    """The length in bytes of the shortest prefix with Gaussians; None if it exceeds the file."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        head = open_head(read)
    size = path.stat().st_size
    ends = sorted(chunk.end for chunk in head.root.chunks if chunk.end <= size)
    return next((end for end in ends if len(decode(path, max_bytes=end).gaussians)), None)


def load_cameras(name: str) -> CameraSet:
    """The cameras of a file, a COLMAP folder, or a URL. Raises SceneError, InputError, OSError."""
    with local_file(name) as path:
        return read_cameras(path)


def check_frame(arguments: argparse.Namespace, *names: str) -> None:
    """Raise a usage error for --frame with .exgs files, which state their frame."""
    if arguments.frame is not None and all(extension(name) == ".exgs" for name in names):
        arguments.usage_error("--frame is for scene files; an .exgs file has no other frame")

"""The rendering mode of a scene in the comments of PLY files.

Brush writes 'SplatRenderMode: default', 'mip' or '2dgs', Postshot 'antialiased 0' or '1'. Case does
not matter, and the last comment counts.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable

from exgs.scene.errors import SceneWarning
from exgs.scene.scene import Scene

MIP_COMMENT = "SplatRenderMode: mip"

_BRUSH = re.compile(r"splatrendermode:\s*(default|mip|2dgs)")
_POSTSHOT = re.compile(r"antialiased\s+([01])")


def is_antialiased(comments: Iterable[str]) -> bool:
    """Whether the last comment about the rendering mode asks for antialiasing."""
    mode = False
    for comment in comments:
        text = comment.strip().lower()
        if found := _BRUSH.fullmatch(text):
            mode = found[1] == "mip"
        elif found := _POSTSHOT.fullmatch(text):
            mode = found[1] == "1"
    return mode


def warn_of_lost_facts(scene: Scene, name: str, *, mode: bool, origin: bool) -> None:
    """Warn about facts that a file can't store: the rendering mode and the origin."""
    lost = []
    if mode and scene.antialiased:
        lost.append("that the scene has to be drawn with antialiasing")
    if origin and any(scene.origin):
        place = " ".join(f"{value:.10g}" for value in scene.origin)
        lost.append(f"the scene's origin: positions are relative to {place}")
    if lost:
        warnings.warn(
            f"{name}: the format can't say {'; nor '.join(lost)}", SceneWarning, stacklevel=3
        )

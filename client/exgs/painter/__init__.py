"""Painters fill gaps in pictures of a scene that is still arriving.

>>> from exgs.painter import look_at_scene, painter_named
>>> painter = painter_named("fill")
>>> render, confidence = look_at_scene(rasterizer, drawn, facts, camera)   # doctest: +SKIP
>>> picture = painter.paint(render, confidence)                            # doctest: +SKIP

`drawn` is the result of `exgs.codec.decode`, `facts` the result of `exgs.codec.read_facts`. The
confidence map tells which pixels show leaves, proxies or the background.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exgs.scene.lazy import lazy_names

if TYPE_CHECKING:
    from exgs.painter.choice import PAINTERS, painter_named
    from exgs.painter.confidence import Confidence, look_at_scene, measure_confidence
    from exgs.painter.gaps import Gaps
    from exgs.painter.interface import Painter, PainterError

__all__ = [
    "PAINTERS",
    "Confidence",
    "Gaps",
    "Painter",
    "PainterError",
    "look_at_scene",
    "measure_confidence",
    "painter_named",
]

__getattr__ = lazy_names(
    __name__,
    {
        "PAINTERS": "exgs.painter.choice",
        "Confidence": "exgs.painter.confidence",
        "Gaps": "exgs.painter.gaps",
        "Painter": "exgs.painter.interface",
        "PainterError": "exgs.painter.interface",
        "look_at_scene": "exgs.painter.confidence",
        "measure_confidence": "exgs.painter.confidence",
        "painter_named": "exgs.painter.choice",
    },
)

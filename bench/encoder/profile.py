"""Processor time of the encoder, by stage and by kind of picture.

    python -m bench.encoder.profile [SCENE ...] [--quality low default]

Prints a table in Markdown: processor seconds (user and system, all threads) of each stage, and
within the stages those of each rasterizer call. Nothing else should use the processor's memory
bandwidth meanwhile, but other processes that only compete for cores do not change the figures much.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from bench.common.encoded import CACHE
from bench.common.scenes import SCENES, load_scene
from exgs.codec.encoding.encode import EncodeOptions, Quality, encode
from exgs.scene.backends import default_rasterizer

_METHODS = ("render", "render_gradients", "backproject", "impact", "contributions")


class _TimedRasterizer:
    """A rasterizer that counts its calls and their processor seconds, by stage."""

    def __init__(self) -> None:
        self.stage = ""
        self.seconds: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.calls: Counter[tuple[str, str]] = Counter()
        self._inner = default_rasterizer()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return self._timed(name, method) if name in _METHODS else method

    def _timed(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            try:
                return method(*arguments, **options)
            finally:
                self.seconds[self.stage, name] += time.process_time() - started
                self.calls[self.stage, name] += 1

        return call


def profile(name: str, quality: Quality, *, cameras: bool) -> str:
    """The table of one encoding."""
    bench = load_scene(name, CACHE)
    rasterizer: Any = _TimedRasterizer()
    stages: dict[str, list[float]] = {}

    def progress(stage: str, share: float) -> None:
        now = time.process_time(), time.perf_counter()
        if share == 0:
            rasterizer.stage = stage
            stages[stage] = [-now[0], -now[1]]
        elif share == 1 and stage == rasterizer.stage:
            stages[stage] = [stages[stage][0] + now[0], stages[stage][1] + now[1]]
            rasterizer.stage = ""

    options = EncodeOptions(quality=quality, cameras=bench.cameras if cameras else None)
    with tempfile.TemporaryDirectory() as folder:
        report = encode(
            bench.gaussians, Path(folder) / "a.exgs", options, progress, rasterizer=rasterizer
        )
    total = sum(processor_s for processor_s, _ in stages.values())
    wall = sum(wall_s for _, wall_s in stages.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    told = ", with its cameras" if options.cameras else ""
    lines = [
        f"## {name}{told}, quality {quality}",
        "",
        f"{len(bench.gaussians):,} Gaussians, {report.file_bytes:,} bytes,"
        f" {total:.1f} processor seconds, {wall:.1f} s of wall time, {peak:.0f} MiB at most.",
        "",
        "| stage | processor s | of it in pictures |",
        "|---|---|---|",
    ]
    for stage, (processor_s, _) in stages.items():
        pictures = ", ".join(
            f"{method} {seconds:.1f} ({rasterizer.calls[at, method]})"
            for (at, method), seconds in sorted(rasterizer.seconds.items(), key=lambda p: -p[1])
            if at == stage and seconds >= 0.05
        )
        lines.append(f"| {stage} | {processor_s:.1f} | {pictures} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", choices=[*SCENES, []], default=["donut", "fox"])
    parser.add_argument("--quality", nargs="+", choices=get_args(Quality), default=["default"])
    parser.add_argument("--cameras", action="store_true", help="tell the encoder those of a scene")
    options = parser.parse_args()
    for name in options.scenes:
        for quality in options.quality:
            print(profile(name, quality, cameras=options.cameras), flush=True)


if __name__ == "__main__":
    main()

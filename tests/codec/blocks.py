"""A small scene that is encoded by blocks."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from exgs.codec.blocks import workers
from exgs.codec.encoding.encode import EncodeOptions
from exgs.codec.encoding.stages import Progress
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene
from exgs.scene.sources.source import MemorySource
from tests.codec.encoding import ball

COUNT = 3200
OPTIONS = EncodeOptions(quality="low", views=2, name="ball")


def source(scene: Gaussians | None = None) -> MemorySource:
    return MemorySource("ball", Scene(scene or ball(COUNT)))


def killing_one_worker(monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], Progress]:
    """The ids of all workers that start, and a progress that kills the first of two at work."""
    started: list[int] = []
    start = workers.Processes._start

    def watched(self: workers.Processes) -> Any:
        worker = start(self)
        started.append(worker.process.pid)
        return worker

    def kill_one(stage: str, share: float) -> None:
        if stage == "encoding blocks" and share == 0 and len(started) == 2:
            threading.Timer(0.5, os.kill, (started[0], signal.SIGKILL)).start()

    monkeypatch.setattr(workers.Processes, "_start", watched)
    return started, kill_one

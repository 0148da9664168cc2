"""A thread that paints, so that frames never wait: the newest frame wins, older ones stay raw."""

from __future__ import annotations

import threading
from collections.abc import Callable

from exgs.client.painter import Painter
from exgs.client.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterize import Render

Show = Callable[[FloatArray], None]


class PaintWorker:
    """Paints submitted frames on a thread of its own and hands each picture to its `show`.

    While it is busy only the newest submitted frame waits. `close` paints that one too.
    """

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._waiting: tuple[Render, Confidence, Show] | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="painter", daemon=True)
        self._thread.start()

    def submit(self, render: Render, confidence: Confidence, show: Show) -> None:
        """Paint this frame next; one that still waits is dropped. Never blocks for long."""
        with self._changed:
            self._waiting = render, confidence, show
            self._changed.notify()

    def drop(self) -> None:
        """Forget the frame that waits: a newer one needs no painting."""
        with self._changed:
            self._waiting = None

    def close(self) -> None:
        """Wait until nothing waits; raises what went wrong on the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._waiting is not None or self._closed)
                    frame, self._waiting = self._waiting, None
                if frame is None:
                    return
                render, confidence, show = frame
                show(self._painter.paint(render, confidence))
        except Exception as fault:  # the thread's end: `close` raises it where it can be seen
            self._fault = fault

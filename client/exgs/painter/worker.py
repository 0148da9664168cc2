"""A thread that paints pictures, so that drawing never waits for a painter.

The thread paints the newest submitted picture; older waiting ones are dropped. The confidence map
takes several renders, so it is computed on this thread too, only for pictures that are painted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from exgs.painter.confidence import Confidence
from exgs.painter.interface import Painter
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

Look = Callable[[], tuple[Render, Confidence]]
Show = Callable[[FloatArray, Confidence], None]


class PaintWorker:
    """Paints submitted pictures on its own thread and passes each result to `show`.

    While the thread is busy, only the newest submitted picture waits. `close` paints that one too.
    An exception on the thread ends it; the next call raises the exception.
    """

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._waiting: tuple[Look, Show] | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="painter", daemon=True)
        self._thread.start()

    def submit(self, look: Look, show: Show) -> None:
        """Paint the result of `look` next. Drops the picture that waits, if any. Never blocks."""
        with self._changed:
            self._raise_fault()
            self._waiting = look, show
            self._changed.notify()

    def drop(self) -> None:
        """Drop the picture that waits, because a newer one needs no painting."""
        with self._changed:
            self._waiting = None

    def close(self) -> None:
        """Paint the picture that waits, then end the thread. Raises its exception, if any."""
        self.stop()
        self._raise_fault()

    def stop(self) -> None:
        """End the thread like `close`, but raise nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _raise_fault(self) -> None:
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
                look, show = frame
                render, confidence = look()
                show(self._painter.paint(render, confidence), confidence)
        except Exception as fault:  # raised by the next call
            self._fault = fault

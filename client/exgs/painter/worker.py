"""A thread that paints, so that frames never wait: the newest frame wins, older ones stay raw.

Looking at a scene as a painter does takes several renders, so that is done here too, and only for
frames that will be painted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from exgs.painter.choice import Painter
from exgs.painter.confidence import Confidence
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Render

Look = Callable[[], tuple[Render, Confidence]]
Show = Callable[[FloatArray, Confidence], None]


class PaintWorker:
    """Paints submitted frames on a thread of its own and hands each picture to its `show`.

    While it is busy only the newest submitted frame waits. `close` paints that one too. What goes
    wrong on the thread ends it, and is raised by the next call.
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
        """Paint what `look` gives next; a frame that still waits is dropped. Never blocks."""
        with self._changed:
            self._raise_fault()
            self._waiting = look, show
            self._changed.notify()

    def drop(self) -> None:
        """Forget the frame that waits: a newer one needs no painting."""
        with self._changed:
            self._waiting = None

    def close(self) -> None:
        """Wait until nothing waits."""
        self.stop()
        self._raise_fault()

    def stop(self) -> None:
        """The same, whatever has gone wrong."""
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
        except Exception as fault:  # the thread's end: it is raised where it can be seen
            self._fault = fault

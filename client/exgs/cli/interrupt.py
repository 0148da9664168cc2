"""Makes Ctrl-C end a command reliably.

Python raises KeyboardInterrupt at any point of the program. While numba compiles on the first run,
that may be in a ctypes callback from LLVM or in a finalizer. Both drop the exception, and the
command would continue or fail with an error of numba. Not for commands that run an event loop,
which handles SIGINT itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_RETRY_S = 0.05


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGINT where it is not lost; otherwise retry a moment later.

    Does nothing outside the main thread, if SIGINT is ignored or has another handler, and on
    systems without a timer to retry with (Windows).
    """
    usable = (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not usable:
        yield
        return
    old_alarm = signal.signal(signal.SIGALRM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, old_alarm)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    if _loses_exceptions(frame):
        signal.setitimer(signal.ITIMER_REAL, _RETRY_S)
        return
    raise KeyboardInterrupt


def _loses_exceptions(frame: FrameType | None) -> bool:
    """Whether one of the callers of this stack frame might drop an exception."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("llvmlite.") or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False

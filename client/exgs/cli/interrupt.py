"""Ctrl-C that always ends a command.

Python turns SIGINT into an exception wherever the program happens to be. While numba compiles,
as it does on the first run, that may be a callback that LLVM makes through ctypes, or a finalizer:
both drop the exception, and the command would go on, or fail with numba's words. Not for commands
that run an event loop, which has its own way with SIGINT.
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
    """Raise KeyboardInterrupt on SIGINT, but only where it is not lost, else a moment later.

    Leaves the handlers alone outside the main thread, where SIGINT is ignored or somebody else's,
    and where there is no timer to try again with (Windows).
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
    """Whether an exception that is raised in this frame may end inside of one of its callers."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("llvmlite.") or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False

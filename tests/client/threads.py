"""A server of a test, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager


@contextmanager
def on_thread(run: Callable[[threading.Event, asyncio.Event], Awaitable[None]]) -> Iterator[None]:
    """Run `run(ready, stop)`: it sets `ready` once it serves, and ends after `stop` is set."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run(ready, stop)))
    thread.start()
    ready.wait(10)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()

"""A server that is killed with SIGKILL whenever a scene has grown to certain sizes, and started
anew on the same port, while a client receives that scene.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

from bench.net.site import open_site
from tests.transport.receiver import Ledger, receive_scene


def receive_under_kills(
    folder: Path, name: str, kill_at_bytes: Sequence[int], *, streaming: bool = True
) -> Ledger:
    """Receive a scene; the server dies each time that so many bytes of it have come."""
    server = open_site(folder)
    port = server.port
    waiting = sorted(kill_at_bytes)
    restarts: list[threading.Thread] = []

    def start_anew() -> None:
        nonlocal server
        server = open_site(folder, port=port)

    def on_bytes(kept_bytes: int) -> None:
        if waiting and kept_bytes >= waiting[0] and server.process.poll() is None:
            waiting.pop(0)
            server.kill()
            restarts.append(threading.Thread(target=start_anew))
            restarts[-1].start()

    try:
        authority = f"{server.host}:{port}"
        ledger = asyncio.run(receive_scene(authority, name, streaming=streaming, on_bytes=on_bytes))
        ledger.kills = len(restarts)
        return ledger
    finally:
        for thread in restarts:
            thread.join()
        server.kill()

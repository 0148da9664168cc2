"""Many sessions with changing views in one large scene: memory of the server and its reaction.

    python -m bench.scale.crowd [--count 100000000] [--clients 200] [--seconds 60]

`exgs serve` has a sparse file (`bench.scale.sparse`), the clients are on the loopback. Each limits
its rate by giving credit, and changes its view every few seconds. Reaction
is the time from sending VIEW to the first fragment that was chosen for it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.net.site import Site, percentile, site, stream
from bench.scale.sparse import sparse_file
from bench.scale.views import VIEWS, turning
from exgs.scene.camera import Camera
from exgs.wire.client import ClientSession
from exgs.wire.events import Fragment

_CREDIT_BYTES = 64 << 10
_FRAGMENT_BYTES = 16 << 10
_CREDIT_EVERY_S = 0.25
_AT_ONCE = 20  # connections that are being opened


@dataclass(frozen=True, slots=True)
class Habits:
    """The behaviour of a client."""

    bytes_s: float
    look_s: float  # between two views, on average
    cameras: list[Camera]


@dataclass(slots=True)
class Notes:
    """The measurements of the clients."""

    reactions_s: list[float] = field(default_factory=list)
    unanswered: int = 0  # views that were replaced before data arrived for them
    received_bytes: int = 0
    faults: int = 0


async def _client(server: Site, name: str, habits: Habits, notes: Notes, seed: int) -> None:
    """Stream until cancelled."""
    chance = random.Random(seed)
    loop = asyncio.get_running_loop()
    session = ClientSession(name, credit_bytes=_CREDIT_BYTES, camera=habits.cameras[0])
    waiting: dict[int, float] = {}  # the newest view, until data arrive for it
    async with (
        aiohttp.ClientSession() as http,
        stream(http, server.stream_url(name), session) as client,
    ):

        async def look() -> None:
            await asyncio.sleep(chance.uniform(0, habits.look_s))
            while True:
                notes.unanswered += len(waiting)
                waiting.clear()
                waiting[session.send_view(chance.choice(habits.cameras))] = loop.time()
                if session.credit_bytes < _FRAGMENT_BYTES:
                    session.send_credit(_FRAGMENT_BYTES)
                await client.flush()
                await asyncio.sleep(chance.uniform(0.5, 1.5) * habits.look_s)

        async def give_credit() -> None:
            while True:
                await asyncio.sleep(_CREDIT_EVERY_S)
                more_bytes = int(habits.bytes_s * _CREDIT_EVERY_S)
                if session.credit_bytes + more_bytes <= _CREDIT_BYTES:
                    session.send_credit(more_bytes)
                    await client.flush()

        tasks = [asyncio.create_task(look()), asyncio.create_task(give_credit())]
        try:
            while (events := await client.step()) is not None:
                for event in events:
                    if isinstance(event, Fragment):
                        sent_s = waiting.pop(event.view_serial, None)
                        if sent_s is not None:
                            notes.reactions_s.append(loop.time() - sent_s)
                        notes.received_bytes += len(event.data)
            notes.faults += 1
        finally:
            for task in tasks:
                task.cancel()


async def _crowd(server: Site, name: str, clients: int, seconds: float, habits: Habits) -> Notes:
    notes = Notes()
    tasks: list[asyncio.Task[None]] = []
    for number in range(clients):
        tasks.append(asyncio.create_task(_client(server, name, habits, notes, number)))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0.2)
    await asyncio.sleep(2)
    print(f"| memory with {clients} sessions, at the start | {_megabytes(server)} |")
    notes.reactions_s.clear()
    notes.received_bytes = notes.unanswered = 0
    before_s, own_s, start_s = server.processor_s, time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    passed_s, used_s = time.monotonic() - start_s, server.processor_s - before_s
    print(f"| memory after {seconds:g} s | {_megabytes(server)} |")
    own_s = time.process_time() - own_s
    print(f"| processor time of the server | {used_s / passed_s:.0%} of a core |")
    print(f"| processor time of all clients | {own_s / passed_s:.0%} of a core |")
    print(f"| sent | {notes.received_bytes / passed_s / 1e6:.1f} MB/s |")
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    notes.faults += sum(isinstance(end, Exception) for end in ended)
    return notes


def _serve(folder: Path, name: str, arguments: argparse.Namespace, habits: Habits) -> Notes:
    options = ("--unlimited-address", "127.0.0.1")
    with site(folder, *options) as server:
        print(f"| memory of the server, no session | {_megabytes(server)} |")
        return asyncio.run(_crowd(server, name, arguments.clients, arguments.seconds, habits))


def _megabytes(server: Site) -> str:
    return f"{server.resident_bytes / 1e6:.0f} MB"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--count", type=int, default=100_000_000)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kbit", type=float, default=500, help="that a client takes in a second")
    parser.add_argument("--look", type=float, default=4, help="seconds between two views")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "exgs-scale")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = sparse_file(arguments.folder, arguments.count)
    cameras = [*VIEWS.values(), *turning()]
    habits = Habits(arguments.kbit * 125, arguments.look, cameras)
    print("| what | measured |\n|---|---|")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        (Path(folder) / path.name).hardlink_to(path)
        notes = _serve(Path(folder), path.stem, arguments, habits)
    times = [1e3 * value for value in notes.reactions_s]
    spread = (percentile(times, 50), percentile(times, 95), max(times))
    print(f"| views with data | {len(times)} |")
    print(f"| views replaced before data came | {notes.unanswered} |")
    print(f"| view to first data | {' / '.join(f'{value:.0f}' for value in spread)} ms |")
    print(f"| sessions that ended with a fault | {notes.faults} |")


if __name__ == "__main__":
    main()

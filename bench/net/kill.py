"""kill -9 at random points of a download: checks for missing, repeated and wrong bytes.

    python -m bench.net.kill scene.exgs [--kills 100] [--static | --client]

By default the server is killed after random numbers of bytes, and restarted on the same port; the
client is that of `exgs stream`, without its screen. With --client, the client is killed instead,
while it writes its cache. After each kill, the cache is opened as it is, cut at a random byte
behind its head, and with one bit flipped.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import copy

from yarl import URL

from bench.net.site import site, table
from exgs.client.arrivals import Arrivals
from exgs.client.cache import Cache, Stored, read_cache
from exgs.client.connecting import receive_all
from exgs.client.delivery import Delivery
from exgs.client.profiles.streaming import StreamingProfile
from exgs.client.route import Route
from exgs.codec.decoding.decode import ExgsFile, open_scene
from exgs.codec.format.frame import content_hash
from tests.transport.killing import receive_under_kills

Row = tuple[str, str, str]

_NAME = "scene"
_LOOK_S = 0.0005


def _kill_server(scene: Path, kills: int, seed: int, *, streaming: bool) -> list[Row]:
    chance = random.Random(seed)
    size_bytes = scene.stat().st_size
    source = open_scene(scene)
    killed = scenes = anew = twice_bytes = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        copy(scene, Path(folder) / f"{_NAME}.exgs")
        while killed < kills:  # bytes in flight may already pass later points
            points = [chance.randrange(int(0.98 * size_bytes)) for _ in range(kills - killed)]
            ledger = receive_under_kills(Path(folder), _NAME, points, streaming=streaming)
            scenes += 1
            killed += ledger.kills
            anew += ledger.reconnections
            twice_bytes += ledger.twice_bytes
            wrong += ledger.head is None or ledger.head.scene_hash != source.head.scene_hash
            wrong += sum(
                content_hash(ledger.chunks.get(chunk.id, b"")) != chunk.hash
                for chunk in source.table.values()
            )
    return [
        ("kills", str(killed), "100"),
        ("scenes that they fell on", str(scenes), ""),
        ("connections made anew", str(anew), ""),
        ("scene hashes and chunks that differ in the end", str(wrong), "0"),
        ("bytes that came twice", str(twice_bytes), "0"),
    ]


def _receive(url: str, folder: Path) -> None:
    """Receive like `exgs stream --cache`, without its screen."""
    cache = Cache(folder, url, print)
    stored = cache.load()
    delivery = Delivery(Arrivals(), cache, stored)
    profile = StreamingProfile(_NAME, delivery, resume=stored.resume if stored else None)
    asyncio.run(receive_all(profile, Route(URL(url)), delivery, print))


def _bad_parts(stored: Stored | None, source: ExgsFile, data: bytes) -> int:
    """Parts of an opened cache that differ from the file."""
    if stored is None:
        return 0
    bad = sum(packed != data[ref.offset : ref.end] for ref, packed in stored.chunks)
    places = {row.id: row for row in source.table.values()}
    for part, held in stored.resume.partial.items():
        if part in places:
            start = places[part].offset
            bad += held != data[start : start + len(held)]
    return bad


def _kill_client(scene: Path, kills: int, seed: int) -> list[Row]:
    chance = random.Random(seed)
    source, data = open_scene(scene), scene.read_bytes()
    killed = opened = bad = lost = scenes = missing = 0
    with tempfile.TemporaryDirectory() as top:
        root = Path(top) / "scenes"
        root.mkdir()
        copy(scene, root / f"{_NAME}.exgs")
        with site(root) as server:
            url = server.stream_url(_NAME).replace("http", "ws", 1)
            while killed < kills:
                scenes += 1
                folder = Path(top) / f"cache{scenes}"
                command = [sys.executable, "-m", __spec__.name, "--receive", url, str(folder)]
                while killed < kills:
                    before_bytes = _size(folder)
                    at_bytes = before_bytes + chance.randrange(len(data) // 20)
                    process = subprocess.Popen(command)
                    while _size(folder) <= at_bytes and process.poll() is None:
                        time.sleep(_LOOK_S)
                    process.kill()
                    process.wait()
                    if process.returncode == 0:
                        break  # it was complete before
                    killed += 1
                    (path,) = folder.glob("*.cache")
                    left = path.read_bytes()
                    cut = left[: chance.randrange(len(source.head.packed) + 100, len(left))]
                    flipped = bytearray(left)
                    flipped[chance.randrange(len(left))] ^= 1 << chance.randrange(8)
                    for lies in (left, cut, bytes(flipped)):
                        stored = read_cache(lies)
                        opened += 1
                        bad += _bad_parts(stored, source, data)
                        lost += stored is None
                subprocess.run(command, check=True)
                cache = Cache(folder, url, print)
                stored = cache.load()
                cache.close()
                bad += _bad_parts(stored, source, data)
                missing += source.head.root.chunk_count - len(stored.chunks if stored else ())
    return [
        ("kills", str(killed), "100"),
        ("scenes brought to their end", str(scenes), ""),
        ("caches opened: as left, cut, with a bit flipped", str(opened), ""),
        ("of these with a head that is not right: begun anew", str(lost), ""),
        ("parts taken from them that are not the file's", str(bad), "0"),
        ("chunks that the scenes lack in the end", str(missing), "0"),
    ]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.cache"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--static", action="store_true")
    way.add_argument("--client", action="store_true")
    arguments = parser.parse_args()
    start_s = time.monotonic()
    if arguments.client:
        rows = _kill_client(arguments.scene, arguments.kills, arguments.seed)
    else:
        rows = _kill_server(
            arguments.scene, arguments.kills, arguments.seed, streaming=not arguments.static
        )
    print(table([*rows, ("time", f"{time.monotonic() - start_s:.0f} s", "")]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--receive"]:
        _receive(sys.argv[2], Path(sys.argv[3]))
    else:
        main()

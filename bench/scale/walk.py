"""A recorded walk through a large scene over a slow link: pictures, memory of client and server.

    python -m bench.scale.walk FILE.exgs --walk ARCHIVE --member dataset/room/user101_room.csv
        [--link 2mbit,100ms] [--seconds 120] [--metres 5] [--budget-mb 512] [--no-quality]

`exgs serve` runs in a process of its own. The walk starts near the middle of the scene, at street
level, and goes back and forth. At some times the picture of what has arrived is kept. After the
session, it is compared with the picture of the whole file. All Gaussians are put together once a
second, as for drawing. Memory is that of the processes, without pages of files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.net.site import Site, site
from bench.scale.street import street_views
from exgs.client.link import Link, parse_link
from exgs.client.receiver import receive_in_thread
from exgs.codec.decoding.decode import decode, open_scene
from exgs.codec.measuring.pictures import clipped_pictures
from exgs.lab.viewers.made import Place
from exgs.lab.viewers.path import ViewPath
from exgs.lab.viewers.recorded import read_eyenavgs
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.metrics import psnr

_WIDTH, _HEIGHT = 320, 180
_LOOKS_PER_S = 10.0
_PICTURES_S = (0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 120, 180, 240, 300)
_START_BYTES = 4_000_000  # of the file, from which the start of the walk is chosen
_TARGET_DB = 25.0
_MEMORY_EVERY_S = 5.0


@dataclass(slots=True)
class Walk:
    """What a session has seen."""

    pictures: list[tuple[float, int, Camera, FloatArray]] = field(default_factory=list)
    memory: list[tuple[float, int, int]] = field(default_factory=list)  # s, client, server
    first_s: float = 0.0  # the first Gaussians
    received_bytes: int = 0
    drawn: int = 0  # most Gaussians
    before_bytes: int = 0  # memory of the client before the session
    client_s: float = 0.0  # processor time
    server_s: float = 0.0


def start_camera(path: Path) -> Camera:
    """A view from street level near the middle of the scene."""
    scene = decode(path, max_bytes=_START_BYTES).gaussians
    views = street_views(scene, 12, width=_WIDTH, height=_HEIGHT)
    middle = np.median(scene.means, axis=0)
    return min(views, key=lambda view: float(np.linalg.norm(view.position - middle)))


def recorded_path(path: Path, start: Camera, archive: Path, member: str, metres: float) -> ViewPath:
    """The recorded movement from `start` on."""
    up = np.asarray(open_scene(path).facts.up, np.float64)
    place = Place(start, np.asarray(start.position), up, 1.0)
    return read_eyenavgs(archive, place, metres=metres, member=member)


def camera_at(path: ViewPath, time_s: float) -> Camera:
    """The camera at a time; at the end of the path the viewer goes back, and so on."""
    return path.camera(path.length_s - abs(time_s % (2 * path.length_s) - path.length_s))


def resident(pid: int) -> int:
    """Resident bytes of a process that are not pages of files."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


def walk(
    server: Site,
    path: ViewPath,
    link: Link,
    seconds: float,
    budget: int,
    own: int,
    pictures_s: tuple[float, ...] = _PICTURES_S,
) -> Walk:
    """Stream along the path in real time."""
    seen, drawer = Walk(before_bytes=resident(own)), default_rasterizer()
    due = [at for at in pictures_s if at <= seconds]
    url = server.stream_url("scene").replace("http", "ws", 1)
    start_s, before_s = time.monotonic(), time.process_time()
    with receive_in_thread(url, link=link, memory_bytes=budget) as scene:
        looked_s = sampled_s = drawn_s = -1.0
        while (now_s := time.monotonic() - start_s) < seconds:
            if now_s - looked_s >= 1 / _LOOKS_PER_S:
                looked_s = now_s
                scene.look(camera_at(path, now_s))
            if now_s - sampled_s >= 1:
                sampled_s = now_s
                seen.memory.append((now_s, resident(own), resident(server.process.pid)))
            update = scene.next(1 / _LOOKS_PER_S)
            if update is None:
                continue
            if not seen.first_s and len(update.parts):
                seen.first_s = time.monotonic() - start_s
            if now_s - drawn_s >= 1:
                drawn_s = now_s
                seen.drawn = max(seen.drawn, len(update.gaussians))
            if due and now_s >= due[0]:
                due = [at for at in due if at > now_s]
                camera = camera_at(path, now_s)
                picture = clipped_pictures(update.gaussians, [camera], drawer)[0]
                seen.pictures.append((now_s, update.received_bytes, camera, picture))
        seen.received_bytes = scene.received_bytes
        seen.client_s = time.process_time() - before_s
        seen.server_s = server.processor_s
    return seen


def main() -> None:
    """Walk and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--walk", type=Path, required=True, help="archive of EyeNavGS")
    parser.add_argument("--member", required=True, help="a CSV in it")
    parser.add_argument("--link", type=parse_link, default=parse_link("2mbit,100ms"))
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--metres", type=float, default=5.0, help="world units per metre")
    parser.add_argument("--budget-mb", type=float, default=512.0)
    parser.add_argument("--no-quality", action="store_true", help="memory and bytes only")
    arguments = parser.parse_args()
    start = start_camera(arguments.file)
    path = recorded_path(arguments.file, start, arguments.walk, arguments.member, arguments.metres)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(arguments.file, Path(folder) / "scene.exgs")
        with site(Path(folder)) as server:
            budget = round(1e6 * arguments.budget_mb)
            pictures_s = () if arguments.no_quality else _PICTURES_S
            seen = walk(
                server, path, arguments.link, arguments.seconds, budget, os.getpid(), pictures_s
            )
    print(f"first Gaussians after {seen.first_s:.2f} s; {seen.received_bytes:,} bytes in all")
    print(f"{seen.drawn:,} Gaussians at most; {seen.before_bytes / 1e6:.0f} MB before the session")
    if not arguments.no_quality:
        compare(seen, arguments.file)
    print(f"processor time: client {seen.client_s:.0f} s, server {seen.server_s:.0f} s")
    due_s = 0.0
    for at_s, client, server_bytes in seen.memory:
        if at_s >= due_s:
            print(
                f"{at_s:7.0f} s: client {client / 1e6:.0f} MB, server {server_bytes / 1e6:.0f} MB"
            )
            due_s = at_s + _MEMORY_EVERY_S


def compare(seen: Walk, file: Path) -> None:
    """Print the quality of the pictures, against pictures of the whole file."""
    whole = decode(file).gaussians
    reached = None
    for at_s, received, camera, picture in seen.pictures:
        quality = psnr(picture, clipped_pictures(whole, [camera], default_rasterizer())[0])
        reached = at_s if reached is None and quality >= _TARGET_DB else reached
        print(f"{at_s:7.1f} s {received / 1e6:8.2f} MB {quality:5.1f} dB", flush=True)
    print(f"{_TARGET_DB:g} dB after {'-' if reached is None else f'{reached:.1f}'} s")


if __name__ == "__main__":
    main()

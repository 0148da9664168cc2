"""The time from a view change to the first new chunk, and goodput, over an emulated link.

    sudo python -m bench.net.view_change scene.exgs [--seeds 3] [--changes 20] [--delay-ms 50]

The link has 2 Mbit/s. Each change turns the camera in the centre of the scene. The reaction is the
time from sending VIEW to the first fragment chosen for it. Goodput is the data of CHUNK frames
relative to the link's rate, without any headers. The delay is one way: 50 ms is a round trip of 100
ms.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import tempfile
from pathlib import Path

import aiohttp
import numpy as np

from bench.net.link import SERVER_ADDRESS, Shape, can_emulate, emulated_link, inside
from bench.net.site import Site, percentile, site, stream, table, until
from exgs.codec.decoding.decode import open_scene
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.wire.client import ClientSession
from exgs.wire.events import Fragment, Limits

_WIDTH, _HEIGHT = 640, 360
_BETWEEN_S = (0.8, 1.6)
_SETTLE_S = 2.0  # before the first change, while TCP adapts to the link's rate


async def _run(
    server: Site, cameras: list[Camera], limits: Limits, chance: random.Random
) -> tuple[list[float], float]:
    """Reactions in seconds, goodput in bytes per second."""
    loop = asyncio.get_running_loop()
    sent_s: dict[int, float] = {}
    reactions: dict[int, float] = {}
    received: list[tuple[float, int]] = []
    session = ClientSession("scene", credit_bytes=1 << 40, camera=cameras[0], limits=limits)
    async with (
        aiohttp.ClientSession() as http,
        stream(http, server.stream_url("scene"), session) as client,
    ):

        async def receive() -> None:
            while session.missing_bytes != 0:
                events = await client.step()
                if events is None:
                    return
                for event in events:
                    if isinstance(event, Fragment):
                        received.append((loop.time(), len(event.data)))
                        serial = event.view_serial
                        if serial in sent_s and serial not in reactions:
                            reactions[serial] = loop.time() - sent_s[serial]

        receiving = asyncio.create_task(receive())
        await asyncio.sleep(_SETTLE_S)
        start_s = loop.time()
        for camera in cameras[1:]:
            at_s = loop.time()
            sent_s[session.send_view(camera)] = at_s
            await client.flush()
            await until(at_s + chance.uniform(*_BETWEEN_S))
        end_s = loop.time()
        if receiving.done():
            raise SystemExit("the scene is too small: it was complete before the last change")
        receiving.cancel()
    data_bytes = sum(size for time_s, size in received if start_s <= time_s < end_s)
    lost = [end_s - sent_s[serial] for serial in sent_s if serial not in reactions]
    return [*reactions.values(), *lost], data_bytes / (end_s - start_s)


def _cameras(path: Path, count: int, chance: random.Random) -> list[Camera]:
    """Views from near the centre of the scene in different directions."""
    root = open_scene(path).head.root
    facts, low, high = root.facts, np.array(root.box.low), np.array(root.box.high)
    middle, size = (low + high) / 2, float(np.linalg.norm(high - low))
    K = pinhole(_WIDTH, _HEIGHT, 50.0)
    angles = [2 * np.pi * chance.random() for _ in range(count)]
    eyes = [middle + 0.1 * size * np.array([np.sin(a), 0.0, np.cos(a)]) for a in angles]
    ahead = [np.array([np.cos(a), 0.1 * chance.uniform(-1, 1), np.sin(a)]) for a in angles]
    return [
        look_at(eye, eye + way, facts.up, K, _WIDTH, _HEIGHT)
        for eye, way in zip(eyes, ahead, strict=True)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--rate-mbps", type=float, default=2.0)
    parser.add_argument("--delay-ms", type=float, default=50.0)
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--fragment-bytes", type=int, default=Limits().fragment_bytes)
    arguments = parser.parse_args()
    if not can_emulate():
        raise SystemExit("needs root and /dev/net/tun")
    reactions_s: list[float] = []
    goodputs = []
    for seed in range(arguments.seeds):
        chance = random.Random(seed)
        cameras = _cameras(arguments.scene, arguments.changes + 1, chance)
        shape = Shape(
            rate_bps=arguments.rate_mbps * 1e6,
            delay_s=arguments.delay_ms / 1e3,
            loss=arguments.loss,
            seed=seed,
        )
        with tempfile.TemporaryDirectory() as folder, emulated_link(shape) as ends:
            shutil.copy(arguments.scene, Path(folder) / "scene.exgs")
            with (
                site(Path(folder), host=SERVER_ADDRESS, namespace=ends.server) as server,
                inside(ends.client),
            ):
                some_s, rate = asyncio.run(
                    _run(server, cameras, Limits(arguments.fragment_bytes), chance)
                )
        reactions_s += some_s
        goodputs.append(rate * 8 / shape.rate_bps)
        print(
            f"seed {seed}: {len(some_s)} changes, p95 {percentile(some_s, 95):.3f} s, "
            f"goodput {goodputs[-1]:.1%}",
            flush=True,
        )
    goodput = sum(goodputs) / len(goodputs)
    print(
        table(
            [
                ("changes", str(len(reactions_s)), ""),
                ("median", f"{percentile(reactions_s, 50) * 1e3:.0f} ms", ""),
                ("p95", f"{percentile(reactions_s, 95) * 1e3:.0f} ms", "at most 600 ms"),
                ("largest", f"{max(reactions_s) * 1e3:.0f} ms", ""),
                ("goodput", f"{goodput:.1%} of the link", "at least 90%"),
            ]
        )
    )


if __name__ == "__main__":
    main()

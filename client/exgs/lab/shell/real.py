"""The same sessions over real sockets: `exgs serve` in a separate process, and the client.

If the process can create network namespaces, the link connects two of them, and TCP runs over it
(`exgs.lab.shell.tun_link`). Otherwise a proxy in user space delays bytes by the same model. The
proxy terminates TCP on both sides, so the server's pacer does not see the queue in the proxy:
responses to a new view are later than on a real link.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from yarl import URL

from exgs.client.arrivals import Arrivals
from exgs.client.connecting import receive_all
from exgs.client.delivery import Delivery
from exgs.client.link import Bottleneck
from exgs.client.link_proxy import LinkProxy
from exgs.client.profiles.exchange import Exchange
from exgs.client.profiles.static import StaticProfile
from exgs.client.profiles.streaming import Socket, StreamingProfile
from exgs.client.route import Route
from exgs.codec.constants import FRAME_HEAD_BYTES, FrameType
from exgs.lab.errors import LabError
from exgs.lab.session import Result, Session
from exgs.lab.shell.tun_link import SERVER_ADDRESS, can_emulate, emulated_link, inside
from exgs.lab.simulation.protocol import TimedArrivals, as_transcript
from exgs.lab.simulation.transcript import Transcript
from exgs.scene.camera import Camera
from exgs.wire.messages import parse_fragment

_SERVING = re.compile(r"http://([^/\s]+)")
_NAME = "scene"
_WARM_UP_BYTES = 64 << 10


class _Watched(StreamingProfile):
    """Records arrival times of data and their views."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(_NAME, delivery)
        self.answers: list[tuple[int, float]] = []

    async def _next_message(self, exchange: Exchange, socket: Socket) -> bytes:
        data = await super()._next_message(exchange, socket)
        if data[0] == FrameType.CHUNK:
            serial = parse_fragment(data[FRAME_HEAD_BYTES:]).view_serial
            if not self.answers or serial > self.answers[-1][0]:
                self.answers.append((serial, asyncio.get_running_loop().time()))
        return data


def run_real(session: Session) -> Result:
    """Run a session of the policies exgs or exgs-static in real time. Raises LabError, OSError."""
    run, seed = _Run(session), session.job.seed
    first = session.views.camera(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copyfile(session.scene.file("exgs"), folder / f"{_NAME}.exgs")
        if can_emulate():
            with (
                emulated_link(session.link, seed=seed) as ends,
                _serving(folder, ends.server) as address,
            ):
                with inside(ends.server):
                    asyncio.run(_warm_up(address, first))
                with inside(ends.client):
                    transcript = asyncio.run(run.receive(address))
        else:
            with _serving(folder) as address:
                asyncio.run(_warm_up(address, first))
                transcript = asyncio.run(run.receive_by_proxy(address))
    return session.result(transcript, "real")


async def _warm_up(address: str, camera: Camera) -> None:
    """Receive the first bytes without the link: the server opens the scene, modules are loaded."""
    delivery = Delivery(Arrivals())
    profile = StreamingProfile(_NAME, delivery, limit_bytes=_WARM_UP_BYTES)
    profile.look(camera)
    route = Route(URL(f"ws://{address}/scenes/{_NAME}/stream"), {}, None, None)
    await receive_all(profile, route, delivery, lambda _: None)


class _Run:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._link, self._views = session.link, session.views
        self._looks_s: list[float] = []

    async def receive_by_proxy(self, address: str) -> Transcript:
        """Run the session over a proxy that is slow."""
        host, _, port = address.partition(":")
        bottlenecks = {
            "up": Bottleneck(self._link.link),
            "down": self._link.bottleneck(start_s=asyncio.get_running_loop().time()),
        }
        async with LinkProxy(
            self._link.link,
            host,
            int(port),
            seed=self._session.job.seed,
            bottlenecks=bottlenecks,
            lane=lambda _, bottleneck, rng: self._link.lane(bottleneck, rng),
        ) as proxy:
            return await self.receive(address, proxy)

    async def receive(self, address: str, proxy: LinkProxy | None = None) -> Transcript:
        """Run the session with the server at this address."""
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        arrivals = TimedArrivals(lambda: loop.time() - start_s)
        delivery = Delivery(arrivals)
        is_stream = self._session.job.policy.use == "exgs"
        profile = _Watched(delivery) if is_stream else StaticProfile(delivery)
        profile.look(self._views.camera(0))
        near = "{}:{}".format(*proxy.address) if proxy else address
        kind = (
            f"ws://{near}/scenes/{_NAME}/stream"
            if is_stream
            else f"http://{near}/scenes/{_NAME}.exgs"
        )
        route = Route(URL(kind), {"Host": address}, None, proxy)
        looking = asyncio.create_task(self._look(profile, start_s))
        done_s = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(start_s + self._session.length_s):
                await receive_all(profile, route, delivery, lambda _: None)
                done_s = loop.time() - start_s
        looking.cancel()
        await asyncio.wait([looking])
        answered = []
        if isinstance(profile, _Watched):
            answered = [
                at - self._looks_s[serial - 2] for serial, at in profile.answers if serial >= 2
            ]
        return as_transcript(self._session.scene.own, arrivals, answered, done_s)

    async def _look(self, profile: StreamingProfile | StaticProfile, start_s: float) -> None:
        loop = asyncio.get_running_loop()
        for number in range(1, self._views.number(self._session.length_s) + 1):
            await asyncio.sleep(start_s + number * self._views.step_s - loop.time())
            before, now = self._views.pose(number - 1), self._views.pose(number)
            if (before.eye != now.eye).any() or (before.quat != now.quat).any():
                self._looks_s.append(loop.time())
                profile.look(self._views.camera(number))


@contextlib.contextmanager
def _serving(folder: Path, namespace: str = "") -> Iterator[str]:
    """Serve a folder from another process; yields host:port."""
    inner = ["ip", "netns", "exec", namespace] if namespace else []
    command = [*inner, sys.executable, "-m", "exgs.cli.main", "serve", str(folder), "-q"]
    command += ["--port", "0", *(["--host", SERVER_ADDRESS] if namespace else [])]
    environment = {name: value for name, value in os.environ.items() if name != "EXGS_TOKEN"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = _SERVING.search(line)
            if found is None:
                raise LabError("the server did not start; try `exgs serve` by itself")
            yield found[1]
        finally:
            process.terminate()


def differences(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A table of real and simulated sessions: values of each metric, difference in percent."""
    names = ("scene", "link", "viewer", "policy", "seed")
    simulated = {
        tuple(row[name] for name in names): row for row in rows if row["mode"] == "simulated"
    }
    lines = []
    for row in rows:
        twin = simulated.get(tuple(row[name] for name in names))
        if row["mode"] != "real" or twin is None:
            continue
        label = f"{row['scene']}, {row['link']}, {row['viewer']}, {row['policy']}, {row['seed']}"
        cells = [label]
        for number in ("first_picture_s", "t25_s", "t30_s", "t35_s", "answer_ms", "mean_db"):
            a, b = twin[number], row[number]
            cells.append(
                "" if a is None or b is None else f"{a:.2f} / {b:.2f} ({100 * (b / a - 1):+.0f}%)"
            )
        lines.append(cells)
    return lines


DIFFERENCE_COLUMNS = [
    "simulated / real",
    "first picture, s",
    "25 dB, s",
    "30 dB, s",
    "35 dB, s",
    "answer, ms",
    "mean dB",
]

"""An emulated link under real TCP: two network namespaces with delay, loss, rate and a queue.

Needs root and /dev/net/tun. Two TUN devices are joined by a loop in a separate process, so that the
measured programs do not share an interpreter with the link.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_CLONE_NEWNET = 0x40000000
_PACKETS_AT_ONCE = 64
_PACKET_BYTES = 1 << 16

SERVER_ADDRESS, CLIENT_ADDRESS = "10.8.0.1", "10.8.0.2"


@dataclass(frozen=True, slots=True)
class Shape:
    """The properties of the link, in each direction."""

    rate_bps: float = 2e6
    delay_s: float = 0.1  # one way
    loss: float = 0.01
    queue_bytes: int = 32 << 10
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """The two namespaces of an open link."""

    server: str
    client: str


def can_emulate() -> bool:
    """Whether this process may make namespaces and TUN devices."""
    return os.geteuid() == 0 and _TUN.exists()


@contextlib.contextmanager
def emulated_link(shape: Shape) -> Iterator[Ends]:
    """A link between two new namespaces, removed at the end. Raises CalledProcessError, OSError."""
    ends = Ends(f"exgs-s{os.getpid()}", f"exgs-c{os.getpid()}")
    with contextlib.ExitStack() as stack:
        for name in (ends.server, ends.client):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
        arguments = [shape.rate_bps, shape.delay_s, shape.loss, shape.queue_bytes, shape.seed]
        process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, ends.server, ends.client, *map(str, arguments)],
            stdout=subprocess.PIPE,
        )
        stack.callback(process.wait)
        stack.callback(process.terminate)
        if process.stdout is None:
            raise OSError("the link does not come up")
        stack.callback(process.stdout.close)
        if not process.stdout.readline():
            raise OSError("the link does not come up")
        yield ends


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Open the sockets of this thread in a namespace, inside a block."""
    with Path("/proc/thread-self/ns/net").open() as here:
        _enter(Path(f"/run/netns/{namespace}"))
        try:
            yield
        finally:
            _enter(Path(f"/proc/self/fd/{here.fileno()}"))


def _enter(namespace: Path) -> None:
    with namespace.open() as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"can't enter namespace {namespace}")


def _carry(shape: Shape, ends: Ends) -> None:
    """Move packets until the process is ended."""
    devices = []
    for name, namespace, address in (
        (f"exgs{os.getpid()}s", ends.server, SERVER_ADDRESS),
        (f"exgs{os.getpid()}c", ends.client, CLIENT_ADDRESS),
    ):
        device = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
        _ip("link", "set", name, "netns", namespace)
        _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", name)
        for up in (name, "lo"):
            _ip("-n", namespace, "link", "set", up, "up")
        devices.append(device)
    print("up", flush=True)
    lanes = {
        devices[0]: _Lane(devices[1], shape, random.Random(f"{shape.seed}/down")),
        devices[1]: _Lane(devices[0], shape, random.Random(f"{shape.seed}/up")),
    }
    while True:
        now_s = time.monotonic()
        wait_s = min(lane.deliver(now_s) for lane in lanes.values())
        ready, _, _ = select.select(devices, [], [], wait_s)
        now_s = time.monotonic()
        for device in ready:
            for _ in range(_PACKETS_AT_ONCE):
                try:
                    packet = os.read(device, _PACKET_BYTES)
                except BlockingIOError:
                    break
                lanes[device].take(packet, now_s)


class _Lane:
    """One direction of the link."""

    def __init__(self, sink: int, shape: Shape, chance: random.Random) -> None:
        self._sink = sink
        self._shape = shape
        self._chance = chance
        self._travelling: deque[tuple[float, bytes]] = deque()
        self._free_s = 0.0  # time when the bottleneck will be idle

    def take(self, packet: bytes, now_s: float) -> None:
        shape = self._shape
        if self._chance.random() < shape.loss:
            return
        waiting_bytes = max(0.0, self._free_s - now_s) * shape.rate_bps / 8
        if waiting_bytes + len(packet) > shape.queue_bytes:
            return
        self._free_s = max(self._free_s, now_s) + len(packet) * 8 / shape.rate_bps
        self._travelling.append((self._free_s + shape.delay_s, packet))

    def deliver(self, now_s: float) -> float:
        """Write packets that have arrived; return the seconds until the next arrival, 1 at most."""
        while self._travelling and self._travelling[0][0] <= now_s:
            with contextlib.suppress(OSError):  # the device is down
                os.write(self._sink, self._travelling.popleft()[1])
        return min(1.0, self._travelling[0][0] - now_s) if self._travelling else 1.0


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    _server, _client, _rate, _delay, _loss, _queue, _seed = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        _carry(
            Shape(float(_rate), float(_delay), float(_loss), int(_queue), int(_seed)),
            Ends(_server, _client),
        )

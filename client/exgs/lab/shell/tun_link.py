"""A modelled link under real TCP: two network namespaces, joined by delay, loss, rate and a queue.

Needs root, `ip` and /dev/net/tun. Two TUN devices are joined by a loop in a process of its own, so
that what is measured does not share an interpreter with the link.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import multiprocessing
import os
import random
import select
import shutil
import struct
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from exgs.client.link import QUEUE_BYTES
from exgs.lab.links.transport import LinkModel

SERVER_ADDRESS, CLIENT_ADDRESS = "10.8.0.1", "10.8.0.2"

_TUN = Path("/dev/net/tun")
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_CLONE_NEWNET = 0x40000000
_PACKETS_AT_ONCE = 64
_PACKET_BYTES = 1 << 16
_UP_S = 30.0  # to come up
_ALGORITHMS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
_NO_IPV6 = "net.ipv6.conf.default.disable_ipv6=1"  # its own packets would start the trace


@dataclass(frozen=True, slots=True)
class Ends:
    """The two namespaces of an open link."""

    server: str
    client: str


def can_emulate() -> bool:
    """Whether this process may make namespaces and TUN devices."""
    return os.geteuid() == 0 and _TUN.exists() and shutil.which("ip") is not None


@contextlib.contextmanager
def emulated_link(
    model: LinkModel, *, queue_bytes: int = QUEUE_BYTES, seed: int = 0
) -> Iterator[Ends]:
    """A link between two new namespaces, gone at the end; raises CalledProcessError, OSError.

    TCP of both ends has the congestion control of `model`, where the system allows it. A trace
    begins with the first packet, and is that of the way to the client.
    """
    ends = Ends(f"exgs-s{os.getpid()}", f"exgs-c{os.getpid()}")
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with contextlib.ExitStack() as stack:
        for name in (ends.server, ends.client):
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
            settings = [_NO_IPV6]
            if model.transport in _ALGORITHMS.read_text().split():
                settings.append(f"net.ipv4.tcp_congestion_control={model.transport}")
            for setting in settings:
                command = ["ip", "netns", "exec", name, "sysctl", "-q", "-w", setting]
                subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
        process = context.Process(
            target=_carry, args=(model, queue_bytes, seed, ends, there), daemon=True
        )
        process.start()
        stack.callback(process.join)
        stack.callback(process.terminate)
        if not here.poll(_UP_S):
            raise OSError("the link does not come up")
        yield ends


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Make the sockets that this thread opens in a block those of a namespace."""
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


def _carry(model: LinkModel, queue_bytes: int, seed: int, ends: Ends, is_up: Connection) -> None:
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
    is_up.send(True)
    select.select(devices, [], [])
    to_client = _Lane(devices[1], model, queue_bytes, random.Random(f"{seed}/down"))
    steady = LinkModel(model.link)
    to_server = _Lane(devices[0], steady, queue_bytes, random.Random(f"{seed}/up"))
    lanes = {devices[0]: to_client, devices[1]: to_server}
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
    """One way of the link, opened now."""

    def __init__(
        self, sink: int, model: LinkModel, queue_bytes: int, chance: random.Random
    ) -> None:
        self._sink = sink
        self._link = model.link
        self._bottleneck = model.bottleneck(start_s=time.monotonic())
        self._queue_bytes = queue_bytes
        self._chance = chance
        self._waiting: deque[tuple[float, int]] = deque()  # for the bottleneck: until when, bytes
        self._waiting_bytes = 0
        self._travelling: deque[tuple[float, bytes]] = deque()
        self._arrival_s = 0.0

    def take(self, packet: bytes, now_s: float) -> None:
        """A packet enters, and may be lost."""
        while self._waiting and self._waiting[0][0] <= now_s:
            self._waiting_bytes -= self._waiting.popleft()[1]
        if self._chance.random() < self._link.loss:
            return
        if self._waiting_bytes + len(packet) > self._queue_bytes:
            return
        passed_s = self._bottleneck.send(now_s, len(packet))
        self._waiting.append((passed_s, len(packet)))
        self._waiting_bytes += len(packet)
        jitter_s = self._chance.uniform(-self._link.jitter_s, self._link.jitter_s)
        self._arrival_s = max(self._arrival_s, passed_s + self._link.delay_s + jitter_s)
        self._travelling.append((self._arrival_s, packet))

    def deliver(self, now_s: float) -> float:
        """Put out what has arrived; returns the seconds until the next arrival, 1 at most."""
        while self._travelling and self._travelling[0][0] <= now_s:
            with contextlib.suppress(OSError):  # the device is down: so is what it carries
                os.write(self._sink, self._travelling.popleft()[1])
        return min(1.0, self._travelling[0][0] - now_s) if self._travelling else 1.0


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)

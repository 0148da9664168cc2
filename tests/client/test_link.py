"""The slow link: what its description means, and that real sockets behave accordingly."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.client.link import (
    QUEUE_BYTES,
    SEGMENT_BYTES,
    Bottleneck,
    Lane,
    Link,
    LinkError,
    parse_link,
)
from exgs.client.link_proxy import LinkProxy


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("2mbit", Link(2e6)),
        ("2mbit,100ms,1%", Link(2e6, 0.1, 0.0, 0.01)),
        ("1%, 0.1s, 2 Mbit", Link(2e6, 0.1, 0.0, 0.01)),
        ("500kbit,80ms±20ms", Link(5e5, 0.08, 0.02)),
        ("500kbps,80ms+-20ms", Link(5e5, 0.08, 0.02)),
        ("1gbit,80ms,20ms jitter,0.5% loss", Link(1e9, 0.08, 0.02, 0.005)),
    ],
)
def test_a_link_is_read_from_one_argument(text: str, link: Link) -> None:
    assert parse_link(text) == link
    assert parse_link(str(link)) == link


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fast",
        "100ms",
        "2mbit,3mbit",
        "2mbit,100ms,200%",
        "2mbit,10ms±20ms",
        "2mbit,3s",
        "1..2mbit",
        "2mbit,,",
    ],
)
def test_a_wrong_link_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(LinkError) as caught:
        parse_link(text)
    assert "\n" not in str(caught.value)
    assert repr(text) in str(caught.value)


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    loss=st.floats(0, 0.2),
    sizes=st.lists(st.integers(1, SEGMENT_BYTES), min_size=1, max_size=50),
)
def test_bytes_come_in_order_and_never_faster_than_the_link(
    seed: int, loss: float, sizes: list[int]
) -> None:
    link = Link(1e6, 0.05, 0.01, loss)
    lane = Lane(link, Bottleneck(link), random.Random(seed))
    arrivals = [lane.send(0.0, size) for size in sizes]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] >= sum(sizes) * 8 / link.rate_bps + link.delay_s - link.jitter_s


def test_a_lost_segment_costs_a_round_trip_and_holds_up_what_follows() -> None:
    link = Link(8e6, 0.1, loss=0.5)
    lane = Lane(link, Bottleneck(link), random.Random(3))
    clean = Lane(Link(8e6, 0.1), Bottleneck(link), random.Random(0))
    delays = [lane.send(0.0, 1000) - clean.send(0.0, 1000) for _ in range(40)]
    assert max(delays) > link.rtt_s
    assert any(b < a for a, b in itertools.pairwise(delays))  # caught up after a stall


def test_the_window_opens_from_ten_segments_to_what_the_link_holds() -> None:
    link = Link(2e6, 0.1)
    lane = Lane(link, Bottleneck(link), random.Random(0))
    assert lane.room == 10 * SEGMENT_BYTES
    for _ in range(200):
        size = min(lane.room, SEGMENT_BYTES)
        lane.send(0.0, size)
        lane.acknowledge(size)
    assert lane.room == link.window_bytes == 50_000 + QUEUE_BYTES


def test_connections_share_the_rate() -> None:
    link = Link(1e6, 0.05)
    bottleneck = Bottleneck(link)
    lanes = [Lane(link, bottleneck, random.Random(n)) for n in range(2)]
    arrivals = [lanes[n % 2].send(0.0, 1000) for n in range(10)]
    with_heads_bits = 8 * (1000 + 52)
    assert arrivals[-1] == pytest.approx(10 * with_heads_bits / link.rate_bps + link.delay_s)


async def _download(link: Link, total: int) -> list[tuple[float, int]]:
    """(time since connecting, bytes so far) of `total` bytes read through the proxy."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(bytes(total))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    log = []
    async with LinkProxy(link, "127.0.0.1", port) as proxy:
        start = time.perf_counter()
        reader, writer = await asyncio.open_connection(*proxy.address)
        writer.write(b"?")
        received = 0
        while data := await reader.read(1 << 16):
            received += len(data)
            log.append((time.perf_counter() - start, received))
        writer.close()
    server.close()
    return log


def test_the_proxy_keeps_the_rate_within_ten_percent() -> None:
    link = Link(8e6, 0.02)
    log = asyncio.run(_download(link, 1_200_000))
    (start_s, before), (end_s, after) = log[len(log) // 4], log[-1]
    rate_bps = (after - before) * 8 / (end_s - start_s)
    assert after == 1_200_000
    assert rate_bps == pytest.approx(link.rate_bps, rel=0.1)


def test_the_first_byte_takes_the_handshake_and_a_round_trip() -> None:
    log = asyncio.run(_download(Link(8e6, 0.05), 1000))
    assert 0.2 <= log[0][0] < 0.3


def test_a_slow_link_holds_the_sender_back() -> None:
    """What the server's socket has taken is never far ahead of what the client has."""

    async def ahead() -> int:
        taken = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal taken
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 << 10)
            writer.transport.set_write_buffer_limits(high=0)
            while True:
                writer.write(bytes(4096))
                await writer.drain()
                taken += 4096

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with LinkProxy(Link(2e6, 0.05), "127.0.0.1", port) as proxy:
            reader, writer = await asyncio.open_connection(*proxy.address)
            received = 0
            worst = 0
            end = time.perf_counter() + 1.0
            while time.perf_counter() < end:
                received += len(await reader.read(1 << 16))
                worst = max(worst, taken - received)
            writer.close()
        server.close()
        return worst

    # window, the proxy's receive buffer, the server's send buffer (the kernel doubles both)
    assert asyncio.run(ahead()) < Link(2e6, 0.05).window_bytes + 4 * (16 << 10) + 16384


def test_reset_connections_breaks_them() -> None:
    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionResetError):
                await reader.readexactly(5)
                connected.set()
                await reader.read()
            writer.close()

        connected = asyncio.Event()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with LinkProxy(Link(1e6), "127.0.0.1", port) as proxy:
            reader, writer = await asyncio.open_connection(*proxy.address)
            writer.write(b"hello")
            await connected.wait()
            proxy.reset_connections()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            writer.close()
        server.close()

    asyncio.run(run())

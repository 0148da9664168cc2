"""The pacer fills the link without building a queue, so new chunks do not wait behind old ones."""

from __future__ import annotations

import socket
import sys
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from exgs.codec.constants import MAX_FRAGMENT_BYTES
from exgs.server.flow.pacing import Delivery, Pacer
from exgs.server.kernel import delivery_of

PACKET_BYTES = 1448
STEP_S = 0.001


class Link:
    """A bottleneck followed by a delay, as the kernel of the sender observes it."""

    def __init__(self, rate: float, trip_s: float, queue_bytes: float = np.inf) -> None:
        self.rate = rate
        self.trip_s = trip_s
        self.queue_bytes = queue_bytes  # what does not fit is lost, and sent again a trip later
        self.lost_packets = 0.0
        self.now_s = 0.0
        self.unsent_bytes = 0.0
        self.most_rate: float | None = None  # of the sender's kernel
        self.waiting_bytes = 0.0  # at the bottleneck
        self.delivered_bytes = 0.0  # acknowledged too
        self._answers: deque[tuple[float, float]] = deque()  # time of arrival, bytes
        self._again: deque[tuple[float, float]] = deque()  # lost bytes, likewise

    def step(self) -> None:
        self.now_s += STEP_S
        passing_bytes = min(self.unsent_bytes, (self.most_rate or np.inf) * STEP_S)
        self.unsent_bytes -= passing_bytes
        self.waiting_bytes += passing_bytes
        lost_bytes = max(self.waiting_bytes - self.queue_bytes, 0.0)
        self._again.append((self.now_s + self.trip_s, lost_bytes))
        self.lost_packets += lost_bytes / PACKET_BYTES
        self.waiting_bytes -= lost_bytes
        while self._again[0][0] <= self.now_s:
            self.waiting_bytes += self._again.popleft()[1]
        sent_bytes = min(self.waiting_bytes, self.rate * STEP_S)
        self.waiting_bytes -= sent_bytes
        self._answers.append((self.now_s + self.trip_s, sent_bytes))
        while self._answers and self._answers[0][0] <= self.now_s:
            self.delivered_bytes += self._answers.popleft()[1]

    def delivery(self) -> Delivery:
        travelling = (*self._answers, *self._again)
        under_way_bytes = self.waiting_bytes + sum(size for _, size in travelling)
        return Delivery(
            packet_bytes=PACKET_BYTES,
            unacknowledged=round(under_way_bytes / PACKET_BYTES),
            sacked=0,
            lost=0,
            sent_again=0,
            round_trip_s=self.trip_s + self.waiting_bytes / self.rate,
            unsent_bytes=round(self.unsent_bytes),
            delivered=round(self.delivered_bytes / PACKET_BYTES) + 0xFFFFFF00 & 0xFFFFFFFF,
            shortest_trip_s=self.trip_s,
            repeated=round(self.lost_packets),
        )

    def fill(self, until_s: float, pacer: Pacer) -> tuple[float, float]:
        """Send what `pacer` allows. Returns the used share of the link and the longest wait."""
        before_bytes, start_s, worst_s, again_s = self.delivered_bytes, self.now_s, 0.0, self.now_s
        while self.now_s < until_s:
            while self.now_s >= again_s:
                look_s = pacer.next_look_s(self.now_s, self.delivery(), 0.5)
                if look_s is not None:
                    again_s = max(look_s, self.now_s + STEP_S)
                    break
                self.unsent_bytes += pacer.fragment_bytes
            self.most_rate = pacer.most_rate
            waiting_bytes = self.unsent_bytes + self.waiting_bytes
            worst_s = max(worst_s, waiting_bytes / self.rate)
            self.step()
        used_bytes = self.delivered_bytes - before_bytes
        return used_bytes / (self.rate * (self.now_s - start_s)), worst_s


@pytest.mark.parametrize(
    ("rate", "trip_s"), [(250e3, 0.2), (250e3, 0.1), (2.5e6, 0.04), (12.5e6, 0.02), (25e6, 0.2)]
)
def test_a_link_is_filled_without_a_standing_queue(rate: float, trip_s: float) -> None:
    link = Link(rate, trip_s)
    pacer = Pacer(0.0)
    link.fill(6.0, pacer)  # it measures the rate
    share, wait_s = link.fill(12.0, pacer)
    assert share > 0.97
    assert wait_s < 0.2 * trip_s + 0.05


def test_the_rate_of_a_fast_link_is_found_within_a_second() -> None:
    link, pacer = Link(25e6, 0.1), Pacer(0.0)
    link.fill(1.0, pacer)
    share, wait_s = link.fill(2.0, pacer)
    assert share > 0.9
    assert wait_s < 0.2
    link, pacer = Link(250e3, 0.2), Pacer(0.0)
    assert link.fill(3.0, pacer)[1] < 0.25  # also while it finds the rate


def test_a_short_queue_is_not_overfilled_for_long() -> None:
    link, pacer = Link(2.5e6, 0.2, queue_bytes=64e3), Pacer(0.0)
    link.fill(12.0, pacer)  # start-up and the first probes overfill it
    before_packets = link.lost_packets
    share, _ = link.fill(32.0, pacer)
    assert share > 0.95
    assert link.lost_packets - before_packets < 0.01 * 20 * link.rate / PACKET_BYTES


def test_bursts_are_limited_once_the_rate_is_known() -> None:
    link, pacer = Link(2.5e6, 0.05), Pacer(0.0)
    link.fill(0.2, pacer)
    assert pacer.most_rate is None
    link.fill(3.0, pacer)
    assert pacer.most_rate is not None
    assert 1.1 * link.rate < pacer.most_rate < 1.4 * link.rate


def test_the_rate_is_not_forgotten_while_there_is_nothing_to_send() -> None:
    link, pacer = Link(2.5e6, 0.05), Pacer(0.0)
    link.fill(3.0, pacer)
    for at_s in np.arange(4.0, 60.0, 1.0):
        assert pacer.next_look_s(at_s, replace(link.delivery(), unacknowledged=0), 0.5) is None
    assert pacer.rate > 0.9 * link.rate


def test_a_time_with_little_to_send_does_not_slow_what_follows() -> None:
    pacer = Pacer(0.0)
    handshake = Delivery(500, 1, 0, 0, 0, 0.2, 0, 1, 0.2)
    assert pacer.next_look_s(0.0, handshake, 0.5) is None
    assert pacer.next_look_s(0.2, replace(handshake, delivered=2), 0.5) is None
    first_data = Delivery(PACKET_BYTES, 10, 0, 0, 0, 0.2, 5400, 2, 0.2)
    look_s = pacer.next_look_s(0.2, first_data, 0.5)
    assert look_s is not None
    assert look_s < 0.22


def test_the_pacer_follows_changes_of_the_rate() -> None:
    link = Link(250e3, 0.1)
    pacer = Pacer(0.0)
    link.fill(5.0, pacer)
    link.rate = 2.5e6
    link.fill(10.0, pacer)
    share, wait_s = link.fill(15.0, pacer)
    assert share > 0.97
    link.rate = 1e6
    link.fill(30.0, pacer)
    share, wait_s = link.fill(35.0, pacer)
    assert share > 0.97
    assert wait_s < 0.08


def test_fragments_are_small_on_slow_links() -> None:
    sizes = []
    for rate in (50e3, 250e3, 500e3, 5e6):
        link = Link(rate, 0.05)
        pacer = Pacer(0.0)
        link.fill(3.0, pacer)
        sizes.append(pacer.fragment_bytes)
    assert max(sizes[:2]) < 4200
    assert 4096 < sizes[2] < 12_000
    assert sizes[3] == MAX_FRAGMENT_BYTES


def test_without_kernel_information_nothing_waits() -> None:
    pacer = Pacer(0.0)
    assert pacer.next_look_s(1.0, None, 0.5) is None
    assert pacer.fragment_bytes == MAX_FRAGMENT_BYTES


def test_the_socket_of_a_slow_reader_is_polled_rarely() -> None:
    link, pacer = Link(250e3, 0.1), Pacer(0.0)
    link.waiting_bytes = 40e3
    looks_s = [0.0]
    for _ in range(12):
        look_s = pacer.next_look_s(looks_s[-1], link.delivery(), 0.5)
        assert look_s is not None
        looks_s.append(look_s)
    pauses_s = np.diff(looks_s)
    assert max(pauses_s) <= 1.0
    assert pauses_s[-1] > pauses_s[0]


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_linux_reports_bytes_in_flight() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as one, server.accept()[0] as other:
            before = delivery_of(one)
            one.sendall(bytes(100_000))
            got = 0
            while got < 100_000:
                got += len(other.recv(1 << 16))
            after = delivery_of(one)
            assert before is not None
            assert after is not None
            assert after.delivered > before.delivered
            assert after.packet_bytes > 500
            assert 0 < after.round_trip_s < 1
            assert after.unsent_bytes == 0
            assert 0 <= after.under_way_bytes <= 100_000
            other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    one.send(bytes(1 << 16))
            full = delivery_of(one)
            assert full is not None
            assert full.unsent_bytes > 0
        assert delivery_of(one) is None  # closed

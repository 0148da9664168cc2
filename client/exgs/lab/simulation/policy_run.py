"""Simulates a session of any policy over a modelled link, without the protocol.

It is faster than the whole protocol (`exgs.lab.simulation.protocol`), since nothing is packed: the
policy's scores choose items, and the link's lane gives arrival times. With `push` the server
chooses, and knows each view half a round trip late. With `ranges` the client chooses: data arrive a
round trip after the request, and each request costs bytes.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from exgs.client.link import SEGMENT_BYTES, Bottleneck, Lane
from exgs.lab.assets.asset import Asset
from exgs.lab.links.transport import LinkModel
from exgs.lab.policies.policy import HOLD, Look, Policy
from exgs.lab.simulation.terms import Terms
from exgs.lab.simulation.transcript import Transcript
from exgs.lab.viewers.path_views import PathViews
from exgs.lab.viewers.predictors import Predictor
from exgs.server.flow.pacing import Delivery, Pacer

Doubles = npt.NDArray[np.float64]

_FRAME_BYTES = 24  # heads of a frame and of a WebSocket message
_REQUEST_BYTES = 600  # heads of an HTTP request and its response
_AHEAD_BYTES, _AHEAD_S = 128 << 10, 0.25  # requested ahead by a range client


ErrorGain = Callable[[int, float, npt.NDArray[np.bool_]], Doubles]


class PolicyRun:
    """One simulated session."""

    def __init__(
        self,
        asset: Asset,
        policy: Policy,
        link: LinkModel,
        views: PathViews,
        terms: Terms,
        predictor: Predictor,
        predictor_name: str,
        error_gain: ErrorGain | None = None,
    ) -> None:
        self._asset, self._policy, self._link = asset, policy, link
        self._views, self._terms = views, terms
        self._predictor, self._predictor_name = predictor, predictor_name
        self._error_gain = error_gain
        self._delay_s = link.link.delay_s
        self._is_push = terms.profile == "push"
        self._sent = np.zeros(len(asset), np.int64)
        self._is_open = asset.needs < 0
        self._lead_sent = np.zeros(len(asset.lead_bytes), bool)
        self._scores = np.zeros(len(asset))
        self._choice = np.full(len(asset), HOLD)  # scores of the items that may be sent now
        self._left = len(asset)
        self._view = -1
        self._asked_s = -np.inf
        self._changed_s: float | None = None  # time of the newest view, until the first byte for it
        self._pacer = Pacer(0.0)  # of the server; it also measures the rate for a range client
        self._whole: list[int] = []  # items that the last fragment has completed
        self._acknowledged_bytes = 0
        self._round_trip_s = link.link.rtt_s  # of the newest acknowledgement
        self._came: list[tuple[float, int]] = []
        self._bytes: list[tuple[float, int]] = []
        self._answered: list[float] = []

    def run(self) -> Transcript:
        """Simulate the whole session."""
        rng = random.Random(self._terms.seed)
        down: Bottleneck = self._link.bottleneck()
        lane = self._link.lane(down, rng)
        # Acknowledged when, sent when, bytes.
        flight: deque[tuple[float, float, int]] = deque()
        now_s = self._terms.connect_trips * self._link.link.rtt_s
        if self._is_push:
            now_s += self._delay_s  # HELLO
        lag_s = 0.0 if self._is_push else self._delay_s  # from the decision to the sender
        received = self._asset.head_bytes + _REQUEST_BYTES
        arrival_s = lane.send(now_s + lag_s, received)
        flight.append((arrival_s + self._ack_s, now_s, received))
        self._bytes.append((arrival_s, received))
        under_way = received
        if not self._is_push:  # the client needs the head before it can choose
            now_s = arrival_s
        head_s = arrival_s
        events = 1
        while self._left and now_s < self._terms.length_s:
            while flight and flight[0][0] <= now_s:
                acknowledged_s, sent_s, size = flight.popleft()
                under_way -= size
                lane.acknowledge(size)
                self._acknowledged_bytes += size
                self._round_trip_s = acknowledged_s - sent_s
            if self._is_full(now_s, under_way, lane):
                now_s = flight[0][0]
                continue
            self._look(now_s)
            item = int(self._choice.argmax())
            if self._choice[item] == HOLD:
                now_s = self._next_look_s(now_s)
                continue
            size, overhead = self._take(item)
            arrival_s = lane.send(now_s + lag_s, size + overhead)
            arrival_s = max(arrival_s, head_s)
            flight.append((arrival_s + self._ack_s, now_s, size + overhead))
            under_way += size + overhead
            received += size + overhead
            self._bytes.append((arrival_s, received))
            if self._changed_s is not None:
                self._answered.append(arrival_s - self._changed_s)
                self._changed_s = None
            self._came += [(arrival_s, whole) for whole in self._whole]
            self._whole.clear()
            events += 1
        return self._transcript(events)

    @property
    def _ack_s(self) -> float:
        """The time from an arrival until the choosing side knows about it."""
        return self._delay_s if self._is_push else 0.0

    def _transcript(self, events: int) -> Transcript:
        length_s = self._terms.length_s
        came = [pair for pair in self._came if pair[0] <= length_s]
        done_s = self._came[-1][0] if not self._left and len(came) == len(self._came) else None
        return Transcript(
            np.array([at for at, _ in came]),
            np.array([item for _, item in came], np.int64),
            np.array([at for at, _ in self._bytes]),
            np.array([size for _, size in self._bytes], np.int64),
            np.array(self._answered),
            done_s,
            int((self._sent * (self._sent < self._asset.item_bytes)).sum()),
            events,
        )

    # The next item

    def _look(self, now_s: float) -> None:
        """Call the policy again if needed."""
        view = self._views.number(now_s - self._ack_s)
        is_new = view != self._view
        if not is_new and now_s - self._asked_s < self._terms.replan_s:
            return
        if is_new:
            before = self._view
            self._view = view
            if before >= 0 and self._changed_s is None and self._has_moved(before, view):
                self._changed_s = view * self._views.step_s
        elif now_s == self._asked_s:
            return
        self._asked_s = now_s
        self._scores = self._policy.scores(self._what_is_known(now_s))
        self._choice = np.where(self._is_open, self._scores, HOLD)

    def _has_moved(self, before: int, now: int) -> bool:
        a, b = self._views.pose(before), self._views.pose(now)
        return bool((a.eye != b.eye).any() or (a.quat != b.quat).any())

    def _future_gain(self, now_s: float) -> Callable[[float], Doubles] | None:
        """Reduction of the error by items over a horizon, for policies that know the future."""
        if self._error_gain is None:
            return None
        ask, here = self._error_gain, self._sent >= self._asset.item_bytes
        arrival_view = self._views.number(now_s + self._delay_s)
        return lambda horizon_s: ask(arrival_view, horizon_s, here)

    def _what_is_known(self, now_s: float) -> Look:
        view, asset = self._view, self._asset
        return Look(
            now_s=now_s,
            asset=asset,
            camera=self._views.camera(view),
            sent_bytes=self._sent,
            rate_bps=8 * self._pacer.rate,
            round_trip_s=self._link.link.rtt_s,
            weights=lambda ahead_s: self._views.weights(
                asset, view, ahead_s, self._predictor, self._predictor_name
            ),
            left_s=self._terms.length_s - now_s,
            error_gain=self._future_gain(now_s),
        )

    def _next_look_s(self, now_s: float) -> float:
        """The arrival of the next view, for a policy that sends nothing now."""
        step_s = self._views.step_s
        next_s = (self._views.number(now_s - self._ack_s) + 1) * step_s + self._ack_s
        return max(next_s, now_s + step_s / 2)

    def _take(self, item: int) -> tuple[int, int]:
        """Take a fragment of an item: its bytes, and the overhead."""
        asset = self._asset
        setup = int(asset.calls_for[item])
        overhead = 0
        if setup >= 0 and self._sent[setup] < asset.item_bytes[setup]:
            overhead += int(asset.item_bytes[setup] - self._sent[setup])
            self._sent[setup] = asset.item_bytes[setup]
            self._finish(setup)
        lead = int(asset.lead[item])
        if lead >= 0 and not self._lead_sent[lead]:
            self._lead_sent[lead] = True
            overhead += int(asset.lead_bytes[lead])
        if self._is_push:
            overhead += _FRAME_BYTES
        elif not self._sent[item]:
            overhead += _REQUEST_BYTES * int(asset.requests[item])
        size = int(min(asset.item_bytes[item] - self._sent[item], self._pacer.fragment_bytes))
        self._sent[item] += size
        if self._sent[item] >= asset.item_bytes[item]:
            self._finish(item)
        return size, overhead

    def _finish(self, item: int) -> None:
        self._whole.append(item)
        self._left -= 1
        self._is_open[item] = False
        self._choice[item] = HOLD
        for other in self._asset.unlocks[item]:
            if self._sent[other] < self._asset.item_bytes[other]:
                self._is_open[other] = True
                self._choice[other] = self._scores[other]

    def _is_full(self, now_s: float, under_way_bytes: int, lane: Lane) -> bool:
        """Whether the next fragment has to wait for an acknowledgement."""
        wait_s = self._pacer.wait_s(
            now_s,
            Delivery(
                packet_bytes=SEGMENT_BYTES,
                unacknowledged=-(-under_way_bytes // SEGMENT_BYTES),
                sacked=0,
                lost=0,
                sent_again=0,
                round_trip_s=self._round_trip_s,
                unsent_bytes=0,
                delivered=self._acknowledged_bytes // SEGMENT_BYTES,
                shortest_trip_s=self._link.link.rtt_s,
            ),
        )
        if self._is_push:  # data beyond the window would wait at the sender
            return under_way_bytes > 0 and (wait_s > 0 or lane.room <= 0)
        ahead_s = self._link.link.rtt_s + _AHEAD_S
        return under_way_bytes >= max(_AHEAD_BYTES, self._pacer.rate * ahead_s)

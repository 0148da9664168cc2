"""Limits per address: simultaneous connections, requests per second."""

from __future__ import annotations

from collections import Counter

from exgs.server.config import Quota
from exgs.wire.rate import RateLimit

_BURST_S = 2.0  # an idle address may send the requests of this time at once


class Quotas:
    """The connections and request rates of all addresses."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._connections = 0
        self._per_address: Counter[str] = Counter()
        self._requests: dict[str, RateLimit] = {}

    def admit(self, address: str) -> bool:
        """Count a new connection. Returns False, without counting it, if there are too many."""
        quota = self._quota
        if self._connections >= quota.connections:
            return False
        limit = 0 if address in quota.unlimited_addresses else quota.connections_per_address
        if limit and self._per_address[address] >= limit:
            return False
        self._connections += 1
        self._per_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """An admitted connection has ended."""
        self._connections -= 1
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]

    def is_request_allowed(self, now_s: float, address: str) -> bool:
        """Count a request. Returns False, without counting it, if it exceeds the rate."""
        rate = self._quota.requests_per_s
        if not rate or address in self._quota.unlimited_addresses:
            return True
        if address not in self._requests:
            self._requests[address] = RateLimit(rate, max(1.0, _BURST_S * rate), now_s)
        return self._requests[address].take(now_s)

    def forget_rested(self, now_s: float) -> None:
        """Discard the state of addresses that may send a whole burst again."""
        self._requests = {
            address: limit
            for address, limit in self._requests.items()
            if not limit.is_rested(now_s)
        }

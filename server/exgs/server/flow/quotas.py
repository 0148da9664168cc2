"""How much an address may ask for: connections at a time, requests in a second."""

from __future__ import annotations

from collections import Counter

from exgs.server.config import Quota
from exgs.wire.rate import RateLimit

_BURST_S = 2.0  # of requests at the full rate, that an idle address may send at once


class Quotas:
    """What all addresses have in use."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._connections = 0
        self._per_address: Counter[str] = Counter()
        self._requests: dict[str, RateLimit] = {}

    def admit(self, address: str) -> bool:
        """Count a new connection; False, and it does not count, where there are too many."""
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
        """A connection that was admitted has ended."""
        self._connections -= 1
        self._per_address[address] -= 1
        if not self._per_address[address]:
            del self._per_address[address]

    def is_request_allowed(self, now_s: float, address: str) -> bool:
        """Count a request; False, and it does not count, where the address sends too many."""
        rate = self._quota.requests_per_s
        if not rate or address in self._quota.unlimited_addresses:
            return True
        if address not in self._requests:
            self._requests[address] = RateLimit(rate, max(1.0, _BURST_S * rate), now_s)
        return self._requests[address].take(now_s)

    def forget_rested(self, now_s: float) -> None:
        """Keep nothing of addresses that have a whole burst free."""
        self._requests = {
            address: limit
            for address, limit in self._requests.items()
            if not limit.is_rested(now_s)
        }

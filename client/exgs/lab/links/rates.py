"""The rate of a link over time: piecewise constant, repeated forever.

`passed_s` computes when data have passed a bottleneck. It is exact, so that results don't depend on
a simulation step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from exgs.client.link import Bottleneck, Link
from exgs.lab.errors import LabError

Doubles = npt.NDArray[np.float64]

_MOST_ROUNDS = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """Rates [N] in bits per second.

    Each is valid from its start [N], in seconds, to the next start. The first start is 0. The
    last rate ends at `length_s`, where the rates repeat.
    """

    starts_s: Doubles
    rates_bps: Doubles
    length_s: float

    @staticmethod
    def of(starts_s: Sequence[float], rates_bps: Sequence[float], length_s: float) -> Rates:
        """Create rates. Raises LabError if they are not valid."""
        starts, rates = np.asarray(starts_s, np.float64), np.asarray(rates_bps, np.float64)
        if not len(starts) or len(starts) != len(rates) or starts[0] != 0:
            raise LabError("each rate needs a start, and the first is 0 s")
        if (np.diff(starts) <= 0).any() or length_s <= starts[-1]:
            raise LabError("the times of a trace must increase")
        if not np.isfinite(rates).all() or (rates < 0).any() or not (rates > 0).any():
            raise LabError("the rates of a trace must be 0 or more, and not all 0")
        return Rates(starts, rates, float(length_s))

    @property
    def mean_bps(self) -> float:
        """The mean rate over the whole length."""
        return self.bits_before(self.length_s) / self.length_s

    def bits_before(self, time_s: float) -> float:
        """Bits that can pass from 0 to `time_s`, which may exceed the length."""
        rounds, rest_s = divmod(time_s, self.length_s)
        ends = np.minimum(np.append(self.starts_s[1:], self.length_s), rest_s)
        within = float((np.maximum(ends - self.starts_s, 0) * self.rates_bps).sum())
        if not rounds:
            return within
        return rounds * float(self.bits_before(np.nextafter(self.length_s, 0))) + within

    def shifted(self, by_s: float) -> Rates:
        """The same rates, starting at `by_s` seconds."""
        by_s %= self.length_s
        if not by_s:
            return self
        first = int(np.searchsorted(self.starts_s, by_s, "right")) - 1
        starts = np.concatenate(
            [[by_s], self.starts_s[first + 1 :], self.starts_s[: first + 1] + self.length_s]
        )
        rates = np.concatenate([self.rates_bps[first:], self.rates_bps[: first + 1]])
        return Rates(starts - by_s, rates, self.length_s)

    def scaled(self, factor: float) -> Rates:
        """The rates multiplied by `factor`."""
        return Rates(self.starts_s, self.rates_bps * factor, self.length_s)


class RateWalk:
    """Evaluates `Rates` at increasing times, which needs no search."""

    def __init__(self, rates: Rates) -> None:
        self._ends: list[float] = np.append(rates.starts_s[1:], rates.length_s).tolist()
        self._rates: list[float] = rates.rates_bps.tolist()
        self._length_s = rates.length_s
        self._place = 0
        self._base_s = 0.0  # start of the repetition that contains `_place`

    def passed_s(self, time_s: float, bits: float) -> float:
        """The time when `bits` that start at `time_s` have passed.

        `time_s` must not decrease between calls.
        """
        for _ in range(_MOST_ROUNDS):
            end_s: float = self._base_s + self._ends[self._place]
            rate = self._rates[self._place]
            if time_s < end_s:
                room = (end_s - time_s) * rate
                if bits <= room and rate > 0:
                    return time_s + bits / rate
                bits -= room
                time_s = end_s
            self._place += 1
            if self._place == len(self._ends):
                self._place = 0
                self._base_s += self._length_s
        raise LabError("the rates of a trace are all 0")


class TracedBottleneck(Bottleneck):
    """A bottleneck whose rate follows a trace."""

    def __init__(self, link: Link, rates: Rates, *, start_s: float = 0.0) -> None:
        super().__init__(link)
        self._walk = RateWalk(rates)
        self._start_s = start_s  # start of the trace, on the clock of the calls

    def send(self, now_s: float, length_bytes: int) -> float:
        """The time when `length_bytes` that arrive at `now_s` have passed."""
        begin_s = max(self._free_s, now_s)
        passed_s = self._walk.passed_s(begin_s - self._start_s, length_bytes * 8)
        self._free_s = passed_s + self._start_s
        return self._free_s

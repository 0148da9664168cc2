"""Reads traces of links: packet-delivery times, or bandwidth over time in common formats.

| form | rows | sets |
| mahimahi | a time in ms at which 1500 bytes may pass | Mahimahi, CellReplay, many 5G sets |
| seconds-mbps | time in s, Mbit/s | Pensieve, Oboe, FCC, HSDPA, Puffer as these papers cook them |
| csv | a head that names a time and a rate column with units | Puffer, FCC, 5G sets |
| sabre | JSON: duration_ms, bandwidth_kbps (and latency_ms) | Sabre's 3G and 4G logs |

Where to get the public sets is in docs/laboratory.md.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from exgs.lab.errors import LabError
from exgs.lab.files import read_text
from exgs.lab.links.rates import Rates

_PACKET_BITS = 1500 * 8
_BIN_S = 0.1  # interval over which packet deliveries are averaged
_TIME_UNITS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6}
_RATE_UNITS = {
    "bps": 1.0,
    "kbps": 1e3,
    "mbps": 1e6,
    "gbps": 1e9,
    "bytes_per_s": 8.0,
    "bytes": 8.0,
}


def read_trace(path: Path, form: str = "", member: str = "") -> Rates:
    """The rates of a trace file, or of a `member` of an archive.

    `form` is one of FORMS; "" detects it.
    Raises LabError if the file is not a trace, and OSError.
    """
    text = read_text(path, member)
    try:
        chosen = form or _guess(text)
        if chosen not in FORMS:
            raise LabError(f"format {chosen!r} is none of {', '.join(FORMS)}")
        return FORMS[chosen](text)
    except (LabError, ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path}: {_why(error)}") from error


def _why(error: Exception) -> str:
    return f"no column {error}" if isinstance(error, KeyError) else str(error)


def _guess(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    if first.lstrip().startswith(("[", "{")):
        return "sabre"
    if re.search(r"[A-Za-z_]{2,}", first):
        return "csv"
    return "mahimahi" if len(first.split()) == 1 and "," not in first else "seconds-mbps"


def _mahimahi(text: str) -> Rates:
    """Delivery times of 1500 bytes, one per line; the trace repeats after its last time."""
    times = np.array([int(line) for line in text.split()], np.int64)
    if not len(times):
        raise LabError("the trace is empty")
    length_s = max(float(times[-1]), 1.0) / 1e3
    bins = max(1, round(length_s / _BIN_S))
    width_s = length_s / bins
    places = np.minimum((times / 1e3 / width_s).astype(np.int64), bins - 1)
    counts = np.bincount(places, minlength=bins)
    rates = (counts * _PACKET_BITS / width_s).tolist()
    return Rates.of([place * width_s for place in range(bins)], rates, length_s)


def _seconds_mbps(text: str) -> Rates:
    rows = [line.replace(",", " ").split() for line in text.splitlines() if line.strip()]
    return _timed([float(row[0]) for row in rows], [float(row[1]) * 1e6 for row in rows])


def _csv(text: str) -> Rates:
    """Columns are identified by their names: time[_s|_ms] or timestamp, and rate or bandwidth."""
    rows = list(csv.DictReader(text.splitlines()))
    names = [name.strip() for name in (rows[0] if rows else {})]
    time_name = _column(names, ("time", "timestamp", "ts", "t"))
    rate_name = _column(
        names, ("bandwidth", "throughput", "rate", "mbps", "kbps", "bps", "dl_bitrate", "downlink")
    )
    scale_s = _unit(time_name, _TIME_UNITS, 1.0)
    scale_bps = 1e3 if rate_name.lower() == "dl_bitrate" else _unit(rate_name, _RATE_UNITS, 1e6)
    times, rates = [], []
    for row in rows:
        of = {key.strip(): value for key, value in row.items() if key}
        if of[time_name].strip() and of[rate_name].strip():
            times.append(float(of[time_name]) * scale_s)
            rates.append(float(of[rate_name]) * scale_bps)
    return _timed(times, rates)


def _column(names: Sequence[str], known: Sequence[str]) -> str:
    for wanted in known:
        for name in names:
            if name.lower() == wanted or name.lower().startswith((f"{wanted}_", f"{wanted} ")):
                return name
    raise LabError(f"no column {', '.join(names)} is one of {', '.join(known)}")


def _unit(name: str, units: dict[str, float], without: float) -> float:
    words = re.split(r"[ _()\[\]/]+", name.lower())
    return next((units[word] for word in reversed(words) if word in units), without)


def _timed(times: Sequence[float], rates: Sequence[float]) -> Rates:
    """Each rate is valid until the next time; the last for the mean duration of the others."""
    if not times:
        raise LabError("the trace is empty")
    start = times[0]
    kept_times, kept_rates = [0.0], [rates[0]]
    for (before, now), rate in zip(pairwise(times), rates[1:], strict=True):
        if now < before:
            raise LabError(f"time {now:g} follows {before:g}")
        if now - start > kept_times[-1]:
            kept_times.append(now - start)
            kept_rates.append(rate)
        else:  # several rates at one time: the last is valid
            kept_rates[-1] = rate
    last_s = kept_times[-1] / (len(kept_times) - 1) if len(kept_times) > 1 else 1.0
    return Rates.of(kept_times, kept_rates, kept_times[-1] + last_s)


def _sabre(text: str) -> Rates:
    rows = json.loads(text)
    starts, rates, now_s = [], [], 0.0
    for row in rows:
        if row["duration_ms"] > 0:
            starts.append(now_s)
            rates.append(float(row["bandwidth_kbps"]) * 1e3)
            now_s += row["duration_ms"] / 1e3
    return Rates.of(starts, rates, now_s)


FORMS: dict[str, Callable[[str], Rates]] = {
    "mahimahi": _mahimahi,
    "seconds-mbps": _seconds_mbps,
    "csv": _csv,
    "sabre": _sabre,
}

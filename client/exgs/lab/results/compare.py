"""Tests the differences between two runs or two policies for significance.

Sessions are paired by all settings except the policy and the run. The interval is a percentile
bootstrap over pairs (Efron 1979). p is that of the sign-flip permutation test of the mean
difference, exact for up to 12 pairs. A difference is significant if p is below 0.05 after Holm's
correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.lab.errors import LabError

Doubles = npt.NDArray[np.float64]

_COMPARED = (
    "first_picture_s",
    "t25_s",
    "t30_s",
    "t35_s",
    "mean_db",
    "p5_db",
    "mean_ssim",
    "mean_flip",
    "mean_stlpips",
    "dip_s",
    "answer_ms",
    "wasted_bytes",
    "stall_s",
    "qoe",
)
_ROUNDS = 10_000
_LEVEL = 0.05
_SEED = 1


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of two sets of sessions."""

    metric: str
    a: float
    b: float
    low: float  # of the 95% interval of b - a
    high: float
    pairs: int
    p: float
    is_significant: bool = False

    def cells(self) -> list[str]:
        """The line as text."""
        return [
            self.metric,
            f"{self.a:.4g}",
            f"{self.b:.4g}",
            f"{self.b - self.a:+.4g}",
            f"{self.low:+.4g} to {self.high:+.4g}",
            str(self.pairs),
            f"{self.p:.4f}",
            "yes" if self.is_significant else "no",
        ]

    def as_json(self) -> dict[str, Any]:
        """The line for scripts."""
        return {
            "metric": self.metric,
            "a": self.a,
            "b": self.b,
            "interval": [self.low, self.high],
            "pairs": self.pairs,
            "p": self.p,
            "significant": self.is_significant,
        }


def compare(a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Compare the sessions that are in both sets. Raises LabError if there are none."""
    pairs = _paired(a, b)
    if not pairs:
        raise LabError("the two sets have no session in common (scene, link, viewer, seed)")
    lines = []
    for metric in _COMPARED:
        both = [(x[metric], y[metric]) for x, y in pairs if None not in (x[metric], y[metric])]
        if not both:
            continue
        values = np.array(both, np.float64)
        difference = values[:, 1] - values[:, 0]
        low, high = interval(difference)
        of_a, of_b = values.mean(axis=0).tolist()
        lines.append(Line(metric, of_a, of_b, low, high, len(both), sign_flip_p(difference)))
    return _holm(lines)


def interval(values: Doubles, level: float = 0.95) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean."""
    rng = np.random.default_rng(_SEED)
    picks = rng.integers(0, len(values), (2_000, len(values)))
    means = values[picks].mean(axis=1)
    low, high = np.percentile(means, [50 * (1 - level), 50 * (1 + level)]).tolist()
    return low, high


def sign_flip_p(difference: Doubles) -> float:
    """The probability of a mean at least this far from 0 if the signs are random."""
    count, size = len(difference), abs(float(difference.mean()))
    if not size:
        return 1.0
    if count <= 12:
        bits = np.arange(1 << count)[:, None] >> np.arange(count) & 1
        means = np.abs(((2 * bits - 1) * difference).mean(axis=1))
        return float((means >= size * (1 - 1e-9)).mean())
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], (_ROUNDS, count))
    means = np.abs((signs * difference).mean(axis=1))
    return float(((means >= size * (1 - 1e-9)).sum() + 1) / (_ROUNDS + 1))


def _paired(
    a: Sequence[Mapping[str, Any]], b: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Pairs of sessions; also by policy, if both sets have the same policies."""
    names = ["scene", "link", "viewer", "seed"]
    if {row["policy"] for row in a} & {row["policy"] for row in b}:
        names.append("policy")
    names.append("mode")
    known = {tuple(row[name] for name in names): row for row in a}
    if len(known) < len(a):
        raise LabError("several policies in one run: name one, as FOLDER:POLICY")
    found = []
    for row in b:
        other = known.get(tuple(row[name] for name in names))
        if other is not None:
            found.append((other, row))
    return found


def _holm(lines: Sequence[Line]) -> list[Line]:
    """Holm's step-down correction."""
    order = sorted(range(len(lines)), key=lambda n: lines[n].p)
    made, open_ = list(lines), True
    for rank, number in enumerate(order):
        open_ = open_ and lines[number].p <= _LEVEL / (len(lines) - rank)
        made[number] = replace(lines[number], is_significant=open_)
    return made

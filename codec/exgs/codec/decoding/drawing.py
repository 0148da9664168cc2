"""What is drawn, part by part, and all of it in one set of arrays that are reused.

A part is what one cell adds of one kind: its leaves or its proxies. Leaves stand in the arrays in
the order in which they came, the proxies behind them. So a part that comes or is refined costs what
it holds itself; only leaves that go make those behind them move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from exgs.scene.gaussians import FloatArray, Gaussians

_FIRST_ROOM = 1 << 14  # Gaussians
_GROWTH = 1.5


class Part(NamedTuple):
    """The name of a part: its cell, and which Gaussians of it."""

    layer: int
    tile: int
    is_proxy: bool  # merged Gaussians that stand for what has not come yet; else leaves


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class DrawnScene:
    """What the chunks received so far give to draw."""

    gaussians: Gaussians
    is_proxy: npt.NDArray[np.bool_]  # [N] merged Gaussian, stands for what has not come yet
    sh_pending: npt.NDArray[np.bool_]  # [N] leaf whose view dependence has not all come yet


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPart:
    """What is drawn of a part, as it was decoded, and what is made of it."""

    decoded: Gaussians  # of SH degree 0
    sh_pending: bool = False
    vectors: FloatArray | None = None  # [n, D] residuals of SH, as in payload.sh; None: none yet
    factors: FloatArray | None = None  # [n] that scales are multiplied by; None: 1
    shown: npt.NDArray[np.integer] | None = None  # rows that are drawn; None: all

    def __len__(self) -> int:
        return len(self.decoded) if self.shown is None else len(self.shown)

    def gaussians(self, sh_degree: int) -> Gaussians:
        """A copy of its own."""
        columns = _room(len(self), sh_degree)
        self.write(columns, 0)
        return Gaussians(*columns)

    def write(self, columns: list[FloatArray], start: int) -> None:
        """Write it into rows of these arrays, in the order of the fields of Gaussians.

        They have no SH, or as much as `vectors`.
        """
        rows = slice(start, start + len(self))
        means, quats, scales, opacities, sh0, shN = (column[rows] for column in columns)
        of = self.decoded
        if self.shown is not None:
            of = of.select(self.shown)
        means[:], quats[:], scales[:], opacities[:] = of.means, of.quats, of.scales, of.opacities
        if self.factors is not None:
            scales *= self.factors[:, None]
        if self.vectors is None:
            sh0[:] = of.sh0
            shN[:] = 0
        else:
            np.add(of.sh0, self.vectors[:, :3], out=sh0)
            shN[:] = self.vectors[:, 3:].reshape(shN.shape)


class DrawBuffer:
    """All that is drawn of a scene of this SH degree, in arrays that are reused."""

    def __init__(self, sh_degree: int) -> None:
        self._sh_degree = sh_degree
        self._columns = _room(_FIRST_ROOM, sh_degree)
        self._pending = np.zeros(_FIRST_ROOM, bool)
        self._leaves: dict[Part, slice] = {}  # where they stand, in this order
        self._leaf_count = 0
        self._proxies: dict[Part, DrawnPart] = {}
        self._has_sh = False
        self._drawn: DrawnScene | None = None

    def update(self, changed: Mapping[Part, DrawnPart], dropped: Iterable[Part]) -> None:
        """Enter parts that are new or have changed; forget others."""
        self._drawn = None
        gone = [part for part in dropped if part in self._leaves]
        for part in dropped:
            self._proxies.pop(part, None)
        fresh: list[Part] = []
        for part, drawn in changed.items():
            if part.is_proxy:
                self._proxies[part] = drawn
            elif part not in self._leaves:
                fresh.append(part)
            elif len(drawn) != self._length(part):
                gone.append(part)
                fresh.append(part)
            else:
                self._write(drawn, self._leaves[part].start)
        self._remove(gone)
        for part in fresh:
            self._reserve(self._leaf_count + len(changed[part]))
            self._write(changed[part], self._leaf_count)
            rows = slice(self._leaf_count, self._leaf_count + len(changed[part]))
            self._leaves[part], self._leaf_count = rows, rows.stop

    def drawn(self) -> DrawnScene:
        """All of it, in arrays that the next `update` writes to."""
        if self._drawn is None:
            count = self._leaf_count + sum(len(drawn) for drawn in self._proxies.values())
            self._reserve(count)
            start = self._leaf_count
            for drawn in self._proxies.values():
                self._write(drawn, start)
                start += len(drawn)
            is_proxy = np.zeros(count, bool)
            is_proxy[self._leaf_count :] = True
            columns = [column[:count] for column in self._columns]
            if not self._has_sh:
                columns[-1] = columns[-1][:, :0]
            gaussians = Gaussians(*columns)
            pending = self._pending[:count].view()
            pending.flags.writeable = False
            self._drawn = DrawnScene(gaussians, is_proxy, pending)
        return self._drawn

    def _length(self, part: Part) -> int:
        rows = self._leaves[part]
        return int(rows.stop - rows.start)

    def _write(self, drawn: DrawnPart, start: int) -> None:
        drawn.write(self._columns, start)
        self._has_sh |= drawn.vectors is not None
        self._pending[start : start + len(drawn)] = drawn.sh_pending

    def _remove(self, gone: Iterable[Part]) -> None:
        """Close the gaps that these leaves leave, from the first of them on."""
        for part in gone:
            if self._leaves.get(part) is not None:
                self._leaves[part] = slice(self._leaves[part].start, self._leaves[part].start)
        end = 0
        moves: list[tuple[slice, slice]] = []
        kept: dict[Part, slice] = {}
        for part, rows in self._leaves.items():
            length = rows.stop - rows.start
            if not length:
                continue
            to = slice(end, end + length)
            if moves and moves[-1][0].stop == rows.start and moves[-1][1].stop == end:
                moves[-1] = slice(moves[-1][0].start, rows.stop), slice(moves[-1][1].start, to.stop)
            else:
                moves.append((rows, to))
            kept[part], end = to, to.stop
        for rows, to in moves:
            if rows != to:
                for column in (*self._columns, self._pending):
                    column[to] = column[rows]
        self._leaves, self._leaf_count = kept, end

    def _reserve(self, count: int) -> None:
        if count <= len(self._pending):
            return
        room = max(count, int(_GROWTH * len(self._pending)))
        columns = _room(room, self._sh_degree)
        for old, new in zip(self._columns, columns, strict=True):
            new[: len(old)] = old
        pending = np.zeros(room, bool)
        pending[: len(self._pending)] = self._pending
        self._columns, self._pending = columns, pending


def assemble(parts: Mapping[Part, DrawnPart], sh_degree: int) -> DrawnScene:
    """All these parts in arrays of their own, in the order of their names.

    Without a part that has SH the result has none either.
    """
    if all(drawn.vectors is None for drawn in parts.values()):
        sh_degree = 0
    count = sum(len(drawn) for drawn in parts.values())
    columns = _room(count, sh_degree)
    is_proxy, sh_pending = np.zeros(count, bool), np.zeros(count, bool)
    start = 0
    for part in sorted(parts):
        rows = slice(start, start + len(parts[part]))
        parts[part].write(columns, start)
        is_proxy[rows], sh_pending[rows] = part.is_proxy, parts[part].sh_pending
        start = rows.stop
    return DrawnScene(Gaussians(*columns), is_proxy, sh_pending)


def _room(count: int, sh_degree: int) -> list[FloatArray]:
    """Arrays for so many Gaussians, in the order of the fields of Gaussians."""
    k = (sh_degree + 1) ** 2 - 1
    shapes = ((count, 3), (count, 4), (count, 3), (count,), (count, 3), (count, k, 3))
    return [np.empty(shape, np.float32) for shape in shapes]

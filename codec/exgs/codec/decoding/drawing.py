"""The drawn Gaussians by part, and all of them in one set of reused arrays.

A part is the leaves or the proxies of one cell. The arrays hold leaves in their order of arrival,
then proxies. So adding or refining a part takes time in proportion to its size and to the number of
proxies. Only the removal of leaves moves the leaves after them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from exgs.codec.decoding.own_pages import own_zeros
from exgs.scene.gaussians import FloatArray, Gaussians

_T = TypeVar("_T", bound=np.generic)

_FIRST_ROOM = 1 << 14  # Gaussians
_GROWTH = 1.125
_LEAST_SHARE = 0.75  # of the arrays, if less is needed, they shrink
_MOVED_ROWS = 1 << 14  # at once, since numpy copies what overlaps


class Part(NamedTuple):
    """Identifies a part: its cell, and whether it is the leaves or the proxies."""

    layer: int
    tile: int
    is_proxy: bool  # proxies, else leaves


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class DrawnScene:
    """The Gaussians to draw from the chunks received so far."""

    gaussians: Gaussians
    is_proxy: npt.NDArray[np.bool_]  # [N] whether each Gaussian is a proxy
    sh_pending: npt.NDArray[np.bool_]  # [N] whether it is a leaf with missing SH


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPart:
    """The decoded Gaussians of a part, and the changes to draw them."""

    decoded: Gaussians  # SH degree 0
    sh_pending: bool = False
    vectors: FloatArray | None = None  # [n, D] SH residuals as in payload.sh; None: none yet
    factors: FloatArray | None = None  # [n] factors on the scales; None: 1
    shown: npt.NDArray[np.integer] | None = None  # rows that are drawn; None: all

    def __len__(self) -> int:
        return len(self.decoded) if self.shown is None else len(self.shown)

    def gaussians(self, sh_degree: int) -> Gaussians:
        """The Gaussians to draw, as a copy."""
        columns = _room(len(self), sh_degree)
        self.write(columns, 0)
        return Gaussians(*columns)

    def write(self, columns: list[FloatArray], start: int) -> None:
        """Write the Gaussians to `columns`, the fields of Gaussians in order, from row `start`.

        `columns` have no SH, or the same degree as `vectors`.
        """
        rows = slice(start, start + len(self))
        means, quats, scales, opacities, sh0, shN = (column[rows] for column in columns)
        of, vectors = self.decoded, self.vectors
        if self.shown is not None:
            of = of.select(self.shown)
            vectors = None if vectors is None else vectors[self.shown]
        means[:], quats[:], scales[:], opacities[:] = of.means, of.quats, of.scales, of.opacities
        if self.factors is not None:
            scales *= self.factors[:, None]
        if vectors is None:
            sh0[:] = of.sh0
            shN[:] = 0
        else:
            np.add(of.sh0, vectors[:, :3], out=sh0)
            shN[:] = vectors[:, 3:].reshape(shN.shape)


class DrawBuffer:
    """All drawn Gaussians of a scene, in reused arrays."""

    def __init__(self, sh_degree: int) -> None:
        self._leaves = _Rows(sh_degree)
        self._proxies = _Rows(sh_degree)
        self._drawn: DrawnScene | None = None

    def update(self, changed: Mapping[Part, DrawnPart], dropped: Iterable[Part]) -> None:
        """Enter parts that are new or have changed; forget others."""
        self._drawn = None
        for rows, is_proxy in ((self._leaves, False), (self._proxies, True)):
            rows.update(
                {part: drawn for part, drawn in changed.items() if part.is_proxy is is_proxy},
                [part for part in dropped if part.is_proxy is is_proxy],
            )
        self._proxies.trim(self._proxies.count)
        self._leaves.trim(self._leaves.count + self._proxies.count)

    def drawn(self) -> DrawnScene:
        """All drawn Gaussians. The next `update` writes to the same arrays."""
        if self._drawn is None:
            leaves, proxies = self._leaves, self._proxies
            count = leaves.count + proxies.count
            leaves.reserve(count)
            behind = slice(leaves.count, count)
            for to, column in zip(leaves.columns[:-1], proxies.columns[:-1], strict=True):
                to[behind] = column[: proxies.count]
            shN = proxies.columns[-1][: proxies.count]
            leaves.columns[-1][behind] = shN if proxies.has_sh else 0
            columns = [column[:count] for column in leaves.columns]
            if not (leaves.has_sh or proxies.has_sh):
                columns[-1] = columns[-1][:, :0]
            leaves.sh_pending[behind] = False
            is_proxy = np.zeros(count, bool)
            is_proxy[behind] = True
            sh_pending = leaves.sh_pending[:count].view()
            sh_pending.flags.writeable = False
            self._drawn = DrawnScene(Gaussians(*columns), is_proxy, sh_pending)
        return self._drawn


class _Rows:
    """Parts in consecutive rows of growing arrays, in their order of arrival."""

    def __init__(self, sh_degree: int) -> None:
        self.columns = _room(_FIRST_ROOM, sh_degree)
        self.sh_pending = np.zeros(_FIRST_ROOM, bool)
        self.count = 0  # rows in use
        self.has_sh = False
        self._sh_degree = sh_degree
        self._places: dict[Part, slice] = {}

    def update(self, changed: Mapping[Part, DrawnPart], dropped: Iterable[Part]) -> None:
        """Enter parts that are new or have changed; forget others."""
        gone = {part for part in dropped if part in self._places}
        fresh: list[Part] = []
        for part, drawn in changed.items():
            place = self._places.get(part)
            if place is not None and place.stop - place.start == len(drawn):
                self._write(drawn, place)
                continue
            fresh.append(part)
            if place is not None:
                gone.add(part)
        if gone:
            self._remove(gone)
        self.reserve(self.count + sum(len(changed[part]) for part in fresh))
        for part in fresh:
            place = slice(self.count, self.count + len(changed[part]))
            self._write(changed[part], place)
            self._places[part], self.count = place, place.stop

    def reserve(self, count: int) -> None:
        """Make room for `count` rows."""
        if count > len(self.sh_pending):
            self._resize(max(count, int(_GROWTH * len(self.sh_pending))))

    def trim(self, count: int) -> None:
        """Give memory back if `count` rows need far less."""
        room = max(int(_GROWTH * count), _FIRST_ROOM)
        if room < _LEAST_SHARE * len(self.sh_pending):
            self._resize(room)

    def _resize(self, room: int) -> None:
        """Move the rows to arrays of another length, one column at a time."""
        for number, old in enumerate(self.columns):
            self.columns[number] = _resized(old, room, self.count)
        self.sh_pending = _resized(self.sh_pending, room, self.count)

    def _write(self, drawn: DrawnPart, place: slice) -> None:
        drawn.write(self.columns, place.start)
        self.sh_pending[place] = drawn.sh_pending
        self.has_sh |= drawn.vectors is not None

    def _remove(self, gone: Collection[Part]) -> None:
        """Remove these parts and close the gaps. Adjacent parts are moved together."""
        end = 0
        moves: list[tuple[slice, slice]] = []
        places: dict[Part, slice] = {}
        for part, place in self._places.items():
            if part in gone:
                continue
            to = slice(end, end + place.stop - place.start)
            if moves and moves[-1][0].stop == place.start:
                moves[-1] = (
                    slice(moves[-1][0].start, place.stop),
                    slice(moves[-1][1].start, to.stop),
                )
            else:
                moves.append((place, to))
            places[part], end = to, to.stop
        for place, to in moves:
            if place != to:
                for column in (*self.columns, self.sh_pending):
                    _move(column, place, to.start)
        self._places, self.count = places, end


def assemble(parts: Mapping[Part, DrawnPart], sh_degree: int) -> DrawnScene:
    """Copy all parts to new arrays, sorted by part.

    The result has no SH if no part has SH.
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


def _move(column: npt.NDArray[Any], place: slice, to: int) -> None:
    """Copy the rows of `place` to lower places that start with `to`."""
    for start in range(place.start, place.stop, _MOVED_ROWS):
        rows = column[start : min(start + _MOVED_ROWS, place.stop)]
        column[to : to + len(rows)] = rows
        to += len(rows)


def _resized(old: npt.NDArray[_T], room: int, count: int) -> npt.NDArray[_T]:
    """An array of `room` rows that starts with the first `count` rows of `old`."""
    new = own_zeros((room, *old.shape[1:]), old.dtype)
    new[:count] = old[:count]
    return new


def _room(count: int, sh_degree: int) -> list[FloatArray]:
    """Allocate arrays for `count` Gaussians, in the order of the fields of Gaussians."""
    k = (sh_degree + 1) ** 2 - 1
    shapes = ((count, 3), (count, 4), (count, 3), (count,), (count, 3), (count, k, 3))
    return [np.empty(shape, np.float32) for shape in shapes]

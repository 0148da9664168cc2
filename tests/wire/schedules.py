"""Orders of parts: `python -m tests.wire.schedules` writes spec/vectors/schedules.

The orders come from the reference scheduler, not from exgs.wire. `load` reads them back, `follow`
lets a scheduler go through the steps of one.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.codec.reference_index import BASIS, Index
from tests.wire.reference_scheduler import PAGE, ReferenceScheduler, View

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
Piece = tuple[int, int, int]  # part, offset, length

_ENOUGH = 100_000  # fragments


class Chooser(Protocol):
    """What `follow` asks of a scheduler."""

    def hold(
        self, chunks: Sequence[int], pages: Sequence[int], partial: dict[int, int]
    ) -> None: ...
    def look(self, view: View | None) -> None: ...
    def sketch(self, points: Sequence[Sequence[float]]) -> None: ...
    def cancel(self, chunks: Sequence[int]) -> None: ...
    def want(self, chunks: Sequence[int], *, again: bool = False) -> None: ...
    def take(self, most: int) -> Piece | None: ...


@dataclass(frozen=True)
class Schedule:
    """One entry of index.json."""

    name: str
    shows: str
    file: str  # in spec/vectors/valid
    knows: str  # all: a server; root: a client, which learns the pages as they go
    fragment: int
    have: dict[str, Any] | None
    steps: list[dict[str, Any]]

    @property
    def data(self) -> bytes:
        return (VECTORS / "valid" / self.file).read_bytes()


def load() -> list[Schedule]:
    """All of them."""
    entries = json.loads((VECTORS / "schedules" / "index.json").read_text())
    return [Schedule(**{"have": None, **entry}) for entry in entries]


def follow(schedule: Schedule, chooser: Chooser) -> list[list[Piece]]:
    """What goes in each step."""
    if schedule.have is not None:
        partial = dict(schedule.have["partial"])
        chooser.hold(schedule.have["chunks"], schedule.have["pages"], partial)
    orders = []
    for step in schedule.steps:
        if "view" in step:
            view = step["view"]
            chooser.look(view and View(view["viewmat"], view["K"], tuple(view["size"])))
        if "sketch" in step:
            chooser.sketch(step["sketch"])
        if "cancel" in step:
            chooser.cancel(step["cancel"])
        if "want" in step:
            chooser.want(step["want"])
        if "again" in step:
            chooser.want(step["again"], again=True)
        order: list[Piece] = []
        while len(order) < step.get("takes", _ENOUGH):
            piece = chooser.take(schedule.fragment)
            if piece is None:
                break
            order.append(piece)
        orders.append(order)
    return orders


def reference(schedule: Schedule) -> ReferenceScheduler:
    """The reference scheduler at the start of a schedule."""
    return ReferenceScheduler(schedule.data, knows_all=schedule.knows == "all")


def camera(
    eye: Sequence[float], at: Sequence[float], size: tuple[int, int], fov_y: float
) -> dict[str, Any]:
    """A view as index.json has it: from `eye` towards `at`, y down, the angle in degrees."""
    forward = _unit([b - a for a, b in zip(eye, at, strict=True)])
    right = _unit(_cross([0.0, 1.0, 0.0], forward))
    rows = [right, _cross(forward, right), forward]
    viewmat = []
    for row in rows:
        viewmat += [*row, -sum(a * b for a, b in zip(row, eye, strict=True))]
    focal = size[1] / 2 / math.tan(math.radians(fov_y) / 2)
    K = [focal, 0.0, size[0] / 2, 0.0, focal, size[1] / 2, 0.0, 0.0, 1.0]
    return {"viewmat": [*viewmat, 0.0, 0.0, 0.0, 1.0], "K": K, "size": list(size)}


def points(count: int, seed: int) -> list[list[float]]:
    """A sketch of the unit box: x, y, z, radius, opacity; half of it lies in one corner."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        reach = 0.4 if number % 2 else 1.0
        place = [round(reach * rng.random(), 3) for _ in range(3)]
        found.append([*place, round(0.01 + 0.12 * rng.random() ** 2, 3), round(rng.random(), 2)])
    return found


def _cross(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def _unit(v: Sequence[float]) -> list[float]:
    length = math.sqrt(sum(x * x for x in v))
    return [x / length for x in v]


def schedules() -> list[Schedule]:
    """All of them, without their orders."""
    before = camera((0.5, 0.4, -1.5), (0.5, 0.5, 0.5), (96, 64), 50)
    within = camera((0.3, 0.7, 0.2), (0.9, 0.5, 0.8), (64, 48), 75)
    corner = camera((1.2, -0.1, 1.3), (0.9, 0.3, 0.9), (40, 60), 30)
    tile = camera((-1.5, 0.8, 0.5), (0.25, 0.8, 0.5), (64, 48), 12)
    away = camera((0.5, 0.5, -0.4), (0.45, 0.4, -3.0), (96, 64), 60)
    whole = 1 << 25
    index = Index((VECTORS / "valid" / "regions.exgs").read_bytes())
    ((first_page,), quarters, late) = index.groups
    (basis,) = [row.number for row in index.read_page(first_page) if row.kind == BASIS]
    leaves = [page.first for page in quarters]
    last = late[-1].first

    def one(
        name: str,
        shows: str,
        file: str,
        knows: str,
        *steps: dict[str, Any],
        fragment: int = whole,
        have: dict[str, Any] | None = None,
    ) -> Schedule:
        return Schedule(name, shows, f"{file}.exgs", knows, fragment, have, list(steps) or [{}])

    held = {
        "chunks": [0, 1, leaves[0], leaves[0] + 1, leaves[0] + 2],
        "pages": [1, 2, 3, 4, 5],
        "partial": [[leaves[1], 20], [PAGE + 8, 100]],
    }
    return [
        one("file", "no view: file order", "regions", "all"),
        one("file-client", "the same where the pages come on the way", "regions", "root"),
        one("file-have", "no view, some parts are here", "regions", "all", have=held),
        one("poster", "no view, a file with a poster", "placed", "root"),
        one("before", "a view of all, from outside", "regions", "all", {"view": before}),
        one("before-client", "the same by a client", "regions", "root", {"view": before}),
        one("within", "the eye stands in some of the boxes", "regions", "all", {"view": within}),
        one("within-client", "the same by a client", "regions", "root", {"view": within}),
        one("corner-client", "a corner of the scene", "regions", "root", {"view": corner}),
        one(
            "covers-client",
            "a page goes without earlier pages whose regions it covers",
            "coarse",
            "root",
            {"view": tile},
        ),
        one("away", "nothing is in view", "regions", "all", {"view": away}),
        one("away-client", "the same by a client", "regions", "root", {"view": away}),
        one("have", "a view, some parts are here", "regions", "all", {"view": corner}, have=held),
        one("levels", "cells of very different size", "jumps", "all", {"view": within}),
        one("levels-client", "the same by a client", "jumps", "root", {"view": within}),
        *_sketched(one, before, within, corner, away),
        one(
            "turns",
            "views change while parts are on their way, the last is none",
            "regions",
            "all",
            {"view": before, "takes": 15},
            {"view": corner, "takes": 10},
            {"view": within, "takes": 13},
            {"view": None},
            fragment=64,
        ),
        one(
            "turns-client",
            "the same by a client",
            "regions",
            "root",
            {"view": before, "takes": 15},
            {"view": corner, "takes": 10},
            {"view": within, "takes": 13},
            {"view": None},
            fragment=64,
        ),
        one(
            "cancels",
            "chunks are cancelled, wanted and sent again",
            "regions",
            "all",
            {"view": within, "cancel": [leaves[0], leaves[2] + 2, last], "takes": 20},
            {"again": [0], "takes": 3},
            {"want": [leaves[2] + 2], "view": corner},
            {"want": [leaves[0], last], "view": None},
            fragment=100,
        ),
        one(
            "cancelled-basis",
            "no SH goes while the BASIS is cancelled",
            "regions",
            "root",
            {"view": within, "cancel": [basis]},
            {"want": [basis]},
        ),
    ]


def _sketched(
    one: Callable[..., Schedule],
    before: dict[str, Any],
    within: dict[str, Any],
    corner: dict[str, Any],
    away: dict[str, Any],
) -> list[Schedule]:
    """Where layer 0 is known, and drawn."""
    some, other = points(60, 1), points(9, 2)
    behind = [[0.5, 0.5, -9.0, 0.1, 1.0]]  # nothing of it is ahead
    huge = [[0.3, 0.3, z / 4, 0.6, 0.9] for z in range(5)]
    pile = [[0.6, 0.4, 0.1 + n / 100, 0.03, 0.05] for n in range(40)]  # more than a cell counts
    return [
        one("sketch", "a sketch", "regions", "all", {"sketch": some, "view": before}),
        one("sketch-within", "from within", "regions", "all", {"sketch": some, "view": within}),
        one(
            "sketch-client",
            "the same by a client, whose sketch comes later",
            "regions",
            "root",
            {"view": before, "takes": 4},
            {"sketch": some},
        ),
        one("sketch-levels", "levels above 6", "jumps", "all", {"sketch": some, "view": within}),
        one(
            "sketch-levels-client",
            "the same by a client",
            "jumps",
            "root",
            {"sketch": some, "view": before},
        ),
        one("sketch-away", "nothing is ahead", "jumps", "all", {"sketch": behind, "view": away}),
        one(
            "sketch-huge", "points near the eye", "regions", "all", {"sketch": huge, "view": within}
        ),
        one(
            "sketch-deep", "many points in a cell", "jumps", "all", {"sketch": pile, "view": before}
        ),
        one(
            "sketch-turns",
            "views and sketches change",
            "jumps",
            "root",
            {"view": before, "sketch": some, "takes": 12},
            {"view": corner, "takes": 12},
            {"view": within, "sketch": other, "takes": 12},
            {"view": before},
            fragment=90,
        ),
    ]


def main() -> None:
    """Write them."""
    folder = VECTORS / "schedules"
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for schedule in schedules():
        orders = follow(schedule, reference(schedule))
        steps = [
            {**step, "order": order} for step, order in zip(schedule.steps, orders, strict=True)
        ]
        have = {"have": schedule.have} if schedule.have else {}
        entry = {**vars(schedule), "steps": steps}
        entry.pop("have")
        entries.append({**entry, **have})
    text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    (folder / "index.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()

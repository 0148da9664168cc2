"""A second scheduler, written from spec/protocol.md, section 10, alone: slow and plain.

It reads files with the second decoder, and nothing of exgs is in it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.codec.reference_index import BASIS, EXTRA, FINE, LEAF, PROXY, SH, Index, Page, Row

PAGE = 1 << 31
Key = tuple[str, int, int]  # what the unit is, layer, tile
Rank = tuple[float, int]
Point = Sequence[float]  # x, y, z, radius, opacity
Box = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class View:
    """A camera as VIEW has it."""

    viewmat: Sequence[float]  # 16, row by row
    K: Sequence[float]  # 9
    size: tuple[int, int]


class ReferenceScheduler:
    """What one client still lacks, and what comes next.

    `knows_all` is a server; else a page is known once it has gone.
    """

    def __init__(self, data: bytes, *, knows_all: bool) -> None:
        self.index = Index(data)
        self.knows_all = knows_all
        self.pages = {page.number: page for group in self.index.groups for page in group}
        self.rows: dict[int, Row] = {}
        self.known: set[int] = set()
        self.gone: dict[int, int] = {}  # part -> bytes
        self.cancelled: set[int] = set()
        self.view: View | None = None
        self.points: list[Point] = []
        self.fills: dict[int, float] = {}  # of the view: by known screen tile its factor
        self.ranks: dict[Key, Rank] = {}
        self.learn(self.index.root_rows)
        if knows_all:
            for page in self.pages.values():
                self.learn_page(page)

    # --- What happens -------------------------------------------------------------------------

    def hold(
        self, chunks: Collection[int], pages: Collection[int], partial: Mapping[int, int]
    ) -> None:
        """The have-set of a client that resumes."""
        for page in pages:
            self.learn_page(self.pages[page])
            self.gone[PAGE + page] = self.pages[page].packed
        for chunk in chunks:
            self.gone[chunk] = self.rows[chunk].packed
        self.gone.update(partial)
        self.forget()

    def look(self, view: View | None) -> None:
        self.view = view
        self.forget()

    def sketch(self, points: Sequence[Point]) -> None:
        self.points = list(points)
        self.forget()

    def forget(self) -> None:
        """Ranks are taken again."""
        self.ranks.clear()
        self.fills.clear()

    def cancel(self, chunks: Iterable[int]) -> None:
        self.cancelled.update(chunks)
        self.ranks.clear()

    def want(self, chunks: Iterable[int], *, again: bool = False) -> None:
        for chunk in chunks:
            self.cancelled.discard(chunk)
            if again:
                self.gone[chunk] = 0
        self.ranks.clear()

    def take(self, most: int) -> tuple[int, int, int] | None:
        """Part, offset and length of the fragment that goes next; it has gone then."""
        part = self.choose()
        if part is None:
            return None
        offset = self.gone.get(part, 0)
        length = min(most, self.length(part) - offset)
        self.gone[part] = offset + length
        if part >= PAGE and self.whole(part) and part - PAGE not in self.known:
            self.learn_page(self.pages[part - PAGE])
            self.forget()
        return part, offset, length

    # --- What is there ------------------------------------------------------------------------

    def learn(self, rows: Iterable[Row]) -> None:
        self.rows.update((row.number, row) for row in rows)

    def learn_page(self, page: Page) -> None:
        self.known.add(page.number)
        self.learn(self.index.read_page(page))

    def length(self, part: int) -> int:
        return self.pages[part - PAGE].packed if part >= PAGE else self.rows[part].packed

    def whole(self, part: int) -> bool:
        return self.gone.get(part, 0) == self.length(part)

    def page_of(self, chunk: int) -> Page | None:
        for page in self.pages.values():
            if page.first <= chunk < page.first + page.chunks:
                return page
        return None

    def units(self) -> dict[Key, list[int]]:
        """The numbers of their known chunks, rising."""
        found: dict[Key, list[int]] = {}
        for number in sorted(self.rows):
            found.setdefault(key_of(self.rows[number]), []).append(number)
        return found

    def needed_by(self, key: Key) -> Key | None:
        what, layer, tile = key
        if what in ("sh", "fine"):
            return "cell", layer, tile
        if what == "cell" and layer:
            levels = [entry["level"] for entry in self.index.layers]
            return "cell", layer - 1, tile >> levels[layer] - levels[layer - 1]
        return None

    def is_open(self, key: Key, units: Mapping[Key, list[int]]) -> bool:
        needed = self.needed_by(key)
        while needed is not None:
            if needed not in units or not all(map(self.whole, units[needed])):
                return False
            needed = self.needed_by(needed)
        return True

    def basis(self) -> int | None:
        return next((n for n, row in self.rows.items() if row.kind == BASIS), None)

    # --- The choice ---------------------------------------------------------------------------

    def choose(self) -> int | None:
        part = self.in_file_order() if self.view is None else self.in_view(self.view)
        if part is None and not self.cancelled:
            parts = [PAGE + number for number in sorted(self.pages)]
            part = next((p for p in parts if not self.whole(p)), None)
        return part

    def in_file_order(self) -> int | None:
        tables: list[tuple[list[Page], list[Row]]] = [([], list(self.index.root_rows))]
        for group in self.index.groups:
            first, last = group[0].first, group[-1].first + group[-1].chunks
            tables.append((group, [row for n, row in self.rows.items() if first <= n < last]))
        for group, rows in tables:
            missing = [PAGE + page.number for page in group if not self.whole(PAGE + page.number)]
            if any(page.number not in self.known for page in group):
                return missing[0]
            for row in sorted(rows, key=lambda row: row.offset):
                if not self.whole(row.number) and row.number not in self.cancelled:
                    return missing[0] if missing else row.number
        return None

    def in_view(self, view: View) -> int | None:
        units = self.units()
        basis = self.basis()
        best: tuple[Rank, int] | None = None
        for key, chunks in units.items():
            missing = [chunk for chunk in chunks if not self.whole(chunk)]
            if not missing or not self.is_open(key, units):
                continue
            if key not in self.ranks:
                self.ranks[key] = self.rank(key, chunks, view)
            if any(chunk in self.cancelled for chunk in missing):
                continue
            chunk = next((chunk for chunk in missing if self.gone.get(chunk)), missing[0])
            if self.rows[chunk].kind == SH:
                if basis is None or (not self.whole(basis) and basis in self.cancelled):
                    continue
                if not self.whole(basis):
                    chunk = basis
            if best is None or self.ranks[key] < best[0]:
                best = self.ranks[key], chunk
        pages = [page for page in self.pages.values() if page.number not in self.known]
        if pages:
            rank, page = min((self.rank_of_page(p, view), p) for p in pages)
            if best is None or rank < best[0]:
                earlier = [p for p in self.pages.values() if p.number < page.number]
                wanted = [*(p for p in earlier if covers(p, page)), page]
                return next(p for p in map(part_of, wanted) if not self.whole(p))
        if best is None:
            return None
        own = self.page_of(best[1])
        if own is not None and not self.whole(part_of(own)):
            return part_of(own)
        return best[1]

    def rank(self, key: Key, chunks: list[int], view: View) -> Rank:
        gain = 0.0
        for chunk in chunks:
            gain += self.rows[chunk].gain
        left = sum(self.length(chunk) - self.gone.get(chunk, 0) for chunk in chunks)
        what, layer, tile = key
        level = self.index.layers[layer]["level"]
        box = self.box_of(layer, tile)
        coverage, around = 0.0, 1.0
        if what != "basis":
            share = self.share(level)
            coverage = self.corrected(coverage_of(*box, view), level, tile, view)
            around = solid_angle(*box, view) * share
        return score(gain, left, coverage, around), chunks[0]

    def box_of(self, layer: int, tile: int) -> tuple[Sequence[float], Sequence[float]]:
        for row in self.rows.values():
            if (row.layer, row.tile) == (layer, tile) and row.box is not None:
                return row.box
        return (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)

    def share(self, level: int) -> float:
        return 2.0 ** -math.floor(2 * (self.index.layers[-1]["level"] - level) / 3)

    def rank_of_page(self, page: Page, view: View) -> Rank:
        coverage = self.corrected(coverage_of(*page.box, view), page.level, page.tile, view) * 4.0
        around = solid_angle(*page.box, view) * self.share(page.level) * 4.0
        return score(page.gain, page.bytes, coverage, around), page.first

    # --- The sketch ---------------------------------------------------------------------------

    @property
    def screen_level(self) -> int:
        return max(entry["level"] for entry in self.index.layers if entry["level"] <= 6)

    def screen_boxes(self) -> dict[int, Box]:
        """Of the known screen tiles."""
        levels = [entry["level"] for entry in self.index.layers]
        layer = levels.index(self.screen_level)
        rows = [row for row in self.rows.values() if row.layer == layer and row.box is not None]
        return {row.tile: row.box for row in sorted(rows, key=lambda row: row.tile)}

    def corrected(self, coverage: float, level: int, tile: int, view: View) -> float:
        """The coverage of a cell, times its share, by what the sketch shows."""
        boxes = self.screen_boxes()
        plain = coverage * self.share(level)
        if not self.points or not boxes or coverage <= 0:
            return plain
        if not self.fills:
            sums = drawn(self.points, boxes, view)
            for number, box in boxes.items():
                covered = coverage_of(*box, view)
                filled = max(sums[number] / 576 / covered, 0.02) if covered > 0 else 0.02
                self.fills[number] = min(filled, 1.0)
        above = level - self.screen_level
        if above >= 0:
            return plain * self.fills.get(tile >> above, 1.0)
        values = {n: self.fills[n] * coverage_of(*box, view) for n, box in boxes.items()}
        total, count = self.in_pairs(values, level, tile)
        if not count:
            return plain
        return max(plain * 0.02, total / count * self.share(self.screen_level))

    def in_pairs(self, values: Mapping[int, float], level: int, tile: int) -> tuple[float, int]:
        if level == self.screen_level:
            return values.get(tile, 0.0), int(tile in values)
        one, other = (self.in_pairs(values, level + 1, 2 * tile + half) for half in (0, 1))
        return one[0] + other[0], one[1] + other[1]


def drawn(points: Sequence[Point], boxes: Mapping[int, Box], view: View) -> dict[int, float]:
    """What the points add to the sums of their screen tiles."""
    m = view.viewmat
    squares = []
    for x, y, z, radius, opacity in points:
        own, least = -1, math.inf
        for number, (low, high) in boxes.items():
            away = [max(a - p, p - b, 0) for a, p, b in zip(low, (x, y, z), high, strict=True)]
            distance = away[0] * away[0] + away[1] * away[1] + away[2] * away[2]
            if distance < least:
                own, least = number, distance
        seen = [m[4 * r] * x + m[4 * r + 1] * y + m[4 * r + 2] * z + m[4 * r + 3] for r in range(3)]
        depth = seen[2]
        if depth <= radius:
            continue
        spans = []
        for axis, cells in enumerate((32, 18)):
            focal = view.K[4 * axis] * cells / view.size[axis]
            middle = seen[axis] / depth * focal + view.K[3 * axis + 2] * cells / view.size[axis]
            half = radius / depth * focal
            if half < 0.5:
                opacity = opacity * (2 * half)
                first, last = math.floor(middle), math.floor(middle)
            else:
                half = min(half, 4.0)
                first, last = math.floor(middle - half + 0.5), math.floor(middle + half + 0.5) - 1
            spans.append(range(max(first, 0), min(last, cells - 1) + 1))
        squares.append((depth, own, opacity, spans))
    sums = dict.fromkeys(boxes, 0.0)
    cells: dict[tuple[int, int], tuple[float, int]] = {}
    for _, own, opacity, (columns, rows) in sorted(squares, key=lambda square: square[0]):
        for row in rows:
            for column in columns:
                light, deep = cells.get((row, column), (1.0, 0))
                if deep < 32:
                    sums[own] += light * opacity
                    cells[row, column] = light * (1 - opacity), deep + 1
    return sums


def key_of(row: Row) -> Key:
    what = {LEAF: "cell", PROXY: "cell", SH: "sh", FINE: "fine", BASIS: "basis"}
    if row.kind >= EXTRA:
        return "extra", row.layer, row.tile
    return "cell" if row.is_joined else what[row.kind], row.layer, row.tile


def part_of(page: Page) -> int:
    return PAGE + page.number


def covers(one: Page, other: Page) -> bool:
    return one.level <= other.level and other.tile >> other.level - one.level == one.tile


def score(gain: float, size: int, coverage: float, around: float) -> float:
    density = max(gain, 1e-12) / max(size, 1)
    return -(density * coverage) if coverage > 0 else 1 / max(density * around, 1e-300)


def widened(low: Sequence[float], high: Sequence[float]) -> tuple[list[float], list[float], float]:
    size = [b - a for a, b in zip(low, high, strict=True)]
    diagonal = math.sqrt(size[0] * size[0] + size[1] * size[1] + size[2] * size[2])
    padding = 0.05 * diagonal
    return [x - padding for x in low], [x + padding for x in high], diagonal


def eye_of(view: View) -> list[float]:
    m = view.viewmat
    return [-(m[i] * m[3] + m[4 + i] * m[7] + m[8 + i] * m[11]) for i in range(3)]


def coverage_of(low: Sequence[float], high: Sequence[float], view: View) -> float:
    low, high, diagonal = widened(low, high)
    if all(a <= x <= b for a, x, b in zip(low, eye_of(view), high, strict=True)):
        return 1.0
    m = view.viewmat
    near = max(0.01 * diagonal, 1e-9)
    corners = []
    for i in range(8):
        x, y, z = (high[axis] if i >> axis & 1 else low[axis] for axis in range(3))
        corners.append(
            [m[4 * r] * x + m[4 * r + 1] * y + m[4 * r + 2] * z + m[4 * r + 3] for r in range(3)]
        )
    points = [corner for corner in corners if corner[2] >= near]
    for i in range(8):
        for bit in (1, 2, 4):
            a, b = corners[i], corners[i | bit]
            if not i & bit and (a[2] < near) != (b[2] < near):
                along = (near - a[2]) / (b[2] - a[2])
                points.append([p + along * (q - p) for p, q in zip(a, b, strict=True)])
    if not points:
        return 0.0
    shares = []
    for axis, size in enumerate(view.size):
        focal, middle = view.K[4 * axis], view.K[3 * axis + 2]
        pixels = [point[axis] / point[2] * focal + middle for point in points]
        first, last = min(pixels) - 1, max(pixels) + 1
        shares.append(max(min(last, size) - max(first, 0), 0) / size)
    return shares[0] * shares[1]


def solid_angle(low: Sequence[float], high: Sequence[float], view: View) -> float:
    low, high, _ = widened(low, high)
    size = [b - a for a, b in zip(low, high, strict=True)]
    offset = [e - (a + b) / 2 for a, b, e in zip(low, high, eye_of(view), strict=True)]
    radius = (size[0] * size[0] + size[1] * size[1] + size[2] * size[2]) / 4
    distance = offset[0] * offset[0] + offset[1] * offset[1] + offset[2] * offset[2]
    return min(radius / max(4 * distance, 1e-18), 1.0)

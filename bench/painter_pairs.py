"""Blind pairs: do people prefer painted pictures? `python -m bench.painter_pairs`.

    python -m bench.painter_pairs make OUT FILE.exgs … [--budgets 20kB 40kB 80kB] [--views 2]
    python -m bench.painter_pairs score OUT ANSWERS.txt
    python -m bench.painter_pairs sheet SHEET.webp FILE.exgs … [--budgets …] [--views N]

`make` writes OUT/pair_001.png, …: the raw and the painted picture of the first bytes of a file in
random order, left and right, with the whole scene between them; and OUT/key.csv, which tells where
the painted one is. Look at the pairs without it. ANSWERS.txt holds a line for each pair: its
number and `left`, `right` or `equal`. `score` counts how often the painted picture was preferred.
`sheet` writes one picture of such pairs with captions: raw, painted, the whole scene.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from exgs.cli.arguments import byte_size
from exgs.codec.decoding.decode import decode, read_facts
from exgs.codec.errors import TruncatedError
from exgs.painter.choice import PAINTERS, painter_named
from exgs.painter.confidence import look_at_scene
from exgs.painter.interface import Painter
from exgs.present.contact import sheet_of
from exgs.scene.backends import default_rasterizer
from exgs.scene.pictures import Pixels, to_pixels
from exgs.scene.views.made_up import synthesise_views

_SEED = 4_000_037  # of the views; not used by encoders and recipes
_SIDES = "left", "right"
_ANSWERS = (*_SIDES, "equal")
_SIZE = (640, 360)
_GAP = 8  # pixels between pictures
_QUALITY = 80  # of WebP


def make_pairs(
    folder: Path,
    files: Sequence[Path],
    budgets: Sequence[int],
    views: int,
    painter: Painter,
    seed: int,
) -> int:
    """Write pairs and their key to `folder`; returns the number of pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    shown = list(_pairs(files, budgets, views, painter))
    order = rng.permutation(len(shown))
    with (folder / "key.csv").open("w", newline="") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["pair", "painted", "scene", "bytes", "view"])
        for place, index in enumerate(order, start=1):
            pair = shown[index]
            side = int(rng.integers(2))
            gap = np.full((pair.raw.shape[0], _GAP, 3), 255, np.uint8)
            left, right = (pair.painted, pair.raw)[:: 1 - 2 * side]
            picture = np.concatenate([left, gap, pair.whole, gap, right], axis=1)
            Image.fromarray(picture).save(folder / f"pair_{place:03d}.png")
            writer.writerow([place, _SIDES[side], pair.scene, pair.budget, pair.view])
    return len(shown)


def write_sheet(
    path: Path, files: Sequence[Path], budgets: Sequence[int], views: int, painter: Painter
) -> int:
    """Write one picture of pairs; returns the number of pairs."""
    frames, captions, count = [], [], 0
    for pair in _pairs(files, budgets, views, painter):
        frames += [Image.fromarray(image) for image in (pair.raw, pair.painted, pair.whole)]
        captions += [f"{pair.scene}, {pair.budget // 1000} kB", "sharpened", "whole"]
        count += 1
    sheet_of(frames, captions, 3).save(path, quality=_QUALITY, method=6)
    return count


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    scene: str
    budget: int
    view: int
    raw: Pixels
    painted: Pixels
    whole: Pixels


def _pairs(
    files: Sequence[Path], budgets: Sequence[int], views: int, painter: Painter
) -> Iterator[_Pair]:
    """The pictures that `painter` changes, of the first bytes of each file."""
    rasterizer = default_rasterizer()
    for path in files:
        facts, whole = read_facts(path), decode(path).gaussians
        cameras = synthesise_views(whole, views, width=_SIZE[0], height=_SIZE[1], seed=_SEED)
        for budget in budgets:
            try:
                drawn = decode(path, max_bytes=budget)
            except TruncatedError:
                continue
            for number, camera in enumerate(cameras):
                render, confidence = look_at_scene(
                    rasterizer, drawn, facts, camera, spread=painter.spreads
                )
                painted = painter.paint(render, confidence)
                target = rasterizer.render(whole, camera).rgb
                if not np.array_equal(painted, render.rgb):
                    images = (to_pixels(image) for image in (render.rgb, painted, target))
                    yield _Pair(path.stem, budget, number, *images)


def score(folder: Path, answers: Path) -> str:
    """Count the answers by the key. Raises ValueError for answers that make no sense."""
    with (folder / "key.csv").open(newline="") as text:
        key = {row["pair"]: row for row in csv.DictReader(text)}
    counts: dict[str, list[int]] = {}
    for line in filter(str.strip, answers.read_text().splitlines()):
        pair, _, answer = line.strip().partition(" ")
        if pair not in key or answer.strip() not in _ANSWERS:
            raise ValueError(f"{answers}: {line!r} is not a pair's number and left, right or equal")
        row = key[pair]
        result = 2 if answer.strip() == "equal" else int(answer.strip() != row["painted"])
        for group in ("all", row["scene"], f"{int(row['bytes']) // 1000} kB"):
            counts.setdefault(group, [0, 0, 0])[result] += 1
    lines = [f"{'':>12}  painted  raw  equal"]
    lines += [f"{group:>12}  {a:7}  {b:3}  {c:5}" for group, (a, b, c) in counts.items()]
    won, lost = counts.get("all", [0, 0, 0])[:2]
    lines.append(f"chance of as many or more by guessing: {_sign_test(won, won + lost):.4f}")
    return "\n".join(lines)


def _sign_test(won: int, count: int) -> float:
    return sum(math.comb(count, k) for k in range(won, count + 1)) / 2**count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("make", help="write pairs and their key")
    sheet = verbs.add_parser("sheet", help="write one picture of pairs")
    for verb in (make, sheet):
        verb.add_argument("out", type=Path)
        verb.add_argument("files", type=Path, nargs="+")
        verb.add_argument("--budgets", type=byte_size, nargs="+", default=[20_000, 40_000, 80_000])
        verb.add_argument("--views", type=int, default=2)
        verb.add_argument("--painter", choices=PAINTERS[1:], default="sharpen")
    make.add_argument("--seed", type=int, default=0, help="of the order")
    count = verbs.add_parser("score", help="count answers")
    count.add_argument("out", type=Path)
    count.add_argument("answers", type=Path)
    options = parser.parse_args()
    if options.verb == "score":
        print(score(options.out, options.answers))
        return
    painter = painter_named(options.painter)
    assert painter is not None
    what = options.files, options.budgets, options.views, painter
    if options.verb == "sheet":
        print(f"{write_sheet(options.out, *what)} pairs in {options.out}")
        return
    number = make_pairs(options.out, *what, options.seed)
    print(f"{number} pairs in {options.out}; the key is {options.out / 'key.csv'}")


if __name__ == "__main__":
    main()

"""A contact sheet: some pictures of a run side by side, with captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from exgs.present.quality import QualityRow
from exgs.scene.files import atomic_write

_COLUMNS = 3
_MARGIN = 8  # pixels
_CAPTION = 22  # pixels below each picture
_FONT_SIZE = 14
_PAPER, _INK = (24, 24, 27), (228, 228, 231)


def pick_rows(rows: Sequence[QualityRow], count: int = 6) -> list[QualityRow]:
    """The first and the last row, and rows between them at nearly equal ratios of their times."""
    if len(rows) <= count:
        return list(rows)
    times_s = np.array([row.time_s for row in rows])
    wanted_s = np.geomspace(max(times_s[0], 1e-3), times_s[-1], count)
    picked = [0]
    for number, time_s in enumerate(wanted_s[1:], start=1):
        nearest = int(np.abs(times_s - time_s).argmin())
        last = len(rows) - (count - number)  # leave enough rows for the remaining picks
        picked.append(min(max(nearest, picked[-1] + 1), last))
    return [rows[number] for number in picked]


def contact_sheet(
    path: Path, folder: Path, rows: Sequence[QualityRow], captions: Sequence[str]
) -> None:
    """Write a PNG with the pictures of `rows` from `folder`, with a caption below each."""
    frames = [Image.open(folder / row.frame).convert("RGB") for row in rows]
    with atomic_write(path) as file:
        sheet_of(frames, captions, _COLUMNS).save(file, "png")


def sheet_of(frames: Sequence[Image.Image], captions: Sequence[str], columns: int) -> Image.Image:
    """Arrange `frames` of one size in rows of `columns`, with a caption below each."""
    width, height = frames[0].size
    lines = -(-len(frames) // columns)
    columns = min(columns, len(frames))
    sheet = Image.new(
        "RGB",
        (
            columns * (width + _MARGIN) + _MARGIN,
            lines * (height + _CAPTION + _MARGIN) + _MARGIN,
        ),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, (frame, caption) in enumerate(zip(frames, captions, strict=True)):
        line, column = divmod(number, columns)
        x = _MARGIN + column * (width + _MARGIN)
        y = _MARGIN + line * (height + _CAPTION + _MARGIN)
        sheet.paste(frame, (x, y))
        draw.text((x, y + height + 3), caption, fill=_INK, font=font)
    return sheet

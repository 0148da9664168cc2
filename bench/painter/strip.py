"""A strip of the pictures of `exgs stream`, raw and painted, in the order in which they were ready.

exgs stream URL -o FOLDER --painter gauss --link 300kbit,100ms --max-bytes 128kB
python -m bench.painter.strip FOLDER STRIP.png
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from PIL import Image

from exgs.present.contact import sheet_of

_COLUMNS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("strip", type=Path)
    arguments = parser.parse_args()
    with (arguments.folder / "quality.csv").open() as file:
        rows = list(csv.DictReader(file))
    pictures = [Image.open(arguments.folder / row["frame"]).convert("RGB") for row in rows]
    captions = [
        f"{float(row['time_s']):.1f} s, {int(row['bytes']) / 1e3:.0f} kB, {row['psnr_db']} dB,"
        f" {row['kind']}{'' if row['shown'] == '1' else ', late: not shown'}"
        for row in rows
    ]
    sheet_of(pictures, captions, _COLUMNS).save(arguments.strip)


if __name__ == "__main__":
    main()

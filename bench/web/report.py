"""Table and plot of what time_to_quality.mjs has measured: python report.py OUT [PLOT.png].

A picture's PSNR is taken against the last picture of the same viewer. The first picture is the
first that shows splats: of this viewer's page, the first after its mark, since a poster stands
before it; of others, the first that is not of one colour. In brackets: the bytes that had come by
then, page and code included.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

_FORMATS = {
    "exgs": "`.exgs`, this viewer",
    "spark": "SPZ in Spark 2.2.0",
    "playcanvas": "streamed SOG in PlayCanvas 2.23.3",
}
_PLAIN = 0.004  # standard deviation of a picture that shows nothing
_GOALS_DB = (25.0, 30.0)
_CODE = (".js", ".wasm", ".css", ".html")


def main(out: Path, plot: Path | None) -> None:
    """Print the table; draw the plot."""
    print("| | code, packed | first picture | 25 dB | 30 dB | complete | all bytes |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name, title in _FORMATS.items():
        path = out / name / "log.json"
        if not path.exists():
            continue
        measured = json.loads(path.read_text())
        if not measured["log"]:
            print(f"{name}: time_to_quality.mjs took no picture", file=sys.stderr)
            continue
        times_s, psnr_db, sizes = curve(out / name, measured)
        cells = [
            f"{code_bytes(measured) / 1e3:.0f} kB",
            f"{times_s[0]:.1f} s ({sizes[0] / 1e3:.0f} kB)",
            *(when(times_s, psnr_db, sizes, goal) for goal in _GOALS_DB),
            f"{times_s[-1]:.1f} s",
            f"{measured['bytes'] / 1e6:.2f} MB",
        ]
        print(f"| {title} | {' | '.join(cells)} |")
        axes.step(
            times_s, np.minimum(psnr_db, 50), where="post", marker=".", label=title.replace("`", "")
        )
    axes.set(xlabel="seconds since navigation, 2 Mbit/s and 100 ms", ylabel="PSNR, dB")
    axes.set_title(f"{out.name}: each viewer against its own complete picture")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(plot or out / "time_to_quality.png", dpi=110)


def curve(folder: Path, measured: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds, dB and bytes of each picture from the first that shows splats."""
    shown_s = first_splats_s(measured)
    pictures = [load(folder / row["file"]) for row in measured["log"]]
    psnr_db = np.array([psnr(picture, pictures[-1]) for picture in pictures])
    times_s = np.array([row["ms"] / 1000 for row in measured["log"]])
    sizes = np.array([row["bytes"] for row in measured["log"]])
    plain = np.array([picture.std() < _PLAIN for picture in pictures])
    seen = (times_s >= shown_s) & ~plain
    return times_s[seen], psnr_db[seen], sizes[seen]


def first_splats_s(measured: dict[str, Any]) -> float:
    """When the first splats were drawn: what was seen before is a poster, or nothing."""
    marks = [row["ms"] for row in measured["resources"] if row["name"] == "mark:exgs:firstpicture"]
    return marks[0] / 1000 if marks else 0.0


def when(times_s: np.ndarray, psnr_db: np.ndarray, sizes: np.ndarray, goal_db: float) -> str:
    """Time and bytes from which on pictures are this good."""
    below = np.flatnonzero(psnr_db < goal_db)
    first = 0 if not len(below) else below[-1] + 1
    if first >= len(times_s):
        return "-"
    return f"{times_s[first]:.1f} s ({sizes[first] / 1e3:.0f} kB)"


def code_bytes(measured: dict[str, Any]) -> int:
    """Bytes of the page and of the code that it asked for."""
    rows = [row for row in measured["resources"] if "bytes" in row]
    return sum(row["bytes"] for row in rows if row["name"].split("?")[0].endswith(_CODE))


def load(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(np.float64) / 255


def psnr(picture: np.ndarray, wanted: np.ndarray) -> float:
    return float(-10 * np.log10(max(float(np.mean((picture - wanted) ** 2)), 1e-10)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

"""Costs of large scenes, as a Markdown table.

    python -m bench.scale [COUNT ...] [--folder DIR] [--save FIGURES] [--before FIGURES]

Sparse files of 5, 50 and 100 million Gaussians (or COUNT) are created in DIR and kept. Each file is
measured in separate processes. --save stores the figures, --before adds stored figures to the
table. Times are processor times; three of them are median, 95th percentile and maximum.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from pathlib import Path

from bench.scale import client, server
from bench.scale.figures import Figures, table
from bench.scale.sparse import sparse_file

COUNTS = (5_000_000, 50_000_000, 100_000_000)


def _figures(path: Path) -> Figures:
    figures: Figures = {}
    for measure in (server.measure, client.measure):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures |= pool.apply(measure, (path,))
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("counts", nargs="*", type=int, metavar="COUNT")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "exgs-scale")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--before", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Figures] = {}
    for count in arguments.counts or COUNTS:
        found[str(count)] = _figures(sparse_file(arguments.folder, count))
        if arguments.save is not None:
            arguments.save.write_text(json.dumps(found, indent=1))
    before = json.loads(arguments.before.read_text()) if arguments.before else {}
    columns, rows = [], {what: list[str]() for what in next(iter(found.values()))}
    for count, figures in found.items():
        for when, values in (("before", before.get(count)), ("now", figures)):
            if values is None:
                continue
            columns.append(f"{int(count):,}{f', {when}' if before else ''}")
            for what, row in rows.items():
                row.append(values.get(what, ""))
    print(table(columns, rows))


if __name__ == "__main__":
    main()

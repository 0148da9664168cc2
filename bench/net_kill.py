"""kill -9 of the server at random points of one download: is the scene whole, did bytes come twice?

    python -m bench.net_kill scene.exgs [--kills 100] [--static]

The server dies when so many bytes of the scene have come, and starts anew on the same port; the
client is the one of `exgs stream`. At the end the chunks are hashed again and laid in file order.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from shutil import copy

from bench.net_site import table
from exgs.codec.decode import open_scene
from exgs.codec.frame import content_hash
from tests.transport.killing import receive_under_kills


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--static", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    size_bytes = arguments.scene.stat().st_size
    points = sorted(chance.randrange(int(0.98 * size_bytes)) for _ in range(arguments.kills))
    start_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy(arguments.scene, Path(folder) / "scene.exgs")
        ledger = receive_under_kills(Path(folder), "scene", points, streaming=not arguments.static)
    duration_s = time.monotonic() - start_s
    source = open_scene(arguments.scene)
    equal = ledger.head is not None and ledger.head.scene_hash == source.head.scene_hash
    right = sum(
        content_hash(ledger.chunks.get(chunk.id, b"")) == chunk.hash
        for chunk in source.table.values()
    )
    of = f"{right} of {source.head.root.chunk_count}"
    print(
        table(
            [
                ("kills", str(len(points)), "100"),
                ("connections made anew", str(ledger.reconnections), ""),
                ("scene hash", "equal" if equal else "DIFFERENT", "equal"),
                ("chunks with the right hash", of, "all"),
                ("bytes that came twice", str(ledger.twice_bytes), "0"),
                ("time", f"{duration_s:.0f} s", ""),
            ]
        )
    )


if __name__ == "__main__":
    main()

"""Makes the scenes of the browser tests where they are missing.

    python make_scenes.py FOLDER [IN.ply OUT.exgs ...]

They are made anew when the format has changed so that they can't be read any more.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[6]))

from exgs.codec import EncodeOptions, encode
from exgs.codec.errors import ExgsError
from exgs.codec.format.container import open_table
from exgs.sample import sample_scene
from exgs.scene.cameras import read_cameras
from exgs.scene.formats import read_scene
from tests.client.scenes import write_box


def main(folder: Path, *real: Path) -> None:
    """Make sample.exgs and box.exgs, and files of the pairs of paths in `real`."""
    folder.mkdir(parents=True, exist_ok=True)
    if not is_readable(folder / "sample.exgs"):
        encode(sample_scene(), folder / "sample.exgs", EncodeOptions(quality="low", name="sample"))
    if not is_readable(folder / "box.exgs"):
        write_box(folder / "box.exgs", 9000)
    for source, file in zip(real[::2], real[1::2], strict=True):
        if is_readable(file):
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        beside = source.with_name(f"{source.stem}_cameras.json")
        cameras = read_cameras(beside) if beside.exists() else None
        options = EncodeOptions(quality="low", name=file.stem, cameras=cameras)
        encode(read_scene(source), file, options)


def is_readable(path: Path) -> bool:
    """Whether there is a file of today's format."""
    try:
        with path.open("rb") as file:

            def read(offset: int, length: int) -> bytes:
                file.seek(offset)
                return file.read(length)

            open_table(read)
    except (OSError, ExgsError):
        return False
    return True


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

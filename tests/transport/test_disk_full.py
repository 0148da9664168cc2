"""A disk that is full while a scene is encoded or cached: a small tmpfs. Needs root."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exgs.client.cache import Cache
from exgs.codec.format.frame import content_hash
from exgs.scene.formats.ply import write_ply
from exgs.server.app import start
from exgs.server.config import ServerConfig
from tests.client.scenes import box_scene, write_box

DISK_BYTES = 32 << 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 32 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("needs root to mount a small disk")
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("can't mount a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _exgs(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exgs.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_an_encode_that_fills_the_disk_leaves_the_old_file_and_no_other(
    disk: Path, tmp_path: Path
) -> None:
    write_ply(tmp_path / "box.ply", box_scene(3000))
    old = disk / "old.exgs"
    old.write_bytes(b"old")
    done = _exgs("encode", tmp_path / "box.ply", old, "-w", "--views", 4)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert [path.name for path in disk.iterdir()] == ["old.exgs"]
    assert old.read_bytes() == b"old"


def test_a_cache_that_fills_the_disk_keeps_what_fits_and_the_stream_goes_on(
    disk: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    write_box(folder / "box.exgs", 9000)
    assert (folder / "box.exgs").stat().st_size > 2 * DISK_BYTES

    async def main() -> tuple[str, subprocess.CompletedProcess[str]]:
        async with start(ServerConfig(root=folder, port=0)) as server:
            url = f"ws://{server.host}:{server.port}/scenes/box/stream"
            done = await asyncio.to_thread(
                *(_exgs, "stream", url, "-o", tmp_path / "out", "--cache", disk / "cache"),
                *("--size", "64x48", "--no-tty"),
            )
            return url, done

    url, done = asyncio.run(main())
    assert done.returncode == 0, done.stderr
    assert "No space left on device" in done.stdout + done.stderr
    notes: list[str] = []
    left = Cache(disk / "cache", url, notes.append)
    stored = left.load()
    left.close()
    assert stored is not None
    assert stored.chunks
    assert not notes
    for chunk, packed in stored.chunks:
        assert content_hash(packed) == chunk.hash
    assert {path.suffix for path in (disk / "cache").iterdir()} == {".cache", ".url"}

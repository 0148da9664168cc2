"""A file that can't be written leaves nothing behind, and the error names it."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exgs.scene.files import atomic_write


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing a file fails beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


def test_a_full_disk_leaves_nothing_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "scene.bin"
    with (
        largest_file(100_000),
        pytest.raises(OSError) as caught,
        atomic_write(path) as file,
    ):
        file.write(bytes(200_000))
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_takes_no_file_gives_an_error_with_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "a.bin", tmp_path / "file" / "a.bin"):
        with pytest.raises(OSError) as caught, atomic_write(path):
            pass
        assert caught.value.filename == str(path)


def test_an_error_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with pytest.raises(FileNotFoundError) as caught, atomic_write(tmp_path / "a.bin"):
        other.open("rb")
    assert caught.value.filename == str(other)


@pytest.mark.parametrize("name", ["a" * 255, "名" * 83 + ".exgs"], ids=["ASCII", "UTF-8"])
def test_the_longest_name_that_a_file_may_have_is_written(tmp_path: Path, name: str) -> None:
    if os.pathconf(tmp_path, "PC_NAME_MAX") < 255:
        pytest.skip("this file system has shorter names")
    with atomic_write(tmp_path / name) as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_atomic_write_shows_nothing_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    with pytest.raises(RuntimeError), atomic_write(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_an_atomic_write_keeps_permissions_and_follows_links(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OSError, match="not a regular file"), atomic_write(tmp_path):
        pass

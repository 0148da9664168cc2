"""Scenes in stores: read as from a folder, written whole or not at all."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.scene.files import atomic_write
from exgs.scene.formats import read_scene, write_scene
from exgs.scene.formats.sog_writing import write_sog
from exgs.scene.gaussians import Gaussians
from exgs.scene.sources.files import count_rows, open_source
from exgs.scene.sources.source import MemorySource, sample
from exgs.scene.stores import StoreError, StorePath, is_store, local_copy, place, versions
from tests.scene.format_files import random_scene

fsspec = pytest.importorskip("fsspec", reason="the extra s3 is not installed")


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StorePath]:
    """An empty prefix."""
    if request.param == "file":
        yield StorePath(f"file://{tmp_path}/store")
        return
    yield StorePath("memory://bucket/store")
    fsspec.filesystem("memory").store.clear()


def write(path: StorePath, data: bytes) -> StorePath:
    with atomic_write(path) as file:
        file.write(data)
    return path


def test_urls_of_stores_are_told_from_paths() -> None:
    assert [is_store(text) for text in ("s3://b/x", "GS://b", "http://h/x", "C:/x", "x")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert isinstance(place("a/b.ply"), Path)
    path = place("s3://bucket/folder/b.tar.ply")
    assert isinstance(path, StorePath)
    assert (path.name, path.stem, path.suffix) == ("b.tar.ply", "b.tar", ".ply")
    assert str(path.parent / "c") == str(path.with_name("c")) == "s3://bucket/folder/c"
    assert place(path) is path
    assert pickle.loads(pickle.dumps(path)) == path


def test_files_and_folders_of_a_store_are_found(store: StorePath) -> None:
    assert not store.exists()
    write(store / "a.txt", b"12345")
    write(store / "sub" / "b.txt", b"1")
    assert store.is_dir()
    assert (store / "a.txt").is_file()
    assert not (store / "c.txt").exists()
    assert sorted(path.name for path in store.iterdir()) == ["a.txt", "sub"]
    assert store.files() == [store / "a.txt", store / "sub" / "b.txt"]
    assert [size for _, size, _ in versions(store)] == [5, 1]
    store.remove(["a.txt"])
    assert store.files() == [store / "sub" / "b.txt"]


def test_a_version_changes_with_the_file(store: StorePath) -> None:
    before = versions(write(store / "a", b"1"))
    assert versions(store / "a") == before
    assert versions(write(store / "a", b"2")) != before


def test_bytes_are_read_by_range(store: StorePath) -> None:
    data = np.random.default_rng(0).bytes(300_000)
    with write(store / "a.bin", data).open("rb", buffering=1000) as file:
        file.seek(17)
        assert file.read(10) == data[17:27]
        file.seek(-5, 2)
        assert file.read(10) == data[-5:]
        assert file.read() == b""
        file.seek(0)
        assert file.read() == data


def test_what_is_written_appears_whole_or_not_at_all(
    store: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(store / "a", b"old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"

    def fails(self: Any, local: str, remote: str, **_: Any) -> None:
        raise ConnectionError("the line is dead")

    for kind in ("memory", "file"):
        monkeypatch.setattr(type(fsspec.filesystem(kind)), "put_file", fails)
    with pytest.raises(StoreError, match=r"a: can't be written: the line is dead"):
        write(path, b"new")
    assert path.read_bytes() == b"old"
    assert store.files() == [path]


def test_a_missing_file_is_named(store: StorePath) -> None:
    missing = store / "none.ply"
    for read in (missing.read_bytes, missing.open, missing.stat, lambda: read_scene(missing)):
        with pytest.raises(FileNotFoundError) as error:
            read()
        assert error.value.filename == str(missing)


def test_a_store_without_its_package_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="Protocol not known: nowhere"):
        StorePath("nowhere://bucket/x").stat()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(StoreError, match=r"^s3://b/x: .*pip install 'exgs\[s3\]'"):
        StorePath("s3://b/x").read_bytes()


@pytest.mark.parametrize("name", ["s.ply", "s.spz", "s.sog", "s.splat", "s.glb"])
def test_scenes_of_all_formats_are_read_as_from_a_folder(
    store: StorePath, tmp_path: Path, name: str
) -> None:
    write_scene(tmp_path / name, random_scene(0, 60, 2))
    path = write(store / name, (tmp_path / name).read_bytes())
    assert_equal(read_scene(path).gaussians, read_scene(tmp_path / name).gaussians)
    source, local = open_source(path), open_source(tmp_path / name)
    assert type(source) is type(local)
    assert isinstance(source, MemorySource) == (name not in ("s.ply", "s.spz"))
    assert count_rows(path) == count_rows(tmp_path / name)
    assert source.name == str(path)
    for start in range(0, 60, 23):
        assert_equal(source.rows(start, start + 23), local.rows(start, start + 23))


def test_a_damaged_scene_is_named_by_its_url(store: StorePath) -> None:
    for name in ("s.ply", "s.sog", "s.splat"):
        path = write(store / name, b"<!DOCTYPE html> ")
        with pytest.raises(Exception, match=str(path)) as error:
            read_scene(path)
        assert "exgs-" not in str(error.value)


def test_a_large_ply_is_read_by_a_request_for_each_range(
    store: StorePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene(tmp_path / "s.ply", random_scene(0, 4000, 2))
    source = open_source(write(store / "s.ply", (tmp_path / "s.ply").read_bytes()))
    asked: list[int] = []
    read_bytes = StorePath.read_bytes

    def counted(self: StorePath, start: int, end: int) -> bytes:
        asked.append(end - start)
        return read_bytes(self, start, end)

    monkeypatch.setattr(StorePath, "read_bytes", counted)
    source.rows(2000, 3000)
    row_bytes = 4 * (3 + 3 + 3 + 24 + 1 + 3 + 4)
    assert asked == [1000 * row_bytes]
    chosen, count = sample(source, 400, 20)
    wanted, _ = sample(open_source(tmp_path / "s.ply"), 400, 20)
    assert_equal(chosen, wanted)
    assert (count, len(asked)) == (4000, 21)


def test_a_streamed_sog_is_fetched_folder_by_folder(store: StorePath, tmp_path: Path) -> None:
    folder = tmp_path / "lod"
    folder.mkdir()
    for number in range(3):
        write_sog(folder / f"{number}.sog", random_scene(number, 40 + number, 1))
    with zipfile.ZipFile(folder / "0.sog") as archive:
        archive.extractall(folder / "0")
    leaves = ",".join(
        '{"bound": {"min": [0,0,0], "max": [1,1,1]},'
        f'"lods": {{"0": {{"file": {n}, "offset": 3, "count": 30}}}}}}'
        for n in range(3)
    )
    (folder / "lod-meta.json").write_text(
        '{"lodLevels": 1, "filenames": ["0/meta.json", "1.sog", "2.sog"],'
        f'"tree": {{"children": [{leaves}]}}}}'
    )
    for file in folder.rglob("*.*"):
        write(store / "lod" / str(file.relative_to(folder)), file.read_bytes())
    local = open_source(folder)
    for path in (store / "lod", store / "lod" / "lod-meta.json"):
        source = open_source(path)
        assert source.count == count_rows(path) == 90
        assert_equal(source.rows(20, 80), local.rows(20, 80))
        assert_equal(read_scene(path).gaussians, read_scene(folder).gaussians)


def test_no_file_of_a_folder_leaves_its_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    files = fsspec.filesystem("memory")
    entry = {"name": "/b/../x", "type": "file", "size": 1}
    monkeypatch.setattr(type(files), "find", lambda *_, **__: {"/b/../x": entry})
    monkeypatch.setattr(StorePath, "is_dir", lambda self: True)
    with (
        pytest.raises(StoreError, match="lies outside"),
        local_copy(StorePath("memory://b"), with_folder=True),
    ):
        pass


def assert_equal(got: Gaussians, wanted: Gaussians) -> None:
    for field in fields(Gaussians):
        assert np.array_equal(getattr(got, field.name), getattr(wanted, field.name)), field.name


def test_cameras_come_with_the_frame_beside_them(store: StorePath) -> None:
    for name in ("transforms.json", "dataparser_transforms.json", "cameras.json"):
        write(store / name, name.encode())
    for name, count in (("transforms.json", 2), ("cameras.json", 1)):
        with local_copy(store / name, with_folder=True) as copy:
            assert copy.read_bytes() == name.encode()
            assert len(list(copy.parent.iterdir())) == count

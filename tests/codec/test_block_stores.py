"""Encoding with output and work folder in a store: the same file as from a local folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exgs.codec.blocks import workers
from exgs.codec.blocks.encode import BlockOptions, encode_by_blocks
from exgs.codec.blocks.job import remove_tree
from exgs.codec.encoding.encode import encode
from exgs.codec.encoding.stages import Progress
from exgs.scene.files import atomic_write
from exgs.scene.stores import StoreError, StorePath, place
from tests.codec.blocks import OPTIONS, killing_one_worker, source
from tests.codec.encoding import ball

fsspec = pytest.importorskip("fsspec", reason="the extra s3 is not installed")


def encode_blocks(out: Path | str, progress: Progress | None = None, **settings: Any) -> bytes:
    """Encode a scene of two blocks; returns the file."""
    options = BlockOptions(**{"block_count": 900, **settings})
    encode_by_blocks(source(ball(1600)), out, OPTIONS, options, progress, identity="ball")
    return place(out).read_bytes()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encode_blocks(tmp_path_factory.mktemp("local") / "out.exgs")


@pytest.fixture
def memory() -> Iterator[str]:
    yield "memory://bucket"
    fsspec.filesystem("memory").store.clear()


def test_a_store_as_work_folder_gives_the_same_file_and_is_emptied(
    wanted: bytes, memory: str
) -> None:
    assert encode_blocks(f"{memory}/out.exgs", work=f"{memory}/work") == wanted
    assert StorePath(memory).files() == [StorePath(f"{memory}/out.exgs")]


def test_workers_in_other_processes_use_the_store_and_may_die(
    wanted: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, kill_one = killing_one_worker(monkeypatch)
    work = StorePath(f"file://{tmp_path}/work")
    assert encode_blocks(tmp_path / "two.exgs", kill_one, workers=2, work=work) == wanted
    assert len(started) == 3
    assert not work.exists()


def test_a_failed_upload_leaves_the_old_file_and_the_work(
    wanted: bytes, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, work = StorePath(f"{memory}/out.exgs"), StorePath(f"{memory}/work")
    with atomic_write(out) as file:
        file.write(b"old")
    kind = type(fsspec.filesystem("memory"))
    put_file, run_step = kind.put_file, workers.run_step

    def fails(self: Any, local: str, remote: str, **options: Any) -> None:
        if remote.endswith(".exgs"):
            raise ConnectionError("the line is dead")
        put_file(self, local, remote, **options)

    monkeypatch.setattr(kind, "put_file", fails)
    with pytest.raises(StoreError, match=r"out\.exgs: can't be written: the line is dead"):
        encode_blocks(str(out), work=work)
    assert out.read_bytes() == b"old"
    assert (work / "key.pkl").exists()

    steps: list[str] = []

    def counted(step: str, job: Any, number: int) -> None:
        steps.append(step)
        run_step(step, job, number)

    monkeypatch.setattr(kind, "put_file", put_file)
    monkeypatch.setattr(workers, "run_step", counted)
    assert encode_blocks(str(out), work=work, resume=True) == wanted
    assert steps == ["measure", "measure"]
    assert not work.exists()


def test_a_scene_in_one_piece_is_written_to_a_store(memory: str, tmp_path: Path) -> None:
    options = replace(OPTIONS, proxies=False)
    for out in (tmp_path / "out.exgs", f"{memory}/out.exgs"):
        encode(ball(300), out, options)
    found = StorePath(f"{memory}/out.exgs").read_bytes()
    assert found == (tmp_path / "out.exgs").read_bytes()


def test_files_of_someone_else_stay_in_the_store(memory: str) -> None:
    work = StorePath(f"{memory}/work")
    for name in ("letter.txt", "chunks/00001.txt"):
        with atomic_write(work / name) as file:
            file.write(b"keep me")
    kept = work.files()
    with pytest.raises(FileExistsError):
        encode_blocks(f"{memory}/out.exgs", work=work)
    assert work.files() == kept
    for name in ("key.pkl", "spill.pkl", "chunks/00001.bin", "blocks/12345.f32"):
        with atomic_write(work / name) as file:
            file.write(b"")
    remove_tree(work)
    assert work.files() == kept


def test_a_cluster_reads_and_writes_s3(wanted: bytes, s3: str, tmp_path: Path) -> None:
    """As docs/big-scenes.md shows it, with the scheduler, both workers and the store here."""
    distributed = pytest.importorskip("distributed", reason="the extra lab is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        out = "s3://bucket/scenes/cluster.exgs"
        assert encode_blocks(out, dask=cluster.scheduler_address) == wanted
    assert StorePath("s3://bucket").files() == [StorePath(out)]

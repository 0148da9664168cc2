"""Encoding by blocks: complete, the same whatever the workers, resumable."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.codec.blocks import encode as blocks_encode
from exgs.codec.blocks import plan, spill, workers
from exgs.codec.blocks.composite import composed, draw_block
from exgs.codec.blocks.context import ContextRasterizer
from exgs.codec.blocks.encode import BlockOptions, encode_by_blocks
from exgs.codec.blocks.errors import WorkerError
from exgs.codec.blocks.job import Job, Overviews, rows_of
from exgs.codec.blocks.spill import spill_scene
from exgs.codec.blocks.views import window
from exgs.codec.constants import MAX_CHUNKS, MAX_SCENE_COUNT
from exgs.codec.decoding.decode import decode, open_scene, verify
from exgs.codec.decoding.source import ExgsSource
from exgs.codec.encoding.encode import EncodeReport
from exgs.codec.encoding.first_picture import FIRST_PICTURE_BYTES
from exgs.codec.encoding.layer_plan import most_chunks
from exgs.codec.errors import SceneError
from exgs.codec.payload.sh import with_vectors
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.gaussians import Gaussians
from exgs.wire.plan import PartPlan
from tests.codec.blocks import COUNT, OPTIONS, killing_one_worker, source
from tests.codec.encoding import ball, ring


def encode(
    out: Path, progress: Callable[[str, float], None] | None = None, **settings: Any
) -> EncodeReport:
    options = BlockOptions(**{"block_count": 900, "work": out.with_suffix(".work"), **settings})
    return encode_by_blocks(source(), out, OPTIONS, options, progress, identity="ball")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EncodeReport]:
    """A scene that was encoded in one process, block after block."""
    out = tmp_path_factory.mktemp("blocks") / "whole.exgs"
    return out, encode(out)


def test_a_scene_without_sh_is_encoded_by_blocks(tmp_path: Path) -> None:
    scene = source(ball(COUNT, sh_degree=0))
    options = BlockOptions(block_count=900, work=tmp_path / "work")
    encode_by_blocks(scene, tmp_path / "bare.exgs", OPTIONS, options)
    verify(tmp_path / "bare.exgs")
    decoded = decode(tmp_path / "bare.exgs").gaussians
    assert (len(decoded), decoded.sh_degree) == (COUNT, 0)


def test_a_file_of_blocks_is_sound_and_holds_every_gaussian(
    encoded: tuple[Path, EncodeReport],
) -> None:
    path, report = encoded
    verify(path)
    assert report.gaussians == COUNT
    assert len(decode(path).gaussians) == COUNT
    assert not path.with_suffix(".work").exists()


def test_decoded_gaussians_are_those_of_the_scene(encoded: tuple[Path, EncodeReport]) -> None:
    scene, drawn = ball(COUNT), decode(encoded[0]).gaussians
    # Each decoded Gaussian has one of the scene near it, and no two have the same.
    offsets = drawn.means[:, None, :] - scene.means[None, :, :]
    distance = np.linalg.norm(offsets, axis=2)
    nearest = distance.argmin(axis=1)
    size = scene.scales.max(axis=1)[nearest]
    assert np.median(distance.min(axis=1) / size) < 0.1
    assert len(np.unique(nearest)) > 0.98 * COUNT


def test_every_prefix_is_a_scene_and_better_than_the_one_before(
    encoded: tuple[Path, EncodeReport],
) -> None:
    path, report = encoded
    assert len(report.quality) >= 4
    assert report.quality[-1].psnr_db > report.quality[0].psnr_db + 8
    start = open_scene(path).head.header.root_end
    rasterizer, cameras = CpuRasterizer(), ring().cameras[::2]
    wanted = [np.clip(rasterizer.render(ball(COUNT), camera).rgb, 0, 1) for camera in cameras]
    psnr = []
    for point in report.quality:
        drawn = decode(path, max_bytes=start + point.body_bytes).gaussians
        pictures = [np.clip(rasterizer.render(drawn, camera).rgb, 0, 1) for camera in cameras]
        psnr.append(-10 * np.log10(np.mean((np.stack(pictures) - np.stack(wanted)) ** 2)))
    assert all(after > before - 0.3 for before, after in itertools.pairwise(psnr))
    assert psnr[-1] > psnr[0] + 12


def test_no_cell_holds_back_better_ones(encoded: tuple[Path, EncodeReport]) -> None:
    """A scheduler compares what can be sent now by gain per byte."""
    file = open_scene(encoded[0])
    units = PartPlan(file.head, file.table).units
    pairs = [(units[unit.needs], unit) for unit in units if unit.needs is not None]
    assert len(pairs) > 10
    for before, after in pairs:
        density = after.gain / after.packed_bytes
        assert before.gain / before.packed_bytes >= density - 1e-6 * abs(density)


def test_layers_hold_coarse_proxies_of_the_whole_scene_first(
    encoded: tuple[Path, EncodeReport],
) -> None:
    layers = encoded[1].layers
    first = min(open_scene(encoded[0]).table.values(), key=lambda chunk: chunk.offset)
    assert first.count == layers[0].proxy_count
    assert first.end <= FIRST_PICTURE_BYTES
    assert layers[0].tile_level == 0
    assert layers[0].proxy_count
    assert all(layer.tile_level >= 2 for layer in layers if layer.leaf_count)


def test_workers_do_not_change_the_file(encoded: tuple[Path, EncodeReport], tmp_path: Path) -> None:
    encode(tmp_path / "two.exgs", workers=2)
    assert (tmp_path / "two.exgs").read_bytes() == encoded[0].read_bytes()


def test_a_killed_worker_costs_its_block_only(
    encoded: tuple[Path, EncodeReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, kill_one = killing_one_worker(monkeypatch)
    encode(tmp_path / "killed.exgs", kill_one, workers=2)
    assert len(started) == 3
    assert (tmp_path / "killed.exgs").read_bytes() == encoded[0].read_bytes()


def test_a_block_that_ends_every_worker_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(workers.STEPS, "outline", "tests.codec.test_blocks:end_the_process")
    pool = workers.Processes(1)
    monkeypatch.setattr(workers, "_work", end_the_process)
    try:
        with pytest.raises(WorkerError, match="block 0 has ended 3 processes"):
            pool.run("outline", None, [0], lambda share: None)
    finally:
        pool.close()


def end_the_process(*_: object) -> None:
    os._exit(9)


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def test_an_interrupted_encode_goes_on(
    encoded: tuple[Path, EncodeReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "resumed.exgs"

    def interrupt(stage: str, share: float) -> None:
        if stage == "encoding blocks" and share >= 0.5:
            raise Interrupted

    with pytest.raises(Interrupted):
        encode(out, interrupt)
    assert not out.exists()
    steps: list[tuple[str, int]] = []
    run_step = workers.run_step

    def counted(step: str, job: Any, number: int) -> None:
        steps.append((step, number))
        run_step(step, job, number)

    monkeypatch.setattr(workers, "run_step", counted)
    encode(out, resume=True)
    assert [step for step, _ in steps if step != "measure"] == ["encode", "encode"]
    assert out.read_bytes() == encoded[0].read_bytes()


def test_resume_takes_nothing_over_from_other_options(tmp_path: Path) -> None:
    blocks = BlockOptions(work=tmp_path / "work", resume=True)
    found = []
    for name in ("a", "a", "b"):
        key = blocks_encode._key(source(), replace(OPTIONS, name=name), blocks, "x")
        with (
            pytest.raises(Interrupted),
            blocks_encode._work_folder(tmp_path / "out.exgs", blocks, key) as folder,
        ):
            found.append((folder / "spill.pkl").exists())
            (folder / "spill.pkl").write_bytes(b"")
            raise Interrupted
    assert found == [False, True, False]


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.exgs"
    mine = out.with_suffix(".work")
    mine.mkdir()
    (mine / "letter.txt").write_text("keep me")
    with pytest.raises(FileExistsError):
        encode(out)
    assert (mine / "letter.txt").read_text() == "keep me"


def test_blocks_hold_each_row_once(tmp_path: Path) -> None:
    scene = ball(5000, sh_degree=2)
    spilled = spill_scene(source(scene), 700, tmp_path)
    parts = [spilled.block(number) for number in range(8)]
    assert sum(map(len, parts)) == 5000
    assert max(map(len, parts)) < 1.2 * min(map(len, parts))
    whole = Gaussians.concatenate(parts)
    order = np.lexsort(whole.means.T)
    expected = scene.select(np.lexsort(scene.means.T))
    for field in fields(Gaussians):
        assert np.array_equal(getattr(whole, field.name)[order], getattr(expected, field.name))


def test_a_sample_covers_the_area_of_the_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "_SAMPLE", 1 << 12)
    scene = ball(20_000)
    sampled = spill_scene(source(scene), 4000, tmp_path).sample()
    assert len(sampled) < 5000
    areas = [np.square(part.scales.astype(float)).sum() for part in (scene, sampled)]
    assert areas[1] == pytest.approx(areas[0], rel=0.1)


def test_a_block_is_drawn_with_all_that_its_view_shows_of_the_context() -> None:
    scene, camera, inner = ball(600), ring().cameras[0], CpuRasterizer()
    own = scene.means[:, 0] < 0
    low, high = scene.means[own].min(axis=0), scene.means[own].max(axis=0)
    block, around = scene.select(own), scene.select(~own)
    rasterizer = ContextRasterizer(inner, around, low, high)
    whole = Gaussians.concatenate([around, block])
    for _ in range(2):
        assert np.array_equal(rasterizer.render(block, camera).rgb, inner.render(whole, camera).rgb)
    image = np.ones((camera.height, camera.width, 3), np.float32)
    expected = inner.backproject(whole, camera, image).sums[len(around) :]
    assert np.allclose(rasterizer.backproject(block, camera, image).sums, expected)
    colors = np.ones((len(block), 3), np.float32)
    seen = rasterizer.render(block, camera, colors=colors).rgb
    assert seen.sum() == pytest.approx(expected.sum(), rel=1e-3)  # A 1 = sum of A^T 1


def test_a_window_is_a_part_of_the_picture() -> None:
    scene, camera = ball(600), ring().cameras[0]
    part = scene.select(scene.means[:, 0] < np.quantile(scene.means[:, 0], 0.1))
    small = window(camera, part)
    assert small.width * small.height < 0.6 * camera.width * camera.height
    x, y = np.round(camera.K[:2, 2] - small.K[:2, 2]).astype(int)
    picture = CpuRasterizer().render(part, camera).rgb
    cut = picture[y : y + small.height, x : x + small.width]
    assert np.allclose(CpuRasterizer().render(part, small).rgb, cut, atol=1e-4)
    assert cut.sum() > 0.97 * picture.sum()


@pytest.mark.parametrize("degree", [0, 2])
def test_cells_and_parts_may_be_empty(degree: int) -> None:
    nothing = Gaussians.empty(degree)
    assert rows_of(nothing).shape == (0, 14 + 3 * nothing.shN.shape[1])
    vectors = np.zeros((0, 3 * (degree + 1) ** 2), np.float32)
    assert with_vectors(Gaussians.empty(), vectors).sh_degree == degree


def test_pictures_of_blocks_make_the_picture_of_the_scene(tmp_path: Path) -> None:
    scene = ball(COUNT)
    spilled = spill_scene(source(scene), 900, tmp_path)
    cameras = ring().cameras[::3]
    job = Job(tmp_path, spilled, (), 1, 0, OPTIONS, overviews=Overviews((), (), cameras))
    for number in range(job.blocks):
        draw_block(job, number, spilled.block(number))
    rasterizer = CpuRasterizer()
    for camera, picture in zip(cameras, composed(job), strict=True):
        wanted = np.clip(rasterizer.render(scene, camera).rgb, 0, 1)
        assert -10 * np.log10(np.mean((picture - wanted) ** 2)) > 30


def test_many_gaussians_in_one_place_are_encoded(tmp_path: Path) -> None:
    scene = ball(COUNT)
    means = scene.means.copy()
    means[:1200] = means[0]
    crowded = replace(scene, means=means)
    out = tmp_path / "crowded.exgs"
    encode_by_blocks(source(crowded), out, OPTIONS, BlockOptions(block_count=1700))
    verify(out)
    assert len(decode(out).gaussians) == COUNT


def test_an_exgs_file_is_a_source(encoded: tuple[Path, EncodeReport]) -> None:
    found = ExgsSource(encoded[0])
    assert found.count == COUNT
    parts = [found.rows(start, start + 700) for start in range(0, COUNT, 700)]
    drawn = decode(encoded[0]).gaussians
    whole = Gaussians.concatenate(parts)
    for field in fields(Gaussians):
        assert np.array_equal(getattr(whole, field.name), getattr(drawn, field.name))


@pytest.mark.parametrize("count", [6_000_000, 30_000_000, 100_000_000])
def test_every_large_scene_has_a_plan(count: int) -> None:
    level = plan.block_level(count, 500_000)
    layers, first = plan.plan_for_blocks(count, level)
    assert count / (1 << level) <= 550_000
    assert 0 < first < len(layers)
    assert all(layer.tile_level < level for layer in layers[:first])
    assert not any(layer.leaves for layer in layers[:first])
    assert layers[0].proxies <= 2600
    assert plan.summary_count(layers, first) <= 600_000


@pytest.mark.parametrize("count", [30_000_000, 100_000_000, MAX_SCENE_COUNT])
@pytest.mark.parametrize("proxies", [True, False])
def test_small_cells_do_not_lead_to_too_many_chunks(count: int, proxies: bool) -> None:
    layers, _ = plan.plan_for_blocks(count, plan.block_level(count, 500_000), proxies=proxies)
    assert most_chunks(layers) <= MAX_CHUNKS // 4


def test_shares_of_blocks_follow_their_scores() -> None:
    layers, _ = plan.plan_for_blocks(100_000, 1)
    rng = np.random.default_rng(0)
    scores = [rng.random(50_000), 0.25 * rng.random(50_000)]
    histograms = [plan.score_histogram(values) for values in scores]
    shares = plan.layer_shares(layers, histograms, [1.0, 1.0])
    assert shares.shape == (2, len(layers))
    assert (np.diff(shares, axis=1) >= 0).all()
    assert (shares[:, -1] == 1).all()
    leaves = next(number for number, layer in enumerate(layers) if layer.leaves)
    assert shares[0, leaves] > 1.5 * shares[1, leaves] > 0


def test_few_gaussians_are_not_cut(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="too few for"):
        encode_by_blocks(
            source(ball(100)), tmp_path / "x.exgs", OPTIONS, BlockOptions(block_count=30)
        )
    assert not list(tmp_path.iterdir())


def test_a_cluster_gives_the_same_file(encoded: tuple[Path, EncodeReport], tmp_path: Path) -> None:
    """As README shows it, with the scheduler and both workers on this machine."""
    distributed = pytest.importorskip("distributed", reason="the extra lab is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        encode(tmp_path / "cluster.exgs", dask=cluster.scheduler_address)
    assert (tmp_path / "cluster.exgs").read_bytes() == encoded[0].read_bytes()


def test_workers_fit_into_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(workers, "_MEMORY_LIMIT", limit)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    limit.write_text("4000000000\n")
    assert workers.fitting_workers(500_000) == 2
    assert workers.fitting_workers(2_000_000) == 1
    assert workers.fitting_workers(1900) == 1
    limit.write_text("max\n")
    assert 1 <= workers.fitting_workers(100_000) <= 8

"""Encoding by blocks with the cameras of the scene's photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.codec.blocks import encode as blocks_encode
from exgs.codec.blocks import summary
from exgs.codec.blocks.encode import BlockOptions, encode_by_blocks
from exgs.codec.blocks.job import BlockCameras, Job
from exgs.codec.blocks.photographs import CameraCounts, share_cameras
from exgs.codec.blocks.spill import spill_scene
from exgs.codec.decoding.decode import decode, open_scene, verify
from exgs.codec.encoding.encode import EncodeReport
from exgs.codec.errors import SceneError
from exgs.codec.measuring.home_view import find_up
from exgs.scene.camera import look_at, pinhole
from exgs.scene.cameras import CameraSet
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.errors import SceneWarning
from exgs.scene.gaussians import Gaussians
from tests.codec.blocks import COUNT, OPTIONS, source
from tests.codec.encoding import UP, ball, ring


@pytest.fixture(scope="module")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EncodeReport]:
    """A scene that was encoded with cameras, in two processes."""
    out = tmp_path_factory.mktemp("photographed") / "whole.exgs"
    options = BlockOptions(block_count=900, workers=2)
    return out, encode_by_blocks(source(), out, replace(OPTIONS, cameras=ring(17)), options)


def test_cameras_lead_to_the_same_file_whatever_the_workers(
    photographed: tuple[Path, EncodeReport], tmp_path: Path
) -> None:
    verify(photographed[0])
    assert len(decode(photographed[0]).gaussians) == COUNT
    for cameras in (ring(17), None):
        out = tmp_path / "one.exgs"
        options = replace(OPTIONS, cameras=cameras)
        encode_by_blocks(source(), out, options, BlockOptions(block_count=900))
        is_same = out.read_bytes() == photographed[0].read_bytes()
        assert is_same == (cameras is not None)


def test_the_quality_table_is_that_of_held_out_cameras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for share in ("_OUTLINE_SHARE", "_FAR_SHARE"):  # surroundings that look like the scene
        monkeypatch.setattr(summary, share, 0.7)
    path, options = tmp_path / "x.exgs", replace(OPTIONS, cameras=ring(17))
    report = encode_by_blocks(source(), path, options, BlockOptions(block_count=900))
    start = open_scene(path).head.header.root_end
    rasterizer, cameras = CpuRasterizer(), ring(17).held_out
    wanted = [np.clip(rasterizer.render(ball(COUNT), camera).rgb, 0, 1) for camera in cameras]
    for point in report.quality[:3]:
        drawn = decode(path, max_bytes=start + point.body_bytes).gaussians
        pictures = [np.clip(rasterizer.render(drawn, camera).rgb, 0, 1) for camera in cameras]
        psnr = -10 * np.log10(np.mean((np.stack(pictures) - np.stack(wanted)) ** 2))
        assert point.psnr_db == pytest.approx(psnr, abs=1.5)


def test_up_and_home_come_from_the_cameras(photographed: tuple[Path, EncodeReport]) -> None:
    facts = open_scene(photographed[0]).facts
    assert facts.up == pytest.approx(find_up(ball(10), ring(17).fit), abs=1e-6)
    places = [camera.position for camera in ring(17).fit]
    assert min(np.linalg.norm(place - np.array(facts.home.eye)) for place in places) < 1e-3


def test_blocks_have_the_cameras_that_see_them(tmp_path: Path) -> None:
    """Each camera looks at one of the first two of four balls."""
    apart = np.array([[0, 40.0, 0], [0, 0, 0], [0, -40.0, 0], [0, -80.0, 0]])
    balls = [ball(400, seed=number) for number in range(4)]
    scene = Gaussians.concatenate(
        [
            replace(one, means=(one.means + place).astype(np.float32))
            for one, place in zip(balls, apart, strict=True)
        ]
    )
    job = Job(tmp_path, spill_scene(source(scene), 400, tmp_path), (), 1, 0, OPTIONS)
    cameras = CameraSet(tuple(c.relative_to(-at) for at in apart[:2] for c in ring(6).cameras))
    fit = share_cameras(job, cameras, CameraCounts(measured=4, fitted=3, held_out=8))
    blocks = job.spill.tree.locate(apart.astype(np.float32))
    for at, block in zip(apart[:2], blocks, strict=False):
        own: BlockCameras = job.load("cameras", int(block))
        assert 0 < len(own.measured) <= 4
        assert 0 < len(own.fitted) <= 3
        gains = {camera.viewmat.tobytes() for camera in own.for_gains}
        assert gains.isdisjoint(camera.viewmat.tobytes() for camera in own.fitted)
        for camera in (*own.measured, *own.fitted, *own.held_out):
            assert np.linalg.norm(camera.position - at) < 5
        assert own.seen_share == pytest.approx(5 / len(fit))
    for block in blocks[2:]:
        unseen: BlockCameras = job.load("cameras", int(block))
        assert (unseen.measured, unseen.fitted, unseen.seen_share) == ((), (), 0.0)


def test_what_no_camera_sees_is_encoded_as_well(tmp_path: Path) -> None:
    here, K = (0.0, 0.0, 0.0), pinhole(48, 36, 30)
    near = [look_at((-0.6 - 0.1 * i, 0, -4), (-0.9, 0, 0), UP, K, 48, 36) for i in range(9)]
    out = tmp_path / "side.exgs"
    options = replace(OPTIONS, cameras=CameraSet(tuple(near)))
    report = encode_by_blocks(source(), out, options, BlockOptions(block_count=900))
    verify(out)
    camera = look_at((4, 0, 0), here, UP, K, 48, 36)
    rasterizer = CpuRasterizer()
    pictures = [
        np.clip(rasterizer.render(scene, camera).rgb, 0, 1)
        for scene in (ball(COUNT), decode(out, max_bytes=report.file_bytes // 2).gaussians)
    ]
    assert -10 * np.log10(np.mean((pictures[0] - pictures[1]) ** 2)) > 20


def test_cameras_that_see_nothing_are_refused(tmp_path: Path) -> None:
    away = [camera.relative_to((0, -1000.0, 0)) for camera in ring().cameras]
    options = replace(OPTIONS, cameras=CameraSet(tuple(away)))
    with (
        pytest.warns(SceneWarning, match="don't fit"),
        pytest.raises(SceneError, match="the cameras see nothing"),
    ):
        encode_by_blocks(source(), tmp_path / "x.exgs", options, BlockOptions(block_count=900))
    assert not list(tmp_path.iterdir())  # neither a file nor a work folder


def test_resume_takes_nothing_over_from_other_cameras(tmp_path: Path) -> None:
    blocks = BlockOptions(work=tmp_path / "work", resume=True)
    keys = {
        blocks_encode._key(source(), replace(OPTIONS, cameras=cameras), blocks, "x")
        for cameras in (None, ring(9), ring(9), ring(9, distance=3.1))
    }
    assert len(keys) == 3

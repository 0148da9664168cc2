"""Encoding: the same bytes every time, any scene, sound prefixes, and no harm to an old file."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest

from exgs.codec.constants import MAX_FREE_COUNT, ChunkKind
from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.decoding.decode import decode, open_scene, verify
from exgs.codec.encoding import packed_cells
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.errors import DamagedError, SceneError, TruncatedError
from exgs.codec.format.container import unpack_chunk
from exgs.codec.payload.geometry import canonical_axes, unpack_geometry
from exgs.codec.payload.sh import unpack_basis
from exgs.scene.backends import default_rasterizer
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import psnr
from tests.codec import reference_decoder
from tests.codec.drawing import parts_of
from tests.codec.encoding import ball, camera, encode_layered, ring
from tests.codec.test_spec import check_drawn

ROOT = Path(__file__).parents[2]
TINY = EncodeOptions(quality="low", cameras=ring(4))


@pytest.fixture(scope="module")
def layered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Gaussians]:
    path = tmp_path_factory.mktemp("encode") / "ball.exgs"
    numba.set_num_threads(1)
    scene, _ = encode_layered(path)
    return path, scene


def test_the_report_says_what_the_file_holds(tmp_path: Path) -> None:
    scene, report = encode_layered(tmp_path / "a.exgs", name="ball", credit="me", license="CC0")
    file = open_scene(tmp_path / "a.exgs")
    assert report.gaussians == file.facts.leaf_count == len(scene)
    assert report.file_bytes == file.file_bytes == (tmp_path / "a.exgs").stat().st_size
    assert report.scene_hash == file.head.scene_hash
    assert report.layers == file.facts.layers
    assert len(report.layers) > 3
    assert file.facts.layers[-1].proxy_count == 0
    assert file.facts.tile_level >= 1
    assert (file.facts.name, file.facts.credit, file.facts.license) == ("ball", "me", "CC0")
    assert file.facts.home is not None
    last = report.quality[-1]
    assert last.body_bytes == report.file_bytes - file.head.header.root_end
    assert last.psnr_db > 30


def test_boxes_hold_what_lies_in_their_tile(layered: tuple[Path, Gaussians]) -> None:
    path, scene = layered
    file = open_scene(path)
    extent = np.ptp(scene.means, axis=0).max()
    boxes = {row.cell: row.box for row in file.table.values() if row.box is not None}
    assert len(boxes) == sum(1 << layer.tile_level for layer in file.facts.layers)
    whole = boxes[0, 0]
    np.testing.assert_allclose(whole.low, scene.means.min(axis=0), atol=1e-3 * extent)
    np.testing.assert_allclose(whole.high, scene.means.max(axis=0), atol=1e-3 * extent)
    for row in file.table.values():
        if row.kind is not ChunkKind.LEAF or not row.count:
            continue
        payload = unpack_chunk(row, file.read(row.offset, row.packed_bytes))
        children = file.facts.child_count(row.layer)
        leaves, _ = unpack_geometry(payload, count=row.count, child_count=children, section="test")
        box = boxes[row.cell]
        assert (leaves.means >= np.array(box.low) - 0.05 * extent).all()
        assert (leaves.means <= np.array(box.high) + 0.05 * extent).all()
    for page in file.head.root.pages:
        held = [row.box for row in file.table.values() if page.region.level == 0 and row.box]
        assert page.box.low == tuple(min(box.low[axis] for box in held) for axis in range(3))


def test_a_plan_of_too_many_chunks_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exgs.codec.encoding.layer_plan.MAX_CHUNKS", 20)
    with pytest.raises(SceneError, match="chunks"):
        encode_layered(tmp_path / "a.exgs")


def test_regions_have_sh_bases_of_their_own(layered: tuple[Path, Gaussians]) -> None:
    path, scene = layered
    file = open_scene(path)
    used = set()
    for row in file.table.values():
        payload = unpack_chunk(row, file.read(row.offset, row.packed_bytes))
        if row.kind is ChunkKind.BASIS:
            basis = unpack_basis(payload, sh_degree=scene.sh_degree, section="test")
        elif row.kind is ChunkKind.SH:
            used.add(payload[3])
    assert len(basis.rows) > 1
    assert used == set(range(len(basis.rows)))


def test_the_same_scene_gives_the_same_bytes(
    layered: tuple[Path, Gaussians], tmp_path: Path
) -> None:
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    encode_layered(tmp_path / "threads.exgs")
    program = (
        "import sys; from pathlib import Path; from tests.codec.encoding import encode_layered;"
        "encode_layered(Path(sys.argv[1]))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "codec")]),
        "PYTHONHASHSEED": "7",
        "NUMBA_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", program, str(tmp_path / "process.exgs")]
    subprocess.run(command, check=True, env=environment, cwd=ROOT)
    digests = {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (layered[0], tmp_path / "threads.exgs", tmp_path / "process.exgs")
    }
    assert len(digests) == 1


def test_the_whole_file_holds_the_whole_scene(layered: tuple[Path, Gaussians]) -> None:
    path, scene = layered
    verify(path)
    drawn = decode(path)
    assert not drawn.is_proxy.any()
    assert not drawn.sh_pending.any()
    got = drawn.gaussians
    assert len(got) == len(scene)
    nearest = np.linalg.norm(got.means[:, None] - scene.means[None], axis=2).argmin(axis=1)
    assert len(np.unique(nearest)) > 0.98 * len(scene)
    target = scene.select(nearest)
    scales, _ = canonical_axes(target.scales, target.quats)
    np.testing.assert_allclose(got.means, target.means, atol=0.1)
    assert np.quantile(np.abs(np.log(got.scales / scales)), 0.9) < 0.35
    assert np.quantile(np.abs(got.sh0 - target.sh0), 0.9) < 0.3
    rasterizer = default_rasterizer()
    pictures = [np.clip(rasterizer.render(s, camera()).rgb, 0, 1) for s in (scene, got)]
    assert psnr(*pictures) > 35


def test_every_prefix_is_a_scene_and_the_picture_gets_better(
    layered: tuple[Path, Gaussians],
) -> None:
    path, scene = layered
    pusher, arrived = parts_of(path.read_bytes())
    assert pusher.head is not None
    assert pusher.table is not None
    builder = SceneBuilder(pusher.head.root.facts, pusher.table)
    rasterizer = default_rasterizer()
    reference = np.clip(rasterizer.render(scene, camera()).rgb, 0, 1)
    errors = []
    for chunk, packed in arrived:
        version = builder.version
        builder.add(chunk, packed)
        if builder.version != version:
            drawn = builder.drawn().gaussians
            assert all(np.isfinite(getattr(drawn, name)).all() for name in ("means", "sh0"))
            picture = np.clip(rasterizer.render(drawn, camera()).rgb, 0, 1)
            errors.append(float(np.mean((picture - reference) ** 2)))
    assert builder.layer == len(pusher.head.root.facts.layers) - 1
    assert errors[-1] < 0.01 * errors[0]
    assert max(np.diff(errors), default=0) < 0.1 * errors[0]


def test_prefixes_decode_as_the_specification_says(layered: tuple[Path, Gaussians]) -> None:
    path, _ = layered
    data = path.read_bytes()
    for end in np.linspace(parts_of(data)[1][1][0].end, len(data), 4).astype(int).tolist():
        splats = reference_decoder.read(data[:end])
        check_drawn(decode(path, max_bytes=end), reference_decoder.arrays(splats))


def test_proxy_comes_before_leaf_and_parents_before_children(
    layered: tuple[Path, Gaussians],
) -> None:
    file = open_scene(layered[0])
    rows = list(file.table.values())
    for before, row in pairwise(rows):
        if before.kind is ChunkKind.LEAF and row.kind is ChunkKind.PROXY:
            assert (before.layer, before.tile) != (row.layer, row.tile)
    assert {row.kind for row in rows} == set(ChunkKind) - {ChunkKind.EXTRA}
    assert rows[0].kind is ChunkKind.PROXY


def test_pruned_layers_are_amplified_and_have_no_proxies(tmp_path: Path) -> None:
    path = tmp_path / "pruned.exgs"
    scene, report = encode_layered(path, ball(400, 0), proxies=False)
    verify(path)
    factors = [layer.amplification for layer in report.layers]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == 1
    assert factors[0] == pytest.approx((400 / 4) ** 0.125)
    assert all(layer.proxy_count == 0 for layer in report.layers)
    first = decode(path, max_layer=0)
    assert len(first.gaussians) == report.layers[0].leaf_count
    whole = decode(path).gaussians
    gap = np.linalg.norm(first.gaussians.means[:, None] - whole.means[None], axis=2)
    assert gap.min(axis=1).max() < 1e-6
    grown = first.gaussians.scales / whole.scales[gap.argmin(axis=1)]
    np.testing.assert_allclose(grown, factors[0], rtol=1e-4)
    assert len(whole) == len(scene)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("degree", [0, 3])
def test_the_smallest_scenes_encode(count: int, degree: int, tmp_path: Path) -> None:
    scene = ball(count, degree)
    report = encode(scene, tmp_path / "tiny.exgs", TINY)
    verify(tmp_path / "tiny.exgs")
    got = decode(tmp_path / "tiny.exgs").gaussians
    assert report.gaussians == len(got) == count
    assert got.sh_degree == degree
    assert np.abs(np.sort(got.means, axis=0) - np.sort(scene.means, axis=0)).max() < 0.2


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_every_degree_of_sh_encodes(degree: int, tmp_path: Path) -> None:
    scene = ball(60, degree, seed=degree)
    encode(scene, tmp_path / "sh.exgs", TINY)
    verify(tmp_path / "sh.exgs")
    got = decode(tmp_path / "sh.exgs").gaussians
    assert got.sh_degree == degree
    order = np.linalg.norm(got.means[:, None] - scene.means[None], axis=2).argmin(axis=1)
    np.testing.assert_allclose(got.shN, scene.shN[order], atol=0.15)


@pytest.mark.parametrize("proxies", [True, False])
def test_a_scene_of_one_place_encodes(proxies: bool, tmp_path: Path) -> None:
    one = ball(1)
    same = one.select(np.zeros(300, np.int64))
    path = tmp_path / "same.exgs"
    encode_layered(path, same, proxies=proxies)
    verify(path)
    got = decode(path).gaussians
    assert len(got) == 300
    np.testing.assert_allclose(got.means, same.means, atol=0.05)


def test_many_splats_that_are_alike_encode(tmp_path: Path) -> None:
    """They would pack to next to nothing, which a decoder refuses."""
    scene = ball(1, 0).select(np.zeros(3 * MAX_FREE_COUNT, np.int64))
    encode(scene, tmp_path / "a.exgs", TINY)
    verify(tmp_path / "a.exgs")
    assert len(decode(tmp_path / "a.exgs").gaussians) == len(scene)
    rows = open_scene(tmp_path / "a.exgs").table.values()
    leaves = [row for row in rows if row.kind is ChunkKind.LEAF]
    assert all(row.packed_bytes >= row.count for row in leaves)


def test_more_splats_in_one_place_than_a_chunk_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_cells, "MAX_CHUNK_COUNT", 99)
    with pytest.raises(SceneError, match="100 Gaussians lie in one place"):
        encode(ball(100), tmp_path / "a.exgs", TINY)
    assert not list(tmp_path.iterdir())


def test_what_nobody_can_see_is_left_out(tmp_path: Path) -> None:
    scene = ball(40)
    opacities = scene.opacities.copy()
    opacities[::4] = 0.001
    scene = replace(scene, opacities=opacities)
    report = encode(scene, tmp_path / "faint.exgs", TINY)
    assert (report.dropped, report.gaussians) == (10, 30)
    nothing = replace(scene, opacities=np.zeros(40, np.float32))
    for scene in (nothing, Gaussians.empty(), Gaussians.empty(3)):
        with pytest.raises(SceneError, match="no visible Gaussian"):
            encode(scene, tmp_path / "none.exgs", TINY)
    assert not (tmp_path / "none.exgs").exists()


# --- Failures ---------------------------------------------------------------------------------


def _disk_full(patch: pytest.MonkeyPatch) -> type[Exception]:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    patch.setattr(os, "fsync", fsync)
    return OSError


def _interrupted(patch: pytest.MonkeyPatch) -> type[BaseException]:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    patch.setattr("exgs.codec.encoding.encode.measure_quality", stop)
    return KeyboardInterrupt


@pytest.mark.parametrize("fail", [_disk_full, _interrupted])
def test_a_failed_encode_leaves_the_old_file(
    fail: Callable[[pytest.MonkeyPatch], type[BaseException]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "old.exgs"
    path.write_bytes(b"an old file")
    error = fail(monkeypatch)
    with pytest.raises(error):
        encode(ball(10), path, TINY)
    assert path.read_bytes() == b"an old file"
    assert list(tmp_path.iterdir()) == [path]


def test_verify_reports_every_planted_fault(
    layered: tuple[Path, Gaussians], tmp_path: Path
) -> None:
    data = layered[0].read_bytes()
    file = open_scene(layered[0])
    broken = tmp_path / "broken.exgs"
    places = {
        "header": 20,
        "root index": 70,
        **{page.section: page.offset + 3 for page in file.head.root.pages},
        **{chunk.section: chunk.end - 1 for chunk in file.table.values()},
    }
    for section, place in places.items():
        damaged = bytearray(data)
        damaged[place] ^= 4
        broken.write_bytes(damaged)
        with pytest.raises(DamagedError) as caught:
            verify(broken)
        assert caught.value.section == section
    broken.write_bytes(data[:-1])
    with pytest.raises(TruncatedError) as cut:
        verify(broken)
    assert cut.value.needed_bytes == len(data)
    broken.write_bytes(data + b"\n")
    with pytest.raises(DamagedError, match="1 bytes behind"):
        verify(broken)

"""Reduced scenes: fewer Gaussians, refit, with a bounded loss in views that no fit has used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.codec.decoding.decode import decode, open_scene
from exgs.codec.encoding.efforts import EFFORTS, Effort
from exgs.codec.encoding.encode import EncodeOptions
from exgs.codec.encoding.final import (
    ViewLoss,
    final_views,
    lost_db,
    reduce_scene,
)
from exgs.codec.merging.descent import Descent, gradient_of_squares
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.errors import SceneWarning
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import psnr
from tests.codec.encoding import ball, camera, encode_layered, ring

RASTERIZER = CpuRasterizer()


def effort(steps: int) -> Effort:
    """An effort with this number of steps in a round."""
    return replace(EFFORTS["low"], final_steps=round(steps / 1.5))


def twins(scene: Gaussians) -> Gaussians:
    """A scene of twice as many Gaussians that looks the same: each one as two fainter ones."""
    fainter = replace(scene, opacities=(1 - np.sqrt(1 - scene.opacities)).astype(np.float32))
    return Gaussians.concatenate([fainter, fainter])


def test_errors_add_up_to_those_against_photographs() -> None:
    rng = np.random.default_rng(0)
    shape = (400, 500)
    photograph = rng.uniform(0.4, 0.6, shape)
    picture = photograph + rng.normal(0, 10**-1.5, shape)  # 30 dB
    for error_db, loss_db in ((30, 3.01), (41.46, 0.3)):
        worse = picture + rng.normal(0, 10 ** (-error_db / 20), shape)
        lost = psnr(picture, photograph) - psnr(worse, photograph)
        assert lost == pytest.approx(loss_db, abs=0.05)
        assert lost_db(10 ** (-error_db / 10)) == pytest.approx(loss_db, abs=0.01)


def test_a_scene_of_twins_loses_half_of_them() -> None:
    scene = twins(ball(120, sh_degree=0))
    views = final_views(scene, ring(24), 0, RASTERIZER)
    got = reduce_scene(scene, views, RASTERIZER, 0.3, effort(60))
    assert len(got) < 0.62 * len(scene)
    assert views.loss(got) <= 0.3
    assert views.loss(scene) == 0
    # Pruning alone needs more Gaussians.
    assert len(reduce_scene(scene, views, RASTERIZER, 0.3, effort(0))) > len(got)


def test_a_refit_that_fails_costs_nothing() -> None:
    scene = twins(ball(120, sh_degree=0))
    views = final_views(scene, ring(24), 0, RASTERIZER)
    counts = [len(reduce_scene(scene, views, RASTERIZER, 0.01, effort(steps))) for steps in (0, 5)]
    assert counts[1] <= counts[0] < len(scene)


def test_nothing_is_left_out_where_everything_shows() -> None:
    scene = ball(60, sh_degree=0)
    views = final_views(scene, ring(24), 0, RASTERIZER)
    got = reduce_scene(scene, views, RASTERIZER, 1e-6, effort(5))
    assert len(got) == len(scene)


def test_losses_are_of_pixels_that_the_scene_covers() -> None:
    scene = ball(100)
    wrong = replace(scene, sh0=scene.sh0 + np.float32(0.2))
    near, wide = ring(3, size=(48, 48)).cameras, ring(3, size=(192, 48)).cameras
    losses = [ViewLoss.of(scene, cameras, RASTERIZER)(wrong) for cameras in (near, wide)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # more empty pixels change nothing


def test_views_that_measure_the_loss_are_never_fitted_to() -> None:
    scene, cameras = ball(300), ring(24)
    views = final_views(scene, cameras, 0, RASTERIZER)
    places = [
        {tuple(c.position) for c in some}
        for some in (views.training, views.loss.cameras, cameras.held_out)
    ]
    assert [len(some) for some in places] == [18, 3, 3]
    assert len(set.union(*places)) == 24


def test_cameras_that_do_not_fit_the_scene_are_not_used() -> None:
    scene, far = ball(300), ring(24, distance=300.0)
    for given in (None, far, CameraSet(ring(4).cameras)):
        views = final_views(scene, given, 0, RASTERIZER)
        assert len(views.training) == 100
        distances = [float(np.linalg.norm(c.position)) for c in views.training]
        assert max(distances) < 30
        again = final_views(scene, given, 1, RASTERIZER)
        assert not np.array_equal(again.training[0].viewmat, views.training[0].viewmat)


def test_steps_with_a_place_fit_spherical_harmonics() -> None:
    scene = ball(150, sh_degree=2)
    start = replace(scene, shN=np.zeros_like(scene.shN))
    cameras = ring(12).cameras
    pictures = [np.clip(RASTERIZER.render(scene, c).rgb, 0, 1) for c in cameras]

    def fitted(*, places: bool) -> Gaussians:
        descent = Descent(Gaussians.empty(2), start, cameras)
        for step in range(120):
            view = 5 * step % 12
            gradients = RASTERIZER.render_gradients(
                descent.scene,
                cameras[view],
                lambda picture, view=view: gradient_of_squares(picture, pictures[view]),
            )
            descent.step(gradients, 1.0, cameras[view].position if places else None)
        return descent.current()

    loss = ViewLoss.of(scene, cameras, RASTERIZER)
    with_sh, without = fitted(places=True), fitted(places=False)
    np.testing.assert_array_equal(without.shN, 0)
    assert loss(with_sh) < 0.6 * loss(without)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Gaussians]:
    """A scene of twins, encoded with and without `final`."""
    folder = tmp_path_factory.mktemp("final")
    scene = twins(ball(300))
    for name, final in (("whole", None), ("reduced", 0.5)):
        encode_layered(folder / f"{name}.exgs", scene, cameras=ring(24), final=final)
    return folder / "whole.exgs", folder / "reduced.exgs", scene


def test_a_reduced_file_is_smaller_and_loses_what_it_may(
    files: tuple[Path, Path, Gaussians],
) -> None:
    whole, reduced, scene = files
    assert reduced.stat().st_size < 0.65 * whole.stat().st_size
    leaves = open_scene(reduced).facts.leaf_count
    assert leaves < 0.75 * len(scene)

    def quality(path: Path, view: Camera) -> float:
        picture = RASTERIZER.render(decode(path).gaussians, view).rgb
        return psnr(picture, RASTERIZER.render(scene, view).rgb)

    # The background of these pictures is empty, so they have a higher PSNR than covered pixels.
    least = 30 - 10 * np.log10(10**0.05 - 1)
    for view in (camera(), *ring(24).held_out):
        assert least - 1 < quality(reduced, view) < quality(whole, view)


def test_its_table_compares_with_the_whole_scene(files: tuple[Path, Path, Gaussians]) -> None:
    whole, reduced, _ = files
    ends = [open_scene(path).facts.quality[-1] for path in (whole, reduced)]
    assert ends[1].psnr_db < ends[0].psnr_db - 3


def test_the_report_counts_what_was_left_out(tmp_path: Path) -> None:
    scene, report = encode_layered(tmp_path / "a.exgs", twins(ball(100)), final=0.5)
    assert report.dropped == 0
    assert report.reduced == len(scene) - report.gaussians > 0
    assert report.loss_db is not None
    assert 0 < report.loss_db <= 0.5
    _, plain = encode_layered(tmp_path / "b.exgs", ball(100))
    assert (plain.reduced, plain.loss_db) == (0, None)


def test_a_larger_loss_gives_a_smaller_file(tmp_path: Path) -> None:
    sizes = []
    for loss_db in (0.15, 0.5, 2.5):
        _, report = encode_layered(tmp_path / "a.exgs", final=loss_db, proxies=False)
        sizes.append(report.file_bytes)
        assert report.loss_db is not None
        assert report.loss_db <= loss_db
    assert sizes[2] < sizes[1] < sizes[0]


def test_a_loss_that_is_too_small_is_named(tmp_path: Path) -> None:
    with pytest.warns(SceneWarning, match="instead of 0.001"):
        _, report = encode_layered(tmp_path / "a.exgs", ball(80), final=0.001)
    assert report.loss_db is not None
    assert report.loss_db > 0.001


def test_the_same_request_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.exgs", "b.exgs"):
        encode_layered(tmp_path / name, twins(ball(80)), final=0.3)
    assert (tmp_path / "a.exgs").read_bytes() == (tmp_path / "b.exgs").read_bytes()


@pytest.mark.parametrize("final", [0.0, -0.3, 3.1, float("nan"), float("inf")])
def test_a_loss_out_of_range_is_refused(final: float) -> None:
    with pytest.raises(ValueError, match="final"):
        EncodeOptions(final=final)


def test_a_time_and_a_loss_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="final"):
        EncodeOptions(final=0.3, seconds=10)


def test_every_effort_refits() -> None:
    assert all(chosen.final_steps > 0 for chosen in EFFORTS.values())

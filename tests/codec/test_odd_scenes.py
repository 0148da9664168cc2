"""Unusual scenes are encoded well, repaired with a warning, or refused in one line."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.decode import decode, open_scene, verify
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.errors import SceneError
from exgs.codec.measuring.pictures import scaled
from exgs.codec.merging.agglomerate import agglomerate, as_mixture
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, pinhole
from exgs.scene.cameras import CameraSet
from exgs.scene.errors import SceneWarning
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import psnr
from tests.codec.encoding import ball, camera, encode_layered, ring

LOW = EncodeOptions(quality="low", cameras=ring())


def _psnr(path: Path, scene: Gaussians, view: Camera) -> float:
    """Of the whole file in dB."""
    pictures = [
        np.clip(default_rasterizer().render(s, view).rgb, 0, 1)
        for s in (decode(path).gaussians, scene)
    ]
    return psnr(*pictures)


def test_cameras_that_see_nothing_are_refused(tmp_path: Path) -> None:
    scene = ball(300)
    far = replace(scene, means=scene.means - np.array([0, 1000, 0], np.float32))
    with pytest.raises(SceneError, match="see nothing of the scene"):
        encode(far, tmp_path / "far.exgs", LOW)
    with pytest.raises(SceneError, match="see nothing of the scene"):
        encode_layered(tmp_path / "far.exgs", far)
    assert not (tmp_path / "far.exgs").exists()


def test_cameras_that_see_next_to_nothing_are_warned_of(tmp_path: Path) -> None:
    scene = ball(300)
    far = replace(scene, means=scene.means - np.array([0, 1000, 0], np.float32))
    with pytest.warns(SceneWarning, match=r"they see 2\.9% of the Gaussians"):
        encode(Gaussians.concatenate([far, ball(9)]), tmp_path / "most_far.exgs", LOW)


def test_a_black_scene_encodes(tmp_path: Path) -> None:
    dark = replace(ball(400, 0), sh0=np.full((400, 3), -3, np.float32))
    encode_layered(tmp_path / "dark.exgs", dark)
    verify(tmp_path / "dark.exgs")
    assert _psnr(tmp_path / "dark.exgs", dark, camera()) > 60


def test_a_scene_in_units_too_small_to_be_drawn_is_warned_of(tmp_path: Path) -> None:
    scene = ball(300)
    small = replace(scene, means=scene.means * 0.01, scales=scene.scales * 0.01)
    with pytest.warns(SceneWarning, match=r"0\.0\d+ units across"):
        encode(small, tmp_path / "small.exgs", EncodeOptions(quality="low"))


@pytest.mark.parametrize("away", [1e5, 1e6])
def test_a_gaussian_far_off_costs_the_others_no_precision(tmp_path: Path, away: float) -> None:
    scene = ball(600)
    means = scene.means.copy()
    means[7] = away
    encode(replace(scene, means=means), tmp_path / "one.exgs", LOW)
    assert ChunkKind.FINE in {c.kind for c in open_scene(tmp_path / "one.exgs").table.values()}
    encode(scene, tmp_path / "none.exgs", LOW)
    assert ChunkKind.FINE not in {c.kind for c in open_scene(tmp_path / "none.exgs").table.values()}
    without = _psnr(tmp_path / "none.exgs", scene, camera())
    assert _psnr(tmp_path / "one.exgs", replace(scene, means=means), camera()) > without - 1


def test_a_few_gaussians_far_off_spoil_no_prefix(tmp_path: Path) -> None:
    scene = ball(600)
    means = scene.means.copy()
    means[::150] *= np.float32(1e4)
    far = replace(scene, means=means)
    sizes = []
    for name, source in (("near", scene), ("far", far)):
        encode_layered(tmp_path / name, source)
        sizes.append((tmp_path / name).stat().st_size)
    # Single prefixes differ by the chunk that they just hold or just lack.
    near, off = (
        np.mean(
            [
                psnr(
                    *(
                        np.clip(default_rasterizer().render(s, camera()).rgb, 0, 1)
                        for s in (
                            decode(tmp_path / name, max_bytes=int(share * size)).gaussians,
                            source,
                        )
                    )
                )
                for share in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
            ]
        )
        for name, size, source in zip(("near", "far"), sizes, (scene, far), strict=True)
    )
    assert off > near - 2


def test_needles_are_coded_as_well_as_other_shapes(tmp_path: Path) -> None:
    scene = ball(600)
    needles = replace(scene, scales=scene.scales * np.array([2.5, 0.15, 0.15], np.float32))
    for name, shapes in (("round", scene), ("needles", needles)):
        encode(shapes, tmp_path / f"{name}.exgs", LOW)
    plain = _psnr(tmp_path / "round.exgs", scene, camera())
    assert _psnr(tmp_path / "needles.exgs", needles, camera()) > plain - 4


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda s: replace(s, quats=_with(s.quats, 3, np.nan)), "not finite"),
        (lambda s: replace(s, sh0=_with(s.sh0, 3, np.inf)), "not finite"),
        (lambda s: replace(s, shN=_with(s.shN, 3, 1e20)), "a colour beyond"),
        (lambda s: replace(s, scales=_with(s.scales, 3, 0)), "scale below"),
        (lambda s: replace(s, quats=_with(s.quats, 3, 0)), "zero quaternion"),
    ],
)
def test_values_that_no_reader_lets_through_are_mended_here_too(
    tmp_path: Path, change: Callable[[Gaussians], Gaussians], word: str
) -> None:
    with pytest.warns(SceneWarning, match=word):
        report = encode(change(ball(60)), tmp_path / "odd.exgs", LOW)
    verify(tmp_path / "odd.exgs")
    assert report.gaussians in (59, 60)
    assert report.dropped == 60 - report.gaussians


def test_quaternions_of_any_length_are_rotations(tmp_path: Path) -> None:
    scene = ball(60)
    encode(scene, tmp_path / "unit.exgs", LOW)
    encode(replace(scene, quats=scene.quats * 4), tmp_path / "long.exgs", LOW)
    assert (tmp_path / "unit.exgs").stat().st_size == (tmp_path / "long.exgs").stat().st_size


def _with(values: np.ndarray, row: int, value: float) -> np.ndarray:
    changed = values.copy()
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"quality": "medium"}, "low, default, high"),
        ({"score": "size"}, "combined, energy"),
        ({"views": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_options_are_checked_when_they_are_made(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        EncodeOptions(**options)


def test_a_missing_folder_is_named_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        encode(ball(60), tmp_path / "nowhere" / "a.exgs", LOW)


def test_at_low_quality_an_explicit_number_of_views_counts(tmp_path: Path) -> None:
    for name, views in (("few", None), ("same", 10), ("more", 14)):
        encode(ball(200), tmp_path / name, EncodeOptions(quality="low", views=views))
    few, same, more = ((tmp_path / name).read_bytes() for name in ("few", "same", "more"))
    assert few == same != more


@pytest.mark.parametrize("size", [(640, 10), (12, 9), (9, 700)])
def test_pictures_of_a_few_pixels_or_of_any_proportions_will_do(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SceneWarning)  # a slit shows little
        encode(
            ball(60), tmp_path / "slit.exgs", EncodeOptions(quality="low", cameras=ring(4, size))
        )
    verify(tmp_path / "slit.exgs")


def test_tall_pictures_are_shrunk_as_well_as_wide_ones() -> None:
    for width, height in ((6400, 100), (640, 16000), (4000, 3000)):
        small = scaled(Camera(np.eye(4), pinhole(width, height, 45), width, height), 640)
        assert small.width <= 640
        assert small.height <= 1280
        assert small.fov_y == pytest.approx(np.radians(45))
    as_it_was = Camera(np.eye(4), pinhole(270, 480, 45), 270, 480)
    assert scaled(as_it_was, 320) is as_it_was


def test_two_scenes_can_be_encoded_at_once(tmp_path: Path) -> None:
    faults: list[BaseException] = []

    def work(name: str) -> None:
        try:
            scene = ball(400)
            mixture = as_mixture(scene, scene.sh0, *(np.ones(400) for _ in range(3)))
            for _ in range(20):
                agglomerate(mixture, np.zeros(400, np.int64), 50)
            encode(scene, tmp_path / name, LOW)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_set_of_no_cameras_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="the set of cameras is empty"):
        encode(ball(60), tmp_path / "a.exgs", EncodeOptions(cameras=CameraSet(())))

"""Pictures of files with proxies are sharpened where proxies are drawn, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.codec.decoding.decode import decode, read_facts
from exgs.painter.confidence import Confidence, look_at_scene
from exgs.painter.sharpen import SharpenPainter, sharpen_gate
from exgs.painter.sizes import measure_proxy_sizes
from exgs.present.picture import draw_picture
from exgs.scene.backends import default_rasterizer
from exgs.scene.rasterizer import Render
from exgs.scene.views.made_up import synthesise_views
from tests.client.scenes import write_box
from tests.painter.frames import frame


def _frame(size_px: float) -> tuple[Render, Confidence]:
    render, confidence = frame()
    sizes = np.full_like(confidence.proxies, size_px)
    return render, replace(confidence, gaps=None, proxy_sizes=sizes, proxy_lengths=2 * sizes)


def test_pixels_without_proxies_stay_as_rendered_and_others_change() -> None:
    render, confidence = _frame(6.0)
    painted = SharpenPainter().paint(render, confidence)
    proxies = confidence.proxies == 1
    assert painted[~proxies].tobytes() == render.rgb[~proxies].tobytes()
    assert (np.abs(painted - render.rgb).max(axis=2)[proxies] > 0).mean() > 0.9
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_pictures_of_files_without_proxies_are_returned_bit_for_bit() -> None:
    render, confidence = frame()
    assert SharpenPainter().paint(render, confidence).tobytes() == render.rgb.tobytes()


def test_the_gate_opens_smoothly_with_the_share_of_proxies() -> None:
    _, confidence = _frame(6.0)
    proxies = np.broadcast_to(np.linspace(0, 1, 200, dtype=np.float32), (4, 200))
    shares = replace(confidence, leaves=1 - proxies, proxies=proxies, proxy_sizes=proxies)
    opened = sharpen_gate(shares)[0]
    assert opened[0] == 0
    assert opened[-1] == 1
    assert np.abs(np.diff(opened)).max() < 0.05
    open_background = replace(shares, leaves=0 * proxies, proxies=0 * proxies)
    assert not sharpen_gate(open_background).any()


def test_a_complete_file_is_drawn_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "box.exgs"
    scene = write_box(path, 2000)
    [camera] = synthesise_views(scene, 1, width=64, height=48)
    rasterizer, facts, painter = default_rasterizer(), read_facts(path), SharpenPainter()
    whole = decode(path)
    raw, confidence = look_at_scene(rasterizer, whole, facts, camera)
    shown = draw_picture(rasterizer, whole, facts, camera, painter=painter)
    assert shown.tobytes() == raw.rgb.tobytes()
    assert painter.paint(raw, confidence).tobytes() == raw.rgb.tobytes()
    part = decode(path, max_bytes=path.stat().st_size // 3)
    raw, confidence = look_at_scene(rasterizer, part, facts, camera)
    painted = draw_picture(rasterizer, part, facts, camera, painter=painter)
    assert np.abs(painted - raw.rgb).max() > 0
    finished = confidence.proxies < 1e-3
    assert painted[finished].tobytes() == raw.rgb[finished].tobytes()


def test_sizes_are_the_standard_deviations_on_the_screen(tmp_path: Path) -> None:
    path = tmp_path / "box.exgs"
    scene = write_box(path, 2000)
    [camera] = synthesise_views(scene, 1, width=64, height=48)
    drawn = decode(path, max_bytes=path.stat().st_size // 3)
    assert drawn.is_proxy.any()
    depths = drawn.gaussians.means @ camera.viewmat[2, :3] + camera.viewmat[2, 3]
    [nearest] = np.flatnonzero(depths == depths[drawn.is_proxy & (depths > 0)].min())[:1]
    rows = np.array([nearest])
    one = replace(
        drawn,
        gaussians=drawn.gaussians.select(rows),
        is_proxy=drawn.is_proxy[rows],
        sh_pending=drawn.sh_pending[rows],
    )
    second = float(np.sort(one.gaussians.scales[0])[1])
    to_pixels = camera.K[0, 0] / float(depths[nearest])
    sizes, lengths = measure_proxy_sizes(default_rasterizer(), one, camera)
    drawn_there = default_rasterizer().render(one.gaussians, camera).alpha > 0.01
    assert drawn_there.any()
    np.testing.assert_allclose(sizes[drawn_there], second * to_pixels, rtol=1e-3)
    longest = float(one.gaussians.scales[0].max())
    np.testing.assert_allclose(lengths[drawn_there], longest * to_pixels, rtol=1e-3)
    leaf = replace(one, is_proxy=np.zeros(1, np.bool_))
    for size in measure_proxy_sizes(default_rasterizer(), leaf, camera):
        assert size.max() == pytest.approx(0.1)

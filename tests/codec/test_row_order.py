"""A file depends on the Gaussians of a scene, not on the order of its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.encoding.row_order import value_order
from exgs.sample import sample_scene
from exgs.scene.gaussians import Gaussians


def _shuffled(scene: Gaussians, seed: int) -> Gaussians:
    return scene.select(np.random.default_rng(seed).permutation(len(scene)))


def _same(a: Gaussians, b: Gaussians) -> bool:
    names = ("means", "quats", "scales", "opacities", "sh0", "shN")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


def test_shuffled_rows_have_the_same_order() -> None:
    scene = sample_scene(count=5000)
    assert not _same(scene, _shuffled(scene, 1))
    ordered = scene.select(value_order(scene))
    other = _shuffled(scene, 1)
    assert _same(ordered, other.select(value_order(other)))
    assert sorted(value_order(scene).tolist()) == list(range(5000))


def test_gaussians_at_one_position_are_ordered_by_their_other_values() -> None:
    scene = sample_scene(count=2000).select(slice(0, 300))
    means = np.repeat(scene.means[:3], 100, axis=0)
    scene = Gaussians(means, scene.quats, scene.scales, scene.opacities, scene.sh0, scene.shN)
    other = _shuffled(scene, 2)
    assert _same(scene.select(value_order(scene)), other.select(value_order(other)))


def test_no_gaussians_have_an_order() -> None:
    assert len(value_order(Gaussians.empty())) == 0


def test_a_file_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    scene = sample_scene(count=4000)
    options = EncodeOptions(quality="low", views=4)
    encode(scene, tmp_path / "a.exgs", options)
    encode(_shuffled(scene, 3), tmp_path / "b.exgs", options)
    assert (tmp_path / "a.exgs").read_bytes() == (tmp_path / "b.exgs").read_bytes()

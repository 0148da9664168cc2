"""The network that spreads leaves: outputs, gradients, training, and the gain in PSNR."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from exgs.codec.encoding.stages import Progress
from exgs.painter.spread import (
    FEATURES,
    OUTPUTS,
    Spread,
    apply_outputs,
    leaf_inputs,
    shipped,
)
from exgs.painter.training.prefixes import random_prefixes
from exgs.painter.training.recipe import Recipe
from exgs.painter.training.scenes import RecipeError, load_source
from exgs.painter.training.schedule import OptimiserOptions
from exgs.painter.training.spread_examples import SpreadOptions, read_example, write_example
from exgs.painter.training.spreading import SpreadNetwork, output_gradients, train_spread
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import look_at, pinhole
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import psnr

CAMERA = look_at((0, 0, -3), (0, 0, 0), (0, -1, 0), pinhole(64, 48, 60), 64, 48)
RASTERIZER = default_rasterizer()
OPTIONS = SpreadOptions(hidden=16, prefixes=2, views=2, encode_views=4, heights=(48,))
OPTIMISER = OptimiserOptions(
    steps=40, batch=2, learning_rate=2e-2, warm_up=2, decay=10, ema=0.8, checkpoint=20
)
RECIPE = Recipe(
    ("solids:1", "solids:2"), {}, optimiser=OPTIMISER, spread=OPTIONS, validation=("solids:3",)
)


def _leaves(count: int = 60, seed: int = 0) -> Gaussians:
    """Random small leaves that are not too faint."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    return Gaussians(
        rng.uniform(-1, 1, (count, 3)).astype(np.float32),
        (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32),
        np.exp(rng.uniform(-4, -1.5, (count, 3))).astype(np.float32),
        rng.uniform(0.3, 0.9, count).astype(np.float32),
        rng.normal(0, 1, (count, 3)).astype(np.float32),
        rng.normal(0, 0.1, (count, 3, 3)).astype(np.float32),
    )


def _network(seed: int = 0) -> SpreadNetwork:
    """A network with random weights, so that its outputs are not zero."""
    torch.manual_seed(seed)
    network = SpreadNetwork(16)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network.requires_grad_(False)


def test_numpy_and_torch_give_the_same_outputs() -> None:
    network, inputs = _network(2), leaf_inputs(_leaves(), 0.8)
    assert inputs.features.shape == (60, FEATURES)
    expected = network(torch.from_numpy(inputs.features), torch.from_numpy(inputs.nearest)).numpy()
    assert expected.shape == (60, OUTPUTS)
    assert expected.std() > 0.05
    np.testing.assert_allclose(Spread(network.arrays()).outputs(inputs), expected, atol=1e-5)


def test_an_untrained_network_changes_nothing() -> None:
    leaves = _leaves()
    spread = Spread(SpreadNetwork(8).requires_grad_(False).arrays())(leaves, 0.9)
    np.testing.assert_allclose(spread.opacities, leaves.opacities, atol=1e-5)
    np.testing.assert_allclose(spread.scales, leaves.scales, rtol=1e-5)
    assert np.array_equal(spread.means, leaves.means)
    assert np.array_equal(spread.sh0, leaves.sh0)


def test_output_gradients_agree_with_differences_of_the_loss() -> None:
    leaves = _leaves()
    inputs = leaf_inputs(leaves, 0.8)
    rng = np.random.default_rng(1)
    outputs = rng.normal(0, 0.3, (60, OUTPUTS)).astype(np.float32)
    weights = rng.normal(size=(48, 64, 3)).astype(np.float32)

    def loss(tried: FloatArray) -> float:
        picture = RASTERIZER.render(apply_outputs(tried, leaves, inputs), CAMERA).rgb
        return float((picture.astype(np.float64) * weights).sum())

    spread = apply_outputs(outputs, leaves, inputs)
    gradients = RASTERIZER.render_gradients(spread, CAMERA, lambda _: weights)
    found = output_gradients(gradients, outputs, spread, leaves, inputs)
    for column in range(OUTPUTS):
        along = np.zeros_like(outputs)
        along[:, column] = found[:, column]
        step = np.float32(0.01) * along / np.abs(along).max()
        measured = loss(outputs + step) - loss(outputs - step)
        expected = 2 * float((found.astype(np.float64) * step).sum())
        assert expected > 0
        assert measured == pytest.approx(expected, rel=0.1), column


def test_spreading_does_not_depend_on_colour_sign_scale_or_position() -> None:
    leaves, spread = _leaves(300), Spread(_network().arrays())
    plain = spread(leaves, 0.8)
    negative = spread(replace(leaves, sh0=-leaves.sh0), 0.8)
    np.testing.assert_allclose(negative.sh0, -plain.sh0, atol=1e-5)
    np.testing.assert_allclose(negative.scales, plain.scales, rtol=1e-4)
    moved = replace(leaves, means=8 * leaves.means + 64, scales=8 * leaves.scales)
    large = spread(moved, 0.8)
    same = np.isclose(large.scales, 8 * plain.scales, rtol=0.01).all(axis=1)
    assert same.mean() > 0.95  # the curves to find neighbours may differ


@pytest.mark.parametrize("count", [0, 1, 6, 7, 40])
def test_any_number_of_coinciding_leaves_gives_finite_values(count: int) -> None:
    leaves = _leaves(count)
    for scale in (0, 1e-20, 1e6):
        means, scales = leaves.means * np.float32(scale), np.full_like(leaves.scales, 1e-12)
        spread = shipped()(replace(leaves, means=means, scales=scales), 0.99)
        assert len(spread) == count
        for values in (spread.means, spread.scales, spread.opacities, spread.sh0):
            assert np.isfinite(values).all()
        assert (spread.scales > 0).all()


@pytest.mark.parametrize("source", ["room:700", "cutout:701", "solids:702"])
def test_spreading_improves_psnr_on_unseen_scenes(source: str) -> None:
    scene = load_source(source, Path(), 10, (160, 90))
    rng = np.random.default_rng(4)
    gains = []
    for drawn, facts in random_prefixes(scene.gaussians, scene.cameras[4:], 8, RASTERIZER, rng):
        missing = 1 - len(drawn.gaussians) / facts.leaf_count
        if missing < 0.5:
            continue
        spread = shipped()(drawn.gaussians, missing)
        for camera in scene.cameras[:4]:
            whole = np.clip(RASTERIZER.render(scene.gaussians, camera).rgb, 0, 1)
            before, after = (
                np.clip(RASTERIZER.render(shown, camera).rgb, 0, 1)
                for shown in (drawn.gaussians, spread)
            )
            gains.append(psnr(after, whole) - psnr(before, whole))
    assert np.mean(gains) > 0.4


def test_examples_are_the_same_when_read_again(tmp_path: Path) -> None:
    _train(replace(RECIPE, optimiser=replace(OPTIMISER, steps=1)), tmp_path)
    [path, *_] = sorted((tmp_path / "examples").glob("*.npz"))
    example = read_example(path)
    assert len(example.cameras) == len(example.pictures) == OPTIONS.views
    write_example(tmp_path / "again.npz", example)
    again = read_example(tmp_path / "again.npz")
    for one, other in zip(example.prefixes, again.prefixes, strict=True):
        assert one.missing == other.missing
        assert np.array_equal(one.leaves.means, other.leaves.means)
    for one, other in zip(example.cameras, again.cameras, strict=True):
        assert np.array_equal(one.viewmat, other.viewmat)
        assert np.array_equal(one.K, other.K)
    path.write_bytes(b"PK\x03\x04, but not an example")
    with pytest.raises(RecipeError, match="delete it"):
        read_example(path)


def _train(recipe: Recipe, folder: Path, progress: Progress = lambda *_: None) -> Path:
    assert recipe.spread is not None
    return train_spread(recipe, recipe.spread, Path(), folder, progress, lambda _: None)


def test_training_improves_psnr_and_a_resumed_run_gives_the_same_weights(tmp_path: Path) -> None:
    whole = _train(RECIPE, tmp_path / "whole")
    with (tmp_path / "whole" / "curve.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == [20, 40]
    last = rows[-1]
    assert last["validation_spread_psnr_db"] > last["validation_raw_psnr_db"] + 0.15
    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        _interrupted(RECIPE, parts, 30)
    resumed = _train(RECIPE, parts)
    with np.load(whole) as one, np.load(resumed) as other:
        assert all(np.array_equal(one[name], other[name]) for name in one)
        assert one["0.weight"].dtype == np.float16
    with pytest.raises(RecipeError, match="from another recipe"):
        _train(replace(RECIPE, optimiser=replace(OPTIMISER, learning_rate=1.0)), parts)


def _interrupted(recipe: Recipe, folder: Path, step: int) -> None:
    """Train, but stop at `step`."""

    def progress(what: str, share: float) -> None:
        if what == "training" and share >= step / recipe.optimiser.steps:
            raise KeyboardInterrupt

    _train(recipe, folder, progress)

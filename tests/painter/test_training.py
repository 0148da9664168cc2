"""Training follows its recipe, can be interrupted, and writes a model that can be loaded."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file

from exgs.painter.inputs import GAPS, MAP, PLANES, RAW, REACH, SPREAD, STRETCHED, gate_of
from exgs.painter.models import load_network
from exgs.painter.pipeline import GaussPainterPipeline
from exgs.painter.stretch import find_candidates, find_neighbours
from exgs.painter.training import loop
from exgs.painter.training.batches import draw_batch, negative
from exgs.painter.training.captures import Capture, seen_from
from exgs.painter.training.densified import densified
from exgs.painter.training.loop import train
from exgs.painter.training.losses import LossWeights, loss_of, mean_ssim, painted
from exgs.painter.training.pairs import (
    PairOptions,
    Pairs,
    TrainingPairs,
    make_pairs,
    read_shard,
    write_shard,
)
from exgs.painter.training.photo_rooms import photo_room
from exgs.painter.training.photographs import lift, relief_cameras
from exgs.painter.training.recipe import Recipe, read_recipe
from exgs.painter.training.scenes import RecipeError, TrainingScene, load_source
from exgs.painter.training.schedule import OptimiserOptions, learning_rate_at
from exgs.painter.training.shards import shard_paths
from exgs.sample import sample_scene
from exgs.scene.backends import default_rasterizer
from exgs.scene.formats.ply import write_ply
from exgs.scene.metrics import psnr, ssim
from exgs.scene.views.made_up import synthesise_views
from tests.painter.frames import UNET, VAE

OPTIMISER = OptimiserOptions(steps=40, batch=2, crop=32, warm_up=2, decay=5, ema=0.8, checkpoint=20)
RECIPE = Recipe(("drawn",), UNET, VAE, optimiser=OPTIMISER)
_RECIPES = Path(__file__).parents[2] / "bench" / "recipes"


def _shard(folder: Path, count: int = 6, side: int = 40) -> None:
    """Pairs whose pixels all show stand-ins with too little coverage."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(80, 255, (count, 3, side // 8, side // 8))
    targets = np.kron(coarse, np.ones((1, 1, 8, 8))).astype(np.uint8)
    inputs = np.zeros((count, PLANES, side, side), np.uint8)
    inputs[:, :3] = targets * 0.85
    inputs[:, 7] = 0.85 * 255
    inputs[:, SPREAD] = targets * 0.85
    alphas = np.full((count, side, side), 255, np.uint8)
    path = _path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_shard(path, Pairs(inputs, targets, alphas))


def _path(folder: Path) -> Path:
    return shard_paths(RECIPE, RECIPE.pairs, folder / "pairs", ".npy")["drawn"]


def _train(recipe: Recipe, folder: Path) -> Path:
    return train(recipe, Path(), folder, lambda *_: None, lambda _: None)


def test_training_reduces_the_loss_and_writes_its_curve(tmp_path: Path) -> None:
    _shard(tmp_path)
    model = _train(replace(RECIPE, validation=("drawn",)), tmp_path)
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["20", "40"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    last = {name: float(value) for name, value in rows[-1].items()}
    assert last["validation_painted_psnr_db"] > last["validation_raw_psnr_db"] + 0.5
    pairs = read_shard(_path(tmp_path))
    stack = torch.from_numpy(pairs.inputs[:2, :, :32, :32].astype(np.float32) / 255)
    target = torch.from_numpy(pairs.targets[:2, :, :32, :32].astype(np.float32) / 255)
    after = (load_network(model)(stack) - target).square().mean()
    assert after < (stack[:, :3] - target).square().mean()


def test_convolutions_outside_residual_blocks_keep_a_gain_of_one(tmp_path: Path) -> None:
    _shard(tmp_path)
    recipe = replace(RECIPE, optimiser=replace(OPTIMISER, steps=8, learning_rate=0.05))
    network = load_network(_train(recipe, tmp_path))
    assert isinstance(network, GaussPainterPipeline)
    beside = [
        module.weight.abs().sum(dim=(1, 2, 3)).max()
        for name, module in network.unet.named_modules()
        if name.endswith(("conv_shortcut", "samplers.0.conv"))
    ]
    assert len(beside) >= 4
    assert max(beside) < 1.01
    assert max(beside) > 0.5


def test_crops_with_very_small_or_very_large_errors_are_not_used(tmp_path: Path) -> None:
    targets = np.full((3, 3, 8, 8), 100, np.uint8)
    inputs = np.zeros((3, PLANES, 8, 8), np.uint8)
    inputs[:, :3] = targets + np.array([0, 20, 150], np.uint8)[:, None, None, None]
    pairs = TrainingPairs([Pairs(inputs, targets, targets[:, 0])] * 2)
    assert len(pairs) == 2
    assert (pairs[1][0][:3] == 120).all()


def test_a_resumed_run_gives_the_same_weights_as_an_uninterrupted_one(tmp_path: Path) -> None:
    optimiser = replace(OPTIMISER, steps=6, checkpoint=3, decay=0)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        _shard(folder)
    recipe = replace(RECIPE, validation=("drawn",))
    _train(replace(recipe, optimiser=optimiser), whole)
    _train(replace(recipe, optimiser=replace(optimiser, steps=3)), parts)
    _train(replace(recipe, optimiser=optimiser), parts)
    for part in ("unet", "vae"):
        name = f"model/{part}/diffusion_pytorch_model.safetensors"
        one, other = load_file(whole / name), load_file(parts / name)
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    _shard(tmp_path)
    _train(replace(RECIPE, optimiser=replace(OPTIMISER, steps=1)), tmp_path)
    with pytest.raises(RecipeError, match="from another recipe"):
        _train(replace(RECIPE, optimiser=replace(OPTIMISER, steps=2, learning_rate=1e-4)), tmp_path)


def test_pairs_of_other_options_or_seeds_are_not_reused(tmp_path: Path) -> None:
    _shard(tmp_path)
    for other in (replace(RECIPE, seed=1), replace(RECIPE, pairs=PairOptions(views=3))):
        with pytest.raises(RecipeError, match="drawn"):
            _train(other, tmp_path)  # it tries to make pairs of a source that does not exist


def test_steps_without_finite_gradient_change_no_weights_and_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _shard(tmp_path)
    good = _train(replace(RECIPE, optimiser=replace(OPTIMISER, steps=2, checkpoint=1)), tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    monkeypatch.setattr(loop, "loss_of", lambda shown, *_: shown.mean() * torch.nan)
    with pytest.raises(RecipeError, match="lower learning rate"):
        _train(replace(RECIPE, optimiser=replace(OPTIMISER, steps=100, checkpoint=50)), tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert all(
        x.isfinite().all() for path in good.rglob("*.safetensors") for x in load_file(path).values()
    )


def test_missing_files_are_reported_before_pairs_are_made(tmp_path: Path) -> None:
    recipe = replace(RECIPE, sources=("room:1", "photo:7", "lost.ply:3"))
    with pytest.raises(RecipeError, match="holds 0 photographs"):
        _train(recipe, tmp_path)
    with pytest.raises(RecipeError, match=r"there is no lost\.ply"):
        _train(replace(recipe, sources=("room:1", "lost.ply:3")), tmp_path)
    assert not (tmp_path / "pairs").exists()


def test_a_run_can_start_from_weights_of_its_layout(tmp_path: Path) -> None:
    _shard(tmp_path / "first")
    _shard(tmp_path / "more")
    model = _train(replace(RECIPE, optimiser=replace(OPTIMISER, steps=3)), tmp_path / "first")
    still = replace(OPTIMISER, steps=1, learning_rate=0.0)
    again = _train(replace(RECIPE, start=str(model), optimiser=still), tmp_path / "more")
    name = "vae/diffusion_pytorch_model.safetensors"
    one, other = load_file(model / name), load_file(again / name)
    assert all(torch.equal(one[key], other[key]) for key in one)
    _shard(tmp_path / "other")
    with pytest.raises(RecipeError, match="not a model of the recipe's"):
        _train(replace(RECIPE, start="shipped"), tmp_path / "other")


def test_pairs_show_prefixes_and_the_whole_scene() -> None:
    y, x = np.mgrid[:64, :96] / 64
    photograph = np.stack([x / 1.5, y, (np.sin(20 * x) > 0) * 0.8], -1).astype(np.float32)
    relief = lift(photograph, 4000, 0)  # fewer would fit in one chunk
    scene = TrainingScene(relief, relief_cameras(96, 64, 6, 0))
    options = PairOptions(crop=48, prefixes=3, views=2, encode_views=4, heights=(64,))
    pairs = make_pairs(scene, default_rasterizer(), options, np.random.default_rng(0))
    assert pairs.inputs.shape[1:] == (PLANES, 48, 48)
    assert pairs.targets.shape == (len(pairs), 3, 48, 48)
    assert pairs.alphas.shape == (len(pairs), 48, 48)
    assert 0 < len(pairs) <= 6
    weights = pairs.inputs[:, 6:8].astype(int).sum(axis=1)
    assert (weights <= 257).all()
    assert (pairs.inputs[:, :3] != pairs.targets).any()


def test_a_relief_covers_the_whole_photograph() -> None:
    y, x = np.mgrid[:60, :90] / 60
    photograph = np.stack([x / 1.5, y, 1 - y], -1).astype(np.float32)
    relief = lift(photograph, 6000, 1)
    camera = relief_cameras(60, 40, 1, 3)[0]
    render = default_rasterizer().render(relief, camera)
    assert render.alpha[10:-10, 15:-15].min() > 0.95
    smaller = lift(photograph, 6000, 1, cut_out=True)
    assert 0.2 * len(relief) < len(smaller) < 0.7 * len(relief)


def test_a_room_of_photographs_is_closed_and_shows_all_of_them() -> None:
    y, x = np.mgrid[:60, :90] / 60
    red, blue = (np.zeros((60, 90, 3), np.float32) for _ in range(2))
    red[..., 0], blue[..., 2] = 0.3 + y / 2, 0.3 + x / 3
    room = photo_room([red, blue], 30_000, 2)
    assert len(room) == pytest.approx(30_000, rel=0.1)
    cameras = synthesise_views(room, 4, width=64, height=48, seed=1)
    renders = [default_rasterizer().render(room, camera) for camera in cameras]
    assert min(float((render.alpha > 0.95).mean()) for render in renders) > 0.98
    seen = np.mean([render.rgb.mean(axis=(0, 1)) for render in renders], axis=0)
    assert min(seen[0], seen[2]) > 0.05 > seen[1]


def test_a_capture_ends_where_its_pictures_end() -> None:
    y, x = np.mgrid[:60, :90] / 60
    room = photo_room([np.stack([x / 1.5, y, 1 - y], -1).astype(np.float32)], 30_000, 2)
    capture = Capture(room, 3)
    pictures = capture.cameras(12, (27, 40), 50)
    seen = seen_from(room, pictures, default_rasterizer())
    assert 0.02 * len(room) < len(seen) < 0.6 * len(room)
    upright = [default_rasterizer().render(seen, camera).alpha for camera in pictures]
    assert np.mean(upright) > 0.97  # nothing is missing in the pictures themselves
    wide = capture.cameras(6, (96, 40), 50)
    beside = np.stack([default_rasterizer().render(seen, camera).alpha for camera in wide])
    assert np.mean(beside[:, :, 40:56]) > 0.8
    assert (
        np.mean(beside[:, :, [0, 1, 2, -3, -2, -1]]) < 0.7
    )  # Gaussians outside the pictures are removed


def test_a_densified_scene_is_similar_and_as_uneven_as_a_trained_one() -> None:
    y, x = np.mgrid[:60, :90] / 60
    photograph = np.stack([x / 1.5, y, (np.sin(20 * x * y) > 0) * 0.8], -1).astype(np.float32)
    relief = lift(photograph, 6000, 1)
    cameras = relief_cameras(96, 64, 14, 3)
    rasterizer = default_rasterizer()
    one = densified(relief, 900, cameras[:12], rasterizer, np.random.default_rng(5))
    assert len(one) == pytest.approx(900, rel=0.1)
    for camera in cameras[12:]:
        shown, drawn = (rasterizer.render(scene, camera).rgb for scene in (relief, one))
        assert psnr(np.clip(drawn, 0, 1), np.clip(shown, 0, 1)) > 18
    faint = [np.quantile(scene.opacities, 0.25) for scene in (one, relief)]
    assert faint[0] < 0.8 * faint[1]
    spread = [_unevenness(scene.means) for scene in (one, relief)]
    assert spread[0] > 1.5 * spread[1]


def _unevenness(means: npt.NDArray[np.float32]) -> float:
    """The 95th percentile of the distances to neighbours, relative to the median."""
    distances = find_neighbours(means, find_candidates(means), slice(0, len(means))).distances.mean(
        axis=1
    )
    return float(np.quantile(distances, 0.95) / np.median(distances))


@pytest.mark.parametrize("seed", [0, 1])
def test_solids_are_closed_and_in_front_of_empty_background(seed: int) -> None:
    scene = load_source(f"solids:{seed}", Path(), 6, (96, 54))
    renders = [default_rasterizer().render(scene.gaussians, camera) for camera in scene.cameras]
    alpha = np.stack([render.alpha for render in renders])
    shown, solid = (alpha > 0.05).mean(), (alpha > 0.9).mean()
    assert 0.04 < solid < 0.7  # part of the picture
    assert solid > 0.7 * shown  # few pixels are partly covered: outlines only
    again = load_source(f"solids:{seed}", Path(), 6, (96, 54))
    assert np.array_equal(scene.gaussians.means, again.gaussians.means)


def test_solids_have_strong_contrast_between_neighbouring_pixels() -> None:
    steps = []
    for seed in range(4):
        scene = load_source(f"solids:{seed}", Path(), 4, (192, 108))
        for camera in scene.cameras:
            render = default_rasterizer().render(scene.gaussians, camera)
            covered = render.alpha > 0.95
            light = render.rgb.mean(axis=2)
            beside = covered[:, 4:] & covered[:, :-4]
            steps.append(np.abs(light[:, 4:] - light[:, :-4])[beside])
    assert 0.05 < (np.concatenate(steps) > 0.15).mean() < 0.6


def test_a_negative_equals_the_picture_of_gaussians_with_inverted_colours() -> None:
    y, x = np.mgrid[:64, :96] / 64
    photograph = np.stack([x / 1.5, y, (np.sin(20 * x) > 0) * 0.8], -1).astype(np.float32)
    relief = lift(photograph, 4000, 0)
    opposite = replace(relief, sh0=-relief.sh0)  # sh0 is 0 where a colour is 0.5
    options = PairOptions(crop=48, prefixes=2, views=2, encode_views=4, heights=(64,))
    cameras = relief_cameras(96, 64, 6, 0)
    pairs, others = (
        make_pairs(
            TrainingScene(scene, cameras), default_rasterizer(), options, np.random.default_rng(0)
        )
        for scene in (relief, opposite)
    )
    stack, target = negative(pairs.inputs[0], pairs.targets[0], pairs.alphas[0])
    for colors in (RAW, GAPS, SPREAD, STRETCHED):
        assert np.abs(stack[colors].astype(int) - others.inputs[0, colors]).mean() < 3
    assert np.abs(target.astype(int) - others.targets[0]).mean() < 1
    assert np.array_equal(stack[MAP], pairs.inputs[0, MAP])


def test_training_and_painting_use_the_same_gate() -> None:
    stack = torch.rand((1, PLANES, 8, 8), generator=torch.Generator().manual_seed(0))
    stack[:, 7:] = 0
    answer = torch.zeros((1, 3, 8, 8))
    assert torch.equal(painted(stack, answer), stack[:, :3])
    stack[:, 7] = 1
    assert torch.equal(painted(stack, answer), answer)
    for doubt, reach in ((0.35, 0.0), (0.0, 0.05), (0.32, 0.03)):
        stack[:, 7], stack[:, REACH] = doubt, reach
        shape = (8, 8)
        doubted, reached = (np.full(shape, x, np.float32) for x in (doubt, reach))
        opened = float(gate_of(doubted, reached).mean())
        assert 0.05 < opened < 0.95
        torch.testing.assert_close(painted(stack, answer), (1 - opened) * stack[:, :3])


def test_the_ssim_of_the_loss_is_close_to_ssim() -> None:
    rng = np.random.default_rng(0)
    a = np.cumsum(np.cumsum(rng.normal(0, 0.02, (64, 64, 3)), 0), 1)
    a = ((a - a.min()) / np.ptp(a)).astype(np.float32)
    b = np.clip(a + rng.normal(0, 0.03, a.shape), 0, 1).astype(np.float32)
    ours = mean_ssim(*(torch.from_numpy(x).permute(2, 0, 1)[None] for x in (a, b)))
    assert ours.item() == pytest.approx(ssim(a, b), abs=0.05)


def test_the_latent_loss_does_not_depend_on_the_scale_of_latents() -> None:
    picture, latent, wanted = torch.rand((3, 1, 3, 16, 16), generator=torch.Generator()).unbind()
    weights = LossWeights(latent=1.0)
    small = loss_of(picture, picture, latent, wanted, weights)
    assert small > 0.1
    torch.testing.assert_close(
        loss_of(picture, picture, 100 * latent, 100 * wanted, weights), small
    )


def test_a_crop_with_a_large_error_has_a_smaller_gradient() -> None:
    target = torch.full((2, 3, 16, 16), 0.5)
    errors = torch.tensor([0.05, 0.3])[:, None, None, None]
    shown = (target + errors).requires_grad_()
    latent = torch.ones(2, 1)
    loss_of(shown, target, latent, latent, LossWeights(ssim=0, latent=0)).backward()
    assert shown.grad is not None
    near, far = shown.grad.abs().mean(dim=(1, 2, 3)).tolist()
    assert near > 4 * far


def test_a_batch_depends_on_seed_and_step_only(tmp_path: Path) -> None:
    _shard(tmp_path)
    pairs = TrainingPairs([read_shard(_path(tmp_path))])
    one, again, other = (draw_batch(pairs, OPTIMISER, step) for step in (3, 3, 4))
    assert torch.equal(one.stacks, again.stacks)
    assert not torch.equal(one.stacks, other.stacks)
    inputs, targets = one.scaled(torch.device("cpu"))
    assert inputs.max() <= 1
    dimmed = (one.channel_gains < 1).any(dim=1)[:, 0, 0]
    assert torch.equal(targets[~dimmed], one.targets[~dimmed] / 255)
    assert (
        learning_rate_at(0, OPTIMISER) < learning_rate_at(10, OPTIMISER) == OPTIMISER.learning_rate
    )
    assert learning_rate_at(OPTIMISER.steps - 1, OPTIMISER) < 0.3 * OPTIMISER.learning_rate


@pytest.mark.parametrize("name", ["painter-cpu.toml", "painter-h200.toml"])
def test_the_recipes_of_the_repository_can_be_read(name: str) -> None:
    recipe = read_recipe(_RECIPES / name)
    options = recipe.pairs
    assert min(options.heights) >= options.crop  # a crop fits every picture
    held_out = ("fox", "donut", "blocks")
    assert not [s for s in recipe.sources if any(word in s for word in held_out)]


def test_both_recipes_of_the_shipped_weights_have_the_same_sources() -> None:
    recipe, other = (read_recipe(_RECIPES / f"{name}.toml") for name in ("spread", "painter-cpu"))
    assert recipe.spread is not None
    assert other.spread is None
    assert recipe.sources == other.sources
    assert recipe.validation == other.validation


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources = 3", "sources"),
        ("sources = ['room:1']", "unet"),
        ("sources = ['room:1']\nunet = {}\n[optimiser]\nsteps = 'x'", "steps"),
        ("sources = ['room:1']\nunet = {}\n[optimiser]\nspeed = 3", "speed"),
        ("sources = ['room:1']\nunet = {}\ncolour = 1", "colour"),
        ("sources = ['room:1']\nunet = {}\nstart = 3", "start"),
        ("sources = ['room:5-3']\nunet = {}", "room:5-3"),
        ("sources = ['room:1-3/0']\nunet = {}", "room:1-3/0"),
        ("= 1", "not a TOML file"),
        ("sources = ['room:1']\nvalidation = ['room:1']\nunet = {}", "room:1"),
        ("sources = ['room:1']\nunet = {}\n[optimiser]\nbatch = 0", "batch"),
        ("sources = ['room:1']\nunet = {}\n[optimiser]\ncrop = 300", "crop is larger"),
        ("sources = ['room:1']\nunet = {}\n[optimiser]\ncrop = 100", "multiple of 8"),
        ("sources = ['room:1']\nunet = {}\n[pairs]\nheights = []", "heights"),
        ("sources = ['room:1']\nunet = {}\n[pairs]\nheights = ['a']", "heights"),
        ("sources = ['room:1']\nunet = {}\n[pairs]\ncrop = 224", "smallest of heights"),
        ("sources = ['room:1']\n[spread]\n[unet]", "must not have unet"),
        ("sources = ['room:1']\nstart = 'shipped'\n[spread]", "must not have start"),
        ("sources = ['room:1']\n[spread]\nhidden = 0", "hidden must be 1"),
        ("sources = ['room:1']\n[spread]\nheights = []", "heights is empty"),
        ("sources = ['room:1']\n[spread]\nheights = [0]", "heights must be 7"),
        ("sources = ['room:1']\nspread = 3", "not a table"),
        (
            "sources = ['room:1']\n[spread]\n[optimiser]\ncrop = 64",
            r"must not have \[optimiser\] crop",
        ),
        ("sources = ['room:1']\n[spread]\n[loss]\nlatent = 0.1", "must not have .loss. latent"),
        ("sources = ['room:1']\noptimiser = 3\n[spread]", "not a table"),
        ("sources = ['room:1']\n[spread]\n[optimiser]\nseed = -1", "seed is negative"),
        ("sources = ['room:1']\n[unet]\nblock_out_channels = 3", "not a list"),
    ],
)
def test_an_invalid_recipe_gives_a_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)


def test_a_range_of_sources_is_expanded(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("sources = ['photo:0-9/4', 'a.ply', 'room:2-3', 'a.ply:7']\nunet = {}")
    wanted = ("photo:0", "photo:4", "photo:8", "a.ply", "room:2", "room:3", "a.ply:7")
    assert read_recipe(path).sources == wanted


def test_a_source_can_be_part_of_a_scene_file(tmp_path: Path) -> None:
    write_ply(tmp_path / "room.ply", sample_scene(60_000, 0))
    part = load_source("room.ply:3", tmp_path, 3, (64, 48))
    again = load_source("room.ply:3", tmp_path, 3, (64, 48))
    assert 20_000 <= len(part.gaussians) < 40_000
    assert np.array_equal(part.gaussians.means, again.gaussians.means)
    assert default_rasterizer().render(part.gaussians, part.cameras[1]).alpha.mean() > 0.1


@pytest.mark.parametrize("source", ["room:x", "sky:1", "photo:0", "sky-densified:1"])
def test_an_unknown_source_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(RecipeError):
        load_source(source, tmp_path, 2, (64, 48))

"""The network that chooses gains for bands of detail, and how it is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.painter import detail_pairs
from bench.painter.detail_module import DetailModule
from bench.painter.detail_pairs import PairOptions, Shard, folder_of, make_shard
from bench.painter.detail_training import Recipe, Training, draw_batch, painted, read_recipe
from bench.painter.flip_loss import flip_means
from exgs.painter.bands import BANDS, LEVELS, bands_of, blurred_copies, cell_means, enlarged
from exgs.painter.detail import FIRST_GAINS, DetailNetwork, shipped
from exgs.painter.stlpips import stlpips_weights
from exgs.painter.training.scenes import TrainingScene
from exgs.painter.training.schedule import OptimiserOptions
from exgs.scene.metrics import can_flip, flip
from exgs.scene.views.made_up import synthesise_views
from tests.client.scenes import write_box

_RECIPE = Path(__file__).parents[2] / "bench" / "recipes" / "sharpen.toml"


def _module(width: int = 8) -> DetailModule:
    torch.manual_seed(0)
    module = DetailModule(width)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module


def _network(module: DetailModule) -> DetailNetwork:
    return DetailNetwork({name: value.numpy() for name, value in module.state_dict().items()})


def _inputs(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    cells = -(-height // 4), -(-width // 4)
    maps = rng.normal(0, 1, (*cells, 6)).astype(np.float32)
    return rng.uniform(0, 1, (height, width, 3)).astype(np.float32), maps


def test_the_network_equals_its_torch_module() -> None:
    module, (picture, maps) = _module(), _inputs(40, 56)
    tensors = (torch.from_numpy(x.transpose(2, 0, 1).copy())[None] for x in (picture, maps))
    with torch.no_grad():
        wanted = module(*tensors)[0].permute(1, 2, 0).numpy()
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(_network(module).added(picture, maps), wanted, atol=1e-5)


def test_an_untrained_network_applies_one_filter_everywhere() -> None:
    picture, maps = _inputs(24, 32)
    bands = bands_of(picture, blurred_copies(picture))
    wanted = sum(gain * band for gain, band in zip(FIRST_GAINS, bands, strict=True))
    added = _network(DetailModule(8)).added(picture, maps)
    np.testing.assert_allclose(added, wanted, atol=1e-5)


@pytest.mark.parametrize("size", [(17, 30), (2, 3), (4, 4)])
def test_pictures_of_any_size_work_and_flat_ones_stay_flat(size: tuple[int, int]) -> None:
    picture, maps = _inputs(*size)
    assert shipped().added(picture, maps).shape == picture.shape
    flat = np.full_like(picture, 0.4)
    np.testing.assert_allclose(shipped().added(flat, maps), 0.0, atol=1e-6)


def test_bands_with_a_gain_of_one_add_up_to_the_detail() -> None:
    picture, _ = _inputs(30, 41)
    copies = blurred_copies(picture)
    bands = list(bands_of(picture, copies))
    assert len(bands) == BANDS
    np.testing.assert_allclose(sum(bands[:LEVELS]), picture - copies[-1], atol=1e-6)
    across = np.broadcast_to(np.linspace(0, 1, 41, dtype=np.float32)[:, None] ** 2, (30, 41, 3))
    along, falling = list(bands_of(across, blurred_copies(across)))[-2:]
    assert along[10:20, 10:30].mean() > 1e-3
    np.testing.assert_allclose(falling, 0, atol=1e-6)


def test_cells_are_averaged_and_interpolated() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32)[:, None], (16, 32, 1))
    np.testing.assert_allclose(
        enlarged(cell_means(ramp), 16, 32)[:, 2:-2], ramp[:, 2:-2], atol=1e-5
    )
    assert cell_means(ramp[:15, :31]).shape == (4, 8, 1)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    """The pairs of a small scene."""
    folder = tmp_path_factory.mktemp("detail")
    (folder / "files").mkdir()
    path = folder / "files" / "solids-0.exgs"  # a file that is there is not written again
    scene = write_box(path, 2000)
    cameras = synthesise_views(scene, 3)
    few = pytest.MonkeyPatch()
    few.setattr(detail_pairs, "load_source", lambda *_: TrainingScene(scene, cameras))
    options = PairOptions(prefixes=2, views=2, pool=3, least_bytes=path.stat().st_size // 3)
    try:
        assert make_shard("solids:0", folder, folder, options)
        assert not make_shard("solids:0", folder, folder, options)
    finally:
        few.undo()
    return Shard.read(folder_of("solids:0", folder))


def test_pairs_are_pictures_with_their_maps(shard: Shard) -> None:
    assert shard.picture.shape == shard.target.shape
    assert shard.maps.shape[1:] == (90, 160, 6)
    assert shard.gate.max() == 255
    error = np.abs(shard.picture - shard.target / 255.0).mean()
    assert 0 < error < 0.2


def test_batches_depend_on_the_step_alone(shard: Shard) -> None:
    options = OptimiserOptions(batch=2, crop=64)
    first, again, other = (draw_batch([shard], options, step) for step in (0, 0, 1))
    assert torch.equal(first.picture, again.picture)
    assert not torch.equal(first.picture, other.picture)
    assert first.maps.shape == (2, 6, 16, 16)
    assert painted(DetailModule(8), first).shape == first.target.shape


def test_shifted_crops_show_the_same_places(shard: Shard) -> None:
    options = OptimiserOptions(batch=1, crop=64)
    batch = draw_batch([shard], options, 3)
    ramp = torch.arange(16.0).expand(1, 6, 16, 16)
    moved = replace(batch, maps=ramp).shifted(1, 2)
    assert torch.equal(moved.picture, batch.picture[..., 1:61, 2:62])
    assert torch.equal(moved.maps, ramp[..., :15, :15] + 0.5)
    shifts = [draw_batch([shard], options, step).shift for step in range(20)]
    assert {0, 1, 2, 3} == {part for shift in shifts for part in shift}


@pytest.mark.skipif(not can_flip(), reason="flip-evaluator is not installed")
def test_the_loss_of_flip_equals_the_metric() -> None:
    rng = np.random.default_rng(4)
    target = np.kron(rng.uniform(0, 1, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.float32)
    pictures = np.clip([target, target + rng.normal(0, 0.1, target.shape), target[::-1]], 0, 1)
    near, far = (
        torch.from_numpy(np.float32(x)).permute(0, 3, 1, 2)
        for x in (pictures, np.stack([target] * 3))
    )
    wanted = [flip(picture.astype(np.float32), target) for picture in pictures]
    np.testing.assert_allclose(flip_means(near, far).numpy(), wanted, atol=2e-3)
    shown = near[1:].requires_grad_()
    flip_means(shown, far[1:]).sum().backward()
    assert shown.grad is not None
    assert shown.grad.isfinite().all()


def test_onnxruntime_computes_the_same() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from bench.painter.detail_onnx import model

    weights = {name: value.numpy() for name, value in _module().state_dict().items()}
    session = runtime.InferenceSession(model(weights).SerializeToString())
    for size in ((40, 56), (64, 48)):
        picture, maps = _inputs(*size)
        planes = {
            name: np.ascontiguousarray(value.transpose(2, 0, 1)[None])
            for name, value in (("picture", picture), ("maps", maps))
        }
        [added] = session.run(["added"], planes)
        wanted = DetailNetwork(weights).added(picture, maps)
        np.testing.assert_allclose(added[0].transpose(1, 2, 0), wanted, atol=1e-4)


@pytest.mark.skipif(stlpips_weights("vgg") is None, reason="stlpips-pytorch is not installed")
def test_training_reduces_the_loss_and_continues(shard: Shard, tmp_path: Path) -> None:
    options = OptimiserOptions(batch=1, crop=64, warm_up=1, learning_rate=3e-3, weight_decay=0)
    recipe = Recipe(["solids:0"], [], width=8, optimiser=options)
    recipe = replace(recipe, loss=replace(recipe.loss, slices=2))
    training, batch = Training(recipe), draw_batch([shard], options, 0)
    losses = []
    for _ in range(12):
        training.advance(batch)
        losses.append(training.losses[-1][0])
    assert losses[-1] < losses[0]
    training.save(tmp_path / "checkpoint.pt")
    other = Training(recipe)
    other.resume(tmp_path / "checkpoint.pt")
    assert other.step == 12
    for mine, theirs in zip(training.mean.parameters(), other.mean.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_recipe_in_the_repository_is_valid() -> None:
    recipe = read_recipe(_RECIPE)
    assert set(recipe.sources).isdisjoint(recipe.validation)

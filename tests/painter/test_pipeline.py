"""GaussPainter's network: one step without noise, and safe loading of model folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from exgs.painter.inputs import (
    GAPS,
    LEAVES,
    MAP,
    PLANES,
    PROXIES,
    RAW,
    REACH,
    SPREAD,
    STRETCHED,
)
from exgs.painter.interface import PainterError
from exgs.painter.models import GPU_PRECISION, SHIPPED, load_network
from exgs.painter.pipeline import GaussPainterPipeline
from tests.painter.frames import small_pipeline


def _stack(seed: int = 0) -> torch.Tensor:
    return torch.rand((2, PLANES, 32, 48), generator=torch.Generator().manual_seed(seed))


def _frame(height: int, width: int) -> torch.Tensor:
    """A smooth stack, like real ones: most of the picture is missing, spread leaves cover it."""
    coarse = torch.rand((1, 3, 6, 8), generator=torch.Generator().manual_seed(0))
    whole = functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    stack = torch.full((1, PLANES, height, width), 0.4)  # the confidence map: proxies and gaps
    stack[:, LEAVES], stack[:, 8] = 0.2, 0
    stack[:, RAW], stack[:, GAPS] = 0.6 * whole, whole
    for colors, cover in ((SPREAD, 0.95), (STRETCHED, 0.9)):
        stack[:, colors], stack[:, colors.stop] = cover * whole, cover
    return stack


def test_an_untrained_network_returns_the_picture_of_the_spread_leaves() -> None:
    stack = _stack()
    assert torch.equal(small_pipeline(untrained=True)(stack), stack[:, SPREAD])


def test_the_decoder_can_return_each_of_its_alternatives() -> None:
    stack = _stack()
    spread = stack[:, SPREAD]
    nothing = 1 - stack[:, LEAVES, None] - stack[:, PROXIES, None]
    alternatives = [
        stack[:, RAW],
        stack[:, RAW] + nothing * spread,
        spread + stack[:, REACH, None] * stack[:, GAPS],
    ]
    for number, wanted in enumerate(
        alternatives, start=3
    ):  # after the three channels of the residual
        pipeline = small_pipeline(untrained=True)
        with torch.no_grad():
            pipeline.vae.leave.bias[16 * number : 16 * number + 16] = 1
        torch.testing.assert_close(pipeline(stack), wanted)


def test_the_step_subtracts_the_velocity_from_the_latent() -> None:
    pipeline, stack = small_pipeline(), _stack()
    with torch.inference_mode():
        latent, features = pipeline.vae.encode(stack)
        confidence = functional.avg_pool2d(stack[:, MAP], 8)
        velocity = pipeline.unet(torch.cat([latent, confidence], 1), 1000.0).sample
        wanted = pipeline.vae.decode(latent - velocity, features, stack)
        assert velocity.abs().mean() > 1e-3
    torch.testing.assert_close(pipeline(stack), wanted)


def test_painting_is_deterministic() -> None:
    pipeline, stack = small_pipeline(), _stack()
    assert torch.equal(pipeline(stack), pipeline(stack))


def test_a_saved_model_gives_the_same_pictures_when_loaded(tmp_path: Path) -> None:
    pipeline, stack = small_pipeline(), _stack()
    pipeline.save_pretrained(tmp_path, safe_serialization=True)
    torch.testing.assert_close(load_network(tmp_path)(stack), pipeline(stack))
    diffusers_own = GaussPainterPipeline.from_pretrained(
        tmp_path, local_files_only=True, low_cpu_mem_usage=False
    )
    torch.testing.assert_close(diffusers_own(stack), pipeline(stack))


@pytest.mark.parametrize("precision", [torch.float32, GPU_PRECISION])
def test_the_shipped_weights_paint_in_every_supported_precision(precision: torch.dtype) -> None:
    stack = _frame(96, 128)
    whole = load_network()(stack)
    painted = load_network(precision=precision)(stack.to(precision)).float()
    assert painted.isfinite().all()
    assert (painted - whole).abs().mean() < 0.01
    assert (painted - whole).abs().max() < 0.02
    assert (whole - stack[:, SPREAD]).abs().max() > 0.05


def test_the_shipped_weights_are_small_and_half_precision() -> None:
    files = list(SHIPPED.rglob("*.safetensors"))
    assert len(files) == 2
    assert sum(file.stat().st_size for file in files) < 32 << 20
    pipeline = load_network()
    assert isinstance(pipeline, GaussPainterPipeline)
    stack = functional.interpolate(_stack(), size=(64, 96))
    assert not torch.equal(pipeline(stack), stack[:, SPREAD])
    index = {path.suffix for path in SHIPPED.rglob("*") if path.is_file()}
    assert index == {".json", ".md", ".npz", ".safetensors"}


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("model_index.json", {"_class_name": "os"}, "not a pipeline for painting"),
        ("vae/config.json", {"_class_name": "UNet2DModel"}, "expected PixelVae"),
        ("unet/config.json", {"in_channels": 7}, "do not fit"),
        ("unet/config.json", {"act_fn": "none such"}, "do not fit"),
        ("unet/config.json", {"norm_num_groups": 0}, "do not fit"),
        ("unet/config.json", {"down_block_types": []}, "do not fit|can't paint"),
        ("vae/config.json", {"planes": 11}, "do not fit"),
        ("scheduler/scheduler_config.json", {"use_dynamic_shifting": True}, "can't paint"),
    ],
)
def test_a_model_folder_can_not_choose_what_runs(
    tmp_path: Path, file: str, change: dict[str, object], message: str
) -> None:
    small_pipeline().save_pretrained(tmp_path)
    path = tmp_path / file
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PainterError, match=message):
        load_network(tmp_path)


def test_code_and_pickles_in_a_folder_are_ignored(tmp_path: Path) -> None:
    small_pipeline().save_pretrained(tmp_path)
    for name in ("pipeline.py", "vae/vae.py", "unet/modeling.py"):
        (tmp_path / name).write_text("raise SystemExit('code of the folder was run')")
    load_network(tmp_path)
    (tmp_path / "unet/diffusion_pytorch_model.safetensors").rename(
        tmp_path / "unet/diffusion_pytorch_model.bin"
    )
    with pytest.raises(PainterError, match="must be in safetensors"):
        load_network(tmp_path)


def test_a_folder_without_a_model_gives_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PainterError, match="is this a model folder"):
        load_network(tmp_path)
    (tmp_path / "model_index.json").write_text("[1")
    with pytest.raises(PainterError, match="not a JSON file"):
        load_network(tmp_path)
    small_pipeline().save_pretrained(tmp_path)
    (tmp_path / "vae/diffusion_pytorch_model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(PainterError, match="not a safetensors file"):
        load_network(tmp_path)

"""A one-step Stable Diffusion model works through the same interface."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import save_file

from exgs.painter.choice import painter_named
from exgs.painter.inputs import PLANES, SPREAD
from exgs.painter.interface import PainterError
from exgs.painter.models import PROMPT_FILE, load_network
from tests.painter.frames import frame


def _write_model(folder: Path, prediction: str = "epsilon") -> None:
    """Write a folder with the layout of SD-Turbo and a few thousand random weights."""
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
    ).save_pretrained(folder / "vae")
    UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=4,
        norm_num_groups=4,
    ).save_pretrained(folder / "unet")
    EulerDiscreteScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction,
        timestep_spacing="trailing",
    ).save_pretrained(folder / "scheduler")
    save_file({"prompt_embeds": torch.randn(1, 7, 12)}, folder / PROMPT_FILE)
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.24.0"}
    (folder / "model_index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_it_paints_gaps_and_keeps_certain_pixels(tmp_path: Path, prediction: str) -> None:
    _write_model(tmp_path, prediction)
    painter = painter_named("gauss", tmp_path)
    assert painter is not None
    render, confidence = frame()
    painted = painter.paint(render, confidence)
    leaves = confidence.leaves == 1
    assert painted[leaves].tobytes() == render.rgb[leaves].tobytes()
    assert not np.array_equal(painted[~leaves], render.rgb[~leaves])
    assert painted.tobytes() == painter.paint(render, confidence).tobytes()


def test_a_perfect_prediction_of_the_noise_gives_the_clean_picture(tmp_path: Path) -> None:
    _write_model(tmp_path)
    network = load_network(tmp_path)
    stack = torch.rand((1, PLANES, 32, 32), generator=torch.Generator().manual_seed(1))

    class _NoNoise(torch.nn.Module):
        def forward(self, sample: torch.Tensor, *_: object, **__: object) -> object:
            kept = float(network.scheduler.alphas_cumprod[199]) ** 0.5  # type: ignore[attr-defined]
            return type("Out", (), {"sample": (1 - kept) / (1 - kept**2) ** 0.5 * sample})

    network.unet = _NoNoise()  # type: ignore[attr-defined]
    vae = network.vae  # type: ignore[attr-defined]
    with torch.inference_mode():
        wanted = (
            vae.decode(vae.encode(2 * stack[:, SPREAD].clamp(0, 1) - 1).latent_dist.mode()).sample
            / 2
            + 0.5
        )
    torch.testing.assert_close(network(stack), wanted.clamp(0, 1), atol=1e-4, rtol=1e-4)


def test_a_model_without_prompt_gives_a_clear_error(tmp_path: Path) -> None:
    _write_model(tmp_path)
    (tmp_path / PROMPT_FILE).unlink()
    with pytest.raises(PainterError, match="empty prompt"):
        load_network(tmp_path)

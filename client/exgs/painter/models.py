"""Reads model folders without downloads and without running code from them.

A folder holds JSON and safetensors files. It may name only the classes that are listed here. Code
files, pickles and names of other modules are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UNet2DConditionModel,
    UNet2DModel,
)
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from exgs.painter.inputs import PLANES
from exgs.painter.interface import PainterError
from exgs.painter.pipeline import GaussPainterPipeline
from exgs.painter.turbo import TurboPainterPipeline
from exgs.painter.vae import PixelVae

SHIPPED = Path(__file__).parent / "weights"
GPU_PRECISION = torch.bfloat16  # activations exceed 65,504, the largest float16

PROMPT_FILE = "prompt.safetensors"
_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
_TURBO = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")


class Network(Protocol):
    """A pipeline that restores stacks of planes (see `inputs.planes`)."""

    @property
    def multiple(self) -> int:
        """Heights and widths must be multiples of this many pixels."""
        ...

    def __call__(self, stack: Tensor) -> Tensor:
        """Restore pictures [B, 3, H, W] from stacks [B, PLANES, H, W] in its precision."""
        ...

    def to(self, device: str) -> Self:
        """Move the network to `device`, in place."""
        ...


def load_network(folder: Path = SHIPPED, precision: torch.dtype = torch.float32) -> Network:
    """Load the network of a model folder on the CPU.

    The folder has GaussPainter's layout, or that of a one-step Stable Diffusion model such as
    SD-Turbo, with the embedding of its prompt in prompt.safetensors. The network has to paint a
    small picture first. Raises PainterError.
    """
    index = _json(folder / "model_index.json")
    name = index.get("_class_name")
    pipeline: GaussPainterPipeline | TurboPainterPipeline
    if name == GaussPainterPipeline.__name__:
        pipeline = GaussPainterPipeline(
            _module(PixelVae, folder / "vae", precision),
            _module(UNet2DModel, folder / "unet", precision),
            _scheduler(FlowMatchEulerDiscreteScheduler, folder / "scheduler"),
        )
    elif name in _TURBO:
        pipeline = TurboPainterPipeline(
            _module(AutoencoderKL, folder / "vae", precision),
            _module(UNet2DConditionModel, folder / "unet", precision),
            _scheduler(EulerDiscreteScheduler, folder / "scheduler"),
            _prompt(folder / PROMPT_FILE),
        )
    else:
        raise PainterError(
            f"{folder}: {name!r} is not a pipeline for painting; expected"
            f" {GaussPainterPipeline.__name__} or {_TURBO[0]}"
        )
    _try(pipeline, folder, precision)
    return pipeline


def _try(network: Network, folder: Path, precision: torch.dtype) -> None:
    """Raise PainterError unless `network` paints a small picture.

    Some errors in a folder show only when the network runs.
    """
    side = network.multiple
    try:
        picture = network(torch.zeros(1, PLANES, side, side, dtype=precision))
    except Exception as error:  # a bad configuration can raise anything inside the library
        raise PainterError(f"{folder}: its network can't paint: {_line(error)}") from error
    if picture.shape != (1, 3, side, side):
        raise PainterError(f"{folder}: its network returns shape {list(picture.shape)}")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _module(kind: type[Any], folder: Path, precision: torch.dtype) -> Any:
    """Load the module of a folder's config.json and safetensors."""
    config = _json(folder / "config.json")
    if config.get("_class_name") != kind.__name__:
        raise PainterError(
            f"{folder}: holds a {config.get('_class_name')!r}, expected {kind.__name__}"
        )
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    if not found:
        raise PainterError(f"{folder}: no {_WEIGHTS[0]}; weights must be in safetensors")
    _require_safetensors(found[0])
    half = {} if found[0].name == _WEIGHTS[0] else {"variant": "fp16"}
    try:
        module, loading = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            torch_dtype=precision,
            output_loading_info=True,
            **half,
        )
    except Exception as error:  # a bad configuration can raise anything inside the library
        raise PainterError(
            f"{folder}: configuration and weights do not fit: {_line(error)}"
        ) from error
    for fault, names in loading.items():  # the library would initialise missing weights at random
        if names:
            raise PainterError(
                f"{folder}: configuration and weights do not fit: {fault} {sorted(names)[0]!r}"
            )
    return module.eval().requires_grad_(False)


def _scheduler(kind: type[Any], folder: Path) -> Any:
    """Load the scheduler of a folder. All Euler schedulers share the fields of their layout."""
    config = {k: v for k, v in _json(folder / "scheduler_config.json").items() if k[0] != "_"}
    try:
        return kind.from_config(config)
    except Exception as error:
        raise PainterError(f"{folder}: not a scheduler configuration: {_line(error)}") from error


def _prompt(path: Path) -> Tensor:
    """Read the embedding [1, T, D] of the prompt for a text-conditioned network."""
    if not path.is_file():
        raise PainterError(
            f"{path}: not found; save the text encoder's output for an empty prompt there,"
            " as one tensor [1, tokens, width] named prompt_embeds"
        )
    _require_safetensors(path)
    prompt = load_file(path).get("prompt_embeds")
    if prompt is None or prompt.ndim != 3 or len(prompt) != 1:
        raise PainterError(f"{path}: has no tensor prompt_embeds [1, tokens, width]")
    return prompt.float()


def _require_safetensors(path: Path) -> None:
    try:
        with safe_open(path, "pt"):
            pass
    except (OSError, SafetensorError) as error:
        raise PainterError(f"{path}: not a safetensors file: {error}") from error


def _json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise PainterError(f"{path}: {error.strerror}; is this a model folder?") from error
    except (ValueError, RecursionError) as error:
        raise PainterError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(value, dict):
        raise PainterError(f"{path}: not a JSON object")
    return value

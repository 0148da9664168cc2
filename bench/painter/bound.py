"""An upper bound for a small network on files with proxies: `python -m bench.painter.bound fox`.

Fits a network to one scene at one prefix of its file with proxies, and measures it on held-out
views of that scene. Its input is the picture alone. A network of this size for all scenes is
unlikely to gain more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.common.encoded import CACHE, encoded
from bench.common.scenes import SCENES, load_scene
from exgs.codec.decoding.decode import decode
from exgs.codec.encoding.encode import EncodeOptions
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.gaussians import Gaussians
from exgs.scene.views.made_up import synthesise_views

_WIDTH, _HEIGHT = 480, 270
_TRAINING_VIEWS, _HELD_OUT_VIEWS = 40, 8
_SEED = 77  # not used by the encoder
_STEPS, _BATCH, _CROP, _RATE = 4000, 4, 128, 2e-3
_CHANNELS = 20

Pair = tuple[Tensor, Tensor]  # pictures [3, H, W] of the prefix and of the whole scene


class _Network(nn.Module):
    """Works at a half and a quarter of the resolution and returns the picture plus a residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(12, channels, 3, padding=1)
        self.fine = nn.Conv2d(channels, channels, 3, padding=1)
        self.down = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.coarse = nn.ModuleList(
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1) for _ in range(2)
        )
        self.up = nn.Conv2d(2 * channels, channels, 1)
        self.last = nn.Conv2d(channels, channels, 3, padding=1)
        self.leave = nn.Conv2d(channels, 12, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[-2:]
        padded = functional.pad(picture, (0, -width % 4, 0, -height % 4), mode="replicate")
        fine = functional.silu(self.enter(functional.pixel_unshuffle(padded, 2)))
        fine = fine + functional.silu(self.fine(fine))
        coarse = functional.silu(self.down(fine))
        for layer in self.coarse:
            coarse = coarse + functional.silu(layer(coarse))
        fine = fine + functional.interpolate(self.up(coarse), scale_factor=2)
        fine = fine + functional.silu(self.last(fine))
        residual = functional.pixel_shuffle(self.leave(fine), 2)
        return picture + residual[..., :height, :width]


def pairs(scene: Gaussians, drawn: Gaussians, cameras: tuple[Camera, ...]) -> list[Pair]:
    """Pictures of a prefix and of the whole scene."""
    rasterizer = default_rasterizer()
    found = []
    for camera in (c.resized(_WIDTH, round(_WIDTH * c.height / c.width)) for c in cameras):
        pictures = (rasterizer.render(g, camera).rgb for g in (drawn, scene))
        one, other = (torch.from_numpy(np.clip(p, 0, 1).transpose(2, 0, 1)) for p in pictures)
        found.append((one.contiguous(), other.contiguous()))
    return found


def fit(network: nn.Module, examples: list[Pair]) -> None:
    """Minimise squared errors of random crops with Adam; the learning rate falls to zero."""
    rng = np.random.default_rng(0)
    optimiser = torch.optim.Adam(network.parameters(), _RATE)
    for step in range(_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (1 - step / _STEPS)
        crops = []
        for number in rng.integers(0, len(examples), _BATCH):
            one, other = examples[number]
            top, left = (rng.integers(0, size - _CROP + 1) for size in one.shape[1:])
            window = np.s_[:, top : top + _CROP, left : left + _CROP]
            crops.append((one[window], other[window]))
        given, wanted = (torch.stack(x) for x in zip(*crops, strict=True))
        loss = (network(given) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()


@torch.inference_mode()
def evaluate(network: nn.Module, examples: list[Pair]) -> tuple[float, float]:
    """Mean PSNR in dB before and after the network."""
    squares = [
        [(x - wanted).square().mean() for x in (given, network(given[None])[0].clamp(0, 1))]
        for given, wanted in examples
    ]
    before, after = (-10 * torch.tensor(squares).log10().mean(dim=0)).tolist()
    return before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", choices=SCENES)
    parser.add_argument("--bytes", type=int, default=64_000)
    parser.add_argument("--file", type=Path, help="its .exgs file; default: encode once and cache")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    bench = load_scene(options.scene, CACHE)
    choice = EncodeOptions(cameras=bench.cameras)
    path = options.file or encoded(options.scene, bench.gaussians, choice)
    drawn = decode(path, max_bytes=options.bytes).gaussians
    if bench.cameras is None:
        count = _TRAINING_VIEWS + _HELD_OUT_VIEWS
        views = synthesise_views(bench.gaussians, count, width=_WIDTH, height=_HEIGHT, seed=_SEED)
        training_views, held_out = views[_HELD_OUT_VIEWS:], views[:_HELD_OUT_VIEWS]
    else:
        training_views, held_out = (
            bench.cameras.fit[:_TRAINING_VIEWS],
            bench.cameras.held_out[:_HELD_OUT_VIEWS],
        )
    torch.manual_seed(0)
    network = _Network(_CHANNELS)
    fit(network, pairs(bench.gaussians, drawn, training_views))
    before, after = evaluate(network, pairs(bench.gaussians, drawn, held_out))
    weights = sum(p.numel() for p in network.parameters())
    print(
        f"{options.scene}, first {options.bytes:,} bytes: raw {before:.2f} dB, after a network of"
        f" {weights:,} weights {after:.2f} dB"
    )


if __name__ == "__main__":
    main()

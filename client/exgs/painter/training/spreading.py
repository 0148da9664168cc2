"""Trains the network that spreads leaves, through the gradients of the rasterizer.

The network spreads the leaves of a prefix. The picture of the result is compared with the picture
of the whole scene. The rasterizer returns gradients by Gaussian values; `output_gradients` converts
them to gradients by the outputs of the network, and torch does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from exgs.codec.encoding.stages import Progress
from exgs.painter.spread import (
    FEATURES,
    LAYERS,
    LEAST_LOG_SCALE,
    MOST_LOG_SCALE,
    NEIGHBOUR_LAYERS,
    OUTPUTS,
    LeafInputs,
    Spread,
    apply_outputs,
)
from exgs.painter.training.checkpoints import (
    read_checkpoint,
    write_arrays,
    write_checkpoint,
)
from exgs.painter.training.losses import mean_ssim, picture_loss
from exgs.painter.training.recipe import Recipe
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.painter.training.schedule import (
    DivergenceCheck,
    learning_rate_at,
    set_learning_rate,
    update_average,
    write_curve,
)
from exgs.painter.training.shards import make_missing, shard_paths
from exgs.painter.training.spread_examples import (
    SpreadExample,
    SpreadOptions,
    make_example,
    read_example,
    write_example,
)
from exgs.scene.backends import default_rasterizer
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Gradients, Rasterizer

_MOST_GRADIENT_NORM = 0.3  # larger gradients are clipped
_NEGATIVES = 0.5  # share of the pictures that are inverted
_VALIDATION_VIEWS = 2  # per validation scene
CURVE_COLUMNS = (
    "step",
    "loss",
    "validation_raw_psnr_db",
    "validation_spread_psnr_db",
    "validation_raw_ssim",
    "validation_spread_ssim",
    "rate",
)


class SpreadNetwork(nn.ModuleList):
    """The network of `spread.Spread`, with gradients."""

    def __init__(self, hidden: int) -> None:
        widths = [FEATURES] + [hidden] * (LAYERS - 1) + [OUTPUTS]
        super().__init__(
            nn.Linear(before * (2 if number in NEIGHBOUR_LAYERS else 1), after)
            for number, (before, after) in enumerate(pairwise(widths))
        )
        for weight in self[LAYERS - 1].parameters():
            nn.init.zeros_(weight)  # the untrained network changes almost nothing

    def forward(self, features: Tensor, nearest: Tensor) -> Tensor:
        """Outputs [N, OUTPUTS] from features [N, FEATURES] and indices of nearest leaves [N, 6]."""
        x = features
        for number, layer in enumerate(self):
            if number in NEIGHBOUR_LAYERS:
                others = functional.embedding(nearest, x).mean(
                    dim=1
                )  # its gradient is deterministic
                x = torch.cat([x, others], dim=1)
            x = layer(x)
            if number < LAYERS - 1:
                x = functional.silu(x)
        return x

    def arrays(self) -> dict[str, FloatArray]:
        """The weights in the form that `Spread` takes."""
        return {name: value.numpy() for name, value in self.state_dict().items()}


def output_gradients(
    gradients: Gradients,
    outputs: FloatArray,
    spread: Gaussians,
    leaves: Gaussians,
    inputs: LeafInputs,
) -> FloatArray:
    """Convert gradients of a loss by Gaussian values to gradients by the network's outputs.

    `spread` is the result of `apply_outputs(outputs, leaves, inputs)`.
    """
    scales = np.take_along_axis(gradients.scales * spread.scales, inputs.axes, axis=1)
    logs = outputs[:, :3]
    scales[(logs <= LEAST_LOG_SCALE) & (scales > 0)] = 0  # no step further beyond the limits
    scales[(logs >= MOST_LOG_SCALE) & (scales < 0)] = 0
    rest = [
        2 * gradients.opacities * spread.opacities * (1 - spread.opacities),
        (gradients.sh0 * (inputs.color - leaves.sh0)).sum(axis=1),
        (gradients.means * inputs.offset).sum(axis=1),
    ]
    return np.concatenate([scales, np.stack(rest, axis=1)], axis=1).astype(np.float32)


class SpreadTraining:
    """The state of a training run."""

    def __init__(
        self,
        recipe: Recipe,
        options: SpreadOptions,
        examples: Sequence[SpreadExample],
        validation: Sequence[SpreadExample],
        rasterizer: Rasterizer,
    ) -> None:
        torch.manual_seed(recipe.optimiser.seed)
        self.step = 0
        self.rows: list[dict[str, float]] = []
        self._recipe = recipe
        self._examples = [example for example in examples if example.prefixes]
        if not self._examples:
            raise RecipeError("no source has a usable prefix; add sources")
        self._validation = validation
        self._rasterizer = rasterizer
        self._live = SpreadNetwork(options.hidden)
        self._mean = SpreadNetwork(options.hidden).requires_grad_(False)
        self._mean.load_state_dict(self._live.state_dict())
        self._optimiser = torch.optim.AdamW(
            self._live.parameters(), weight_decay=recipe.optimiser.weight_decay
        )
        self._losses: list[float] = []
        self._divergence = DivergenceCheck()

    def advance(self) -> None:
        """Do one step. Raises RecipeError if the run has diverged."""
        options = self._recipe.optimiser
        rng = np.random.default_rng([options.seed, self.step])
        set_learning_rate(self._optimiser, self.step, options)
        self._optimiser.zero_grad(set_to_none=True)
        for _ in range(options.batch):
            self._add_gradients(self._examples[rng.integers(len(self._examples))], rng)
        gradient_norm = nn.utils.clip_grad_norm_(self._live.parameters(), _MOST_GRADIENT_NORM)
        self.step += 1
        if self._divergence.skips(self.step, gradient_norm):
            return
        self._optimiser.step()
        update_average(self._mean, self._live, self.step, options)

    def _add_gradients(self, example: SpreadExample, rng: np.random.Generator) -> None:
        """Add the gradients of the loss of one random view and prefix."""
        prefix = example.prefixes[rng.integers(len(example.prefixes))]
        view = int(rng.integers(len(example.cameras)))
        picture = example.pictures[view].astype(np.float32) / 255
        leaves, inputs, target = prefix.leaves, prefix.inputs, picture[..., :3]
        if rng.random() < _NEGATIVES:
            leaves, inputs = _negative(leaves, inputs)
            target = np.clip(picture[..., 3:] - target, 0, 1)
        output = self._live(torch.from_numpy(inputs.features), torch.from_numpy(inputs.nearest))
        outputs = output.detach().numpy()
        spread = apply_outputs(outputs, leaves, inputs)

        def gradient(drawn: FloatArray) -> FloatArray:
            # The gradient ignores the clamp, so that pixels that are too bright are corrected too.
            shown = _tensor(np.clip(drawn, 0, 1)).requires_grad_(True)
            loss = picture_loss(shown, _tensor(target), self._recipe.loss)
            loss.backward()  # type: ignore[no-untyped-call]
            self._losses.append(loss.item())
            assert shown.grad is not None
            return np.ascontiguousarray(shown.grad[0].permute(1, 2, 0).numpy())

        gradients = self._rasterizer.render_gradients(spread, example.cameras[view], gradient)
        by_output = output_gradients(gradients, outputs, spread, leaves, inputs)
        output.backward(torch.from_numpy(by_output))

    def checkpoint(self, path: Path) -> str:
        """Write the state. Returns one line about the progress."""
        loss = float(np.mean(self._losses))
        self._losses.clear()
        figures = self._validate()
        rate = learning_rate_at(self.step, self._recipe.optimiser)
        numbers = (self.step, loss, *figures, rate)
        self.rows.append(dict(zip(CURVE_COLUMNS, numbers, strict=True)))
        state = {
            "step": self.step,
            "live": self._live.state_dict(),
            "mean": self._mean.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "rows": self.rows,
        }
        write_checkpoint(path, self._recipe.identity, state)
        return (
            f"step {self.step}: loss {loss:.4f}; validation: raw {figures[0]:.2f} dB,"
            f" {figures[2]:.4f}, spread {figures[1]:.2f} dB, {figures[3]:.4f}"
        )

    def resume(self, path: Path) -> None:
        """Continue from the checkpoint, if there is one.

        Raises RecipeError if it belongs to another recipe.
        """
        state = read_checkpoint(path, self._recipe.identity, torch.device("cpu"))
        if state is None:
            return
        self._live.load_state_dict(state["live"])
        self._mean.load_state_dict(state["mean"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.rows = state["step"], state["rows"]

    def save(self, path: Path) -> None:
        """Write the averaged weights in half precision."""
        weights = self._mean.arrays().items()
        write_arrays(path, {name: value.astype(np.float16) for name, value in weights})

    @torch.inference_mode()
    def _validate(self) -> list[float]:
        """Mean PSNR in dB (raw, spread) and SSIM (raw, spread) of the validation examples."""
        spread = Spread(self._mean.arrays())
        figures = []
        for example in self._validation:
            for prefix in example.prefixes:
                scenes = prefix.leaves, spread.apply(prefix.leaves, prefix.inputs)
                views = list(zip(example.cameras, example.pictures, strict=True))
                for camera, picture in views[:_VALIDATION_VIEWS]:
                    target = _tensor(picture[..., :3].astype(np.float32) / 255)
                    drawn = (self._rasterizer.render(scene, camera).rgb for scene in scenes)
                    shown = [_tensor(rgb).clamp(0, 1) for rgb in drawn]
                    mse = [(x - target).square().mean().item() for x in shown]
                    ssim_values = [mean_ssim(x, target).item() for x in shown]
                    figures.append([*(-10 * math.log10(x + 1e-6) for x in mse), *ssim_values])
        means: list[float] = np.mean(figures, axis=0).tolist() if figures else [math.nan] * 4
        return means


def _negative(leaves: Gaussians, inputs: LeafInputs) -> tuple[Gaussians, LeafInputs]:
    """Invert the colours of all Gaussians; otherwise dark areas would imply gaps."""
    return replace(leaves, sh0=-leaves.sh0, shN=-leaves.shN), replace(inputs, color=-inputs.color)


def _tensor(picture: npt.NDArray[np.floating]) -> Tensor:
    """Convert a picture [H, W, 3] to a tensor [1, 3, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0), np.float32))[None]


def train_spread(
    recipe: Recipe,
    options: SpreadOptions,
    data: Path,
    folder: Path,
    progress: Progress,
    note: Callable[[str], None],
) -> Path:
    """Train by `recipe` and return the file of weights. Continues an earlier run in `folder`.

    Writes examples/*.npz, checkpoint.pt, curve.csv and at the end spread.npz to `folder`. Raises
    RecipeError, SceneError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rasterizer = default_rasterizer()
    without_width = replace(options, hidden=0)  # examples do not depend on it
    paths = shard_paths(recipe, without_width, folder / "examples", ".npz")

    def make(path: Path, scene: TrainingScene, rng: np.random.Generator) -> None:
        write_example(path, make_example(scene, rasterizer, options, rng))

    make_missing(paths, recipe, options, data, make, progress)
    examples = [read_example(paths[source]) for source in recipe.sources]
    validation = [read_example(paths[source]) for source in recipe.validation]
    training = SpreadTraining(recipe, options, examples, validation, rasterizer)
    checkpoint, optimiser = folder / "checkpoint.pt", recipe.optimiser
    training.resume(checkpoint)
    while training.step < optimiser.steps:
        training.advance()
        progress("training", training.step / optimiser.steps)
        if training.step % optimiser.checkpoint == 0 or training.step == optimiser.steps:
            note(training.checkpoint(checkpoint))
            write_curve(folder / "curve.csv", training.rows)
    training.save(folder / "spread.npz")
    return folder / "spread.npz"

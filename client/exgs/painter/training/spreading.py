"""Training the network that spreads leaves: through the rasterizer's gradients, picture by picture.

What the network makes of a prefix's leaves is drawn and compared with the whole scene's picture.
The slopes with respect to Gaussians come from the rasterizer; from there to the network's answers
the chain rule is written out, and torch does the rest.
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

from exgs.codec.encoding.encode import Progress
from exgs.painter.spread import (
    ANSWERS,
    ASKING,
    FEATURES,
    LARGEST,
    LAYERS,
    SMALLEST,
    Spread,
    Surroundings,
    spread_by,
)
from exgs.painter.training.checkpoints import (
    read_checkpoint,
    write_arrays,
    write_checkpoint,
)
from exgs.painter.training.losses import similarity, unlikeness
from exgs.painter.training.recipe import Recipe
from exgs.painter.training.scenes import RecipeError, TrainingScene
from exgs.painter.training.schedule import Course, average, rate_at, set_rate, write_curve
from exgs.painter.training.shards import make_missing, shard_paths
from exgs.painter.training.training_views import (
    SpreadLesson,
    SpreadOptions,
    make_lesson,
    read_lesson,
    write_lesson,
)
from exgs.scene.backends import default_rasterizer
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Gradients, Rasterizer

_MOST_SLOPE = 0.3  # norm of a step's gradient
_NEGATIVES = 0.5  # of the pictures
_JUDGED = 2  # views of a validation scene
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
    """`spread.Spread` with gradients."""

    def __init__(self, hidden: int) -> None:
        widths = [FEATURES] + [hidden] * (LAYERS - 1) + [ANSWERS]
        super().__init__(
            nn.Linear(before * (2 if number in ASKING else 1), after)
            for number, (before, after) in enumerate(pairwise(widths))
        )
        for weight in self[LAYERS - 1].parameters():
            nn.init.zeros_(weight)  # leaves stay as they are, nearly

    def forward(self, features: Tensor, around: Tensor) -> Tensor:
        """Answers [N, ANSWERS] from features [N, FEATURES] and the nearest leaves [N, 6]."""
        x = features
        for number, layer in enumerate(self):
            if number in ASKING:
                others = functional.embedding(around, x).mean(dim=1)  # adds up in one order
                x = torch.cat([x, others], dim=1)
            x = layer(x)
            if number < LAYERS - 1:
                x = functional.silu(x)
        return x

    def arrays(self) -> dict[str, FloatArray]:
        """The weights, as `Spread` takes them."""
        return {name: value.numpy() for name, value in self.state_dict().items()}


def slopes_of_answers(
    slopes: Gradients,
    answers: FloatArray,
    spread: Gaussians,
    leaves: Gaussians,
    seen: Surroundings,
) -> FloatArray:
    """How a loss moves with the answers that made `spread` of `leaves`; see `spread_by`."""
    scales = np.take_along_axis(slopes.scales * spread.scales, seen.axes, axis=1)
    logs = answers[:, :3]
    scales[((logs <= SMALLEST) & (scales > 0)) | ((logs >= LARGEST) & (scales < 0))] = 0
    rest = [
        2 * slopes.opacities * spread.opacities * (1 - spread.opacities),
        (slopes.sh0 * (seen.color - leaves.sh0)).sum(axis=1),
        (slopes.means * seen.middle).sum(axis=1),
    ]
    return np.concatenate([scales, np.stack(rest, axis=1)], axis=1).astype(np.float32)


class SpreadTraining:
    """The state of the optimiser."""

    def __init__(
        self,
        recipe: Recipe,
        options: SpreadOptions,
        lessons: Sequence[SpreadLesson],
        validation: Sequence[SpreadLesson],
        rasterizer: Rasterizer,
    ) -> None:
        torch.manual_seed(recipe.steps.seed)
        self.step = 0
        self.rows: list[dict[str, float]] = []
        self._recipe = recipe
        self._lessons = [lesson for lesson in lessons if lesson.prefixes]
        if not self._lessons:
            raise RecipeError("no source has a prefix to learn from; add sources")
        self._validation = validation
        self._rasterizer = rasterizer
        self._live = SpreadNetwork(options.hidden)
        self._mean = SpreadNetwork(options.hidden).requires_grad_(False)
        self._mean.load_state_dict(self._live.state_dict())
        self._optimiser = torch.optim.AdamW(
            self._live.parameters(), weight_decay=recipe.steps.weight_decay
        )
        self._losses: list[float] = []
        self._course = Course()

    def advance(self) -> None:
        """One step."""
        steps = self._recipe.steps
        rng = np.random.default_rng([steps.seed, self.step])
        set_rate(self._optimiser, self.step, steps)
        self._optimiser.zero_grad(set_to_none=True)
        for _ in range(steps.batch):
            self._learn(self._lessons[rng.integers(len(self._lessons))], rng)
        slope = nn.utils.clip_grad_norm_(self._live.parameters(), _MOST_SLOPE)
        self.step += 1
        if self._course.is_lost(self.step, slope):
            return
        self._optimiser.step()
        average(self._mean, self._live, self.step, steps)

    def _learn(self, lesson: SpreadLesson, rng: np.random.Generator) -> None:
        """Add the slopes of one picture."""
        prefix = lesson.prefixes[rng.integers(len(lesson.prefixes))]
        view = int(rng.integers(len(lesson.cameras)))
        picture = lesson.pictures[view].astype(np.float32) / 255
        leaves, seen, target = prefix.leaves, prefix.seen, picture[..., :3]
        if rng.random() < _NEGATIVES:
            leaves, seen = _negative(leaves, seen)
            target = np.clip(picture[..., 3:] - target, 0, 1)
        answer = self._live(torch.from_numpy(seen.features), torch.from_numpy(seen.around))
        answers = answer.detach().numpy()
        spread = spread_by(answers, leaves, seen)

        def slope(drawn: FloatArray) -> FloatArray:
            # The slope passes through the clamp: what is too bright has to learn as well.
            shown = _tensor(np.clip(drawn, 0, 1)).requires_grad_(True)
            loss = unlikeness(shown, _tensor(target), self._recipe.loss)
            loss.backward()  # type: ignore[no-untyped-call]
            self._losses.append(loss.item())
            assert shown.grad is not None
            return np.ascontiguousarray(shown.grad[0].permute(1, 2, 0).numpy())

        slopes = self._rasterizer.render_gradients(spread, lesson.cameras[view], slope)
        answer.backward(torch.from_numpy(slopes_of_answers(slopes, answers, spread, leaves, seen)))

    def checkpoint(self, path: Path) -> str:
        """Write the state; returns a line on how it goes."""
        steps = self._recipe.steps
        loss = float(np.mean(self._losses))
        self._losses.clear()
        figures = self._judge()
        numbers = (self.step, loss, *figures, rate_at(self.step, steps))
        self.rows.append(dict(zip(CURVE_COLUMNS, numbers, strict=True)))
        state = {
            "step": self.step,
            "live": self._live.state_dict(),
            "mean": self._mean.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "rows": self.rows,
        }
        write_checkpoint(path, self._recipe, state)
        return (
            f"step {self.step}: loss {loss:.4f}; validation: raw {figures[0]:.2f} dB,"
            f" {figures[2]:.4f}, spread {figures[1]:.2f} dB, {figures[3]:.4f}"
        )

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint, if there is one; raises RecipeError where it is another's."""
        state = read_checkpoint(path, self._recipe, torch.device("cpu"))
        if state is None:
            return
        self._live.load_state_dict(state["live"])
        self._mean.load_state_dict(state["mean"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step, self.rows = state["step"], state["rows"]

    def save(self, path: Path) -> None:
        """Write the averaged weights, in half precision."""
        weights = self._mean.arrays().items()
        write_arrays(path, {name: value.astype(np.float16) for name, value in weights})

    @torch.inference_mode()
    def _judge(self) -> list[float]:
        """Means of the validation lessons: PSNR in dB raw and spread, SSIM raw and spread."""
        spread = Spread(self._mean.arrays())
        figures = []
        for lesson in self._validation:
            for prefix in lesson.prefixes:
                scenes = prefix.leaves, spread.of(prefix.leaves, prefix.seen)
                views = list(zip(lesson.cameras, lesson.pictures, strict=True))[:_JUDGED]
                for camera, picture in views:
                    target = _tensor(picture[..., :3].astype(np.float32) / 255)
                    drawn = (self._rasterizer.render(scene, camera).rgb for scene in scenes)
                    shown = [_tensor(rgb).clamp(0, 1) for rgb in drawn]
                    squares = [(x - target).square().mean().item() for x in shown]
                    likeness = [similarity(x, target).item() for x in shown]
                    figures.append([*(-10 * math.log10(x + 1e-6) for x in squares), *likeness])
        means: list[float] = np.mean(figures, axis=0).tolist() if figures else [math.nan] * 4
        return means


def _negative(leaves: Gaussians, seen: Surroundings) -> tuple[Gaussians, Surroundings]:
    """As if every Gaussian had the opposite colour: else what is dark is nearly a gap."""
    return replace(leaves, sh0=-leaves.sh0, shN=-leaves.shN), replace(seen, color=-seen.color)


def _tensor(picture: npt.NDArray[np.floating]) -> Tensor:
    """[1, 3, H, W] of [H, W, 3]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0), np.float32))[None]


def train_spread(
    recipe: Recipe,
    options: SpreadOptions,
    data: Path,
    folder: Path,
    progress: Progress,
    note: Callable[[str], None],
) -> Path:
    """Follow `recipe` in `folder`, from where a former run stopped; returns the weights' file.

    The folder keeps lessons/*.npz, checkpoint.pt, curve.csv and, at the end, spread.npz. Raises
    RecipeError, SceneError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rasterizer = default_rasterizer()
    of_any_width = replace(options, hidden=0)  # lessons do not depend on it
    paths = shard_paths(recipe, of_any_width, folder / "lessons", ".npz")

    def make(path: Path, scene: TrainingScene, rng: np.random.Generator) -> None:
        write_lesson(path, make_lesson(scene, rasterizer, options, rng))

    make_missing(paths, recipe, options, data, make, progress)
    lessons = [read_lesson(paths[source]) for source in recipe.sources]
    validation = [read_lesson(paths[source]) for source in recipe.validation]
    training = SpreadTraining(recipe, options, lessons, validation, rasterizer)
    state, steps = folder / "checkpoint.pt", recipe.steps
    training.resume(state)
    while training.step < steps.count:
        training.advance()
        progress("training", training.step / steps.count)
        if training.step % steps.checkpoint == 0 or training.step == steps.count:
            note(training.checkpoint(state))
            write_curve(folder / "curve.csv", training.rows)
    training.save(folder / "spread.npz")
    return folder / "spread.npz"

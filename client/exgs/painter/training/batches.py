"""Draws the batches of training: random crops, flips, colours and brightness of pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from exgs.painter.inputs import COLORS, GAPS, LEAVES, PROXIES, RAW, REACH, SPREAD, STRETCHED
from exgs.painter.training.pairs import Bytes, TrainingPairs
from exgs.painter.training.schedule import OptimiserOptions

_DIM = 0.5  # least brightness of a crop
_NEGATIVES = 0.3  # share of the crops that are inverted


class Batch(NamedTuple):
    """B crops as 8-bit values, and the gains of their channels."""

    stacks: Tensor  # [B, PLANES, s, s]
    targets: Tensor  # [B, 3, s, s]
    channel_gains: Tensor  # [B, 3, 1, 1]

    def scaled(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Inputs [B, PLANES, s, s] and targets [B, 3, s, s] times their gains, as floats."""
        gains = self.channel_gains.to(device)
        inputs, targets = (x.to(device) / 255 for x in (self.stacks, self.targets))
        for colors in COLORS:
            inputs[:, colors] *= gains
        return inputs, targets * gains


def draw_batch(pairs: TrainingPairs, options: OptimiserOptions, step: int) -> Batch:
    """The batch of a step. It depends only on the pairs, the seed and the number of the step."""
    rng = np.random.default_rng([options.seed, step])
    stacks, targets, gains = [], [], np.ones((options.batch, 3, 1, 1), np.float32)
    for number, index in enumerate(rng.integers(0, len(pairs), options.batch)):
        stack, target, alpha = pairs[index]
        free = stack.shape[-1] - options.crop
        top, left = rng.integers(0, free + 1, 2)
        window = np.s_[:, top : top + options.crop, left : left + options.crop]
        stack, target = stack[window], target[window]
        if rng.random() < _NEGATIVES:
            stack, target = negative(stack, target, alpha[window[1:]])
        if rng.random() < 0.5:
            stack, target = stack[:, :, ::-1], target[:, :, ::-1]
        if rng.random() < 0.5:
            stack, target = stack.swapaxes(1, 2), target.swapaxes(1, 2)
        if rng.random() < 0.5:  # permute the channels
            order = rng.permutation(3)
            stack = stack.copy()
            for colors in COLORS:
                stack[colors] = stack[colors][order]
            target = target[order]
            gains[number] = rng.uniform(_DIM, 1, (3, 1, 1))
        stacks.append(stack)
        targets.append(target)
    return Batch(*map(torch.from_numpy, (np.stack(stacks), np.stack(targets), gains)))


def negative(stack: Bytes, target: Bytes, alpha: Bytes) -> tuple[Bytes, Bytes]:
    """Invert the colours of all Gaussians of a crop; otherwise dark areas would imply gaps."""

    def inverted(colors: Bytes, weight: Bytes) -> Bytes:
        return (weight.astype(np.int16) - colors).clip(0, 255).astype(np.uint8)

    other = stack.copy()
    covered = (stack[LEAVES].astype(np.int16) + stack[PROXIES]).clip(0, 255)
    other[RAW] = inverted(stack[RAW], covered)
    other[GAPS] = inverted(stack[GAPS], np.where(stack[REACH] > 0, 255, 0))
    other[SPREAD] = inverted(stack[SPREAD], stack[SPREAD.stop])
    other[STRETCHED] = inverted(stack[STRETCHED], stack[STRETCHED.stop])
    return other, inverted(target, alpha)

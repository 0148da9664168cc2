"""ST-LPIPS, a perceptual distance of pictures that tolerates small shifts (Ghildyal, Liu 2022).

Differences of the features of a classifier, weighted by what people noticed. The weights are those
of the package `stlpips-pytorch` (BSD 2-Clause). It is optional and is not imported; install it with
`pip install --no-deps stlpips-pytorch`. AlexNet measures; VGG16 is a loss for training.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from exgs.painter.interface import PainterError
from exgs.scene.gaussians import FloatArray

_PACKAGE = "stlpips_pytorch"
_SMALL = 1e-10

# Layers: a number is the index of a convolution's weights in the package's state, with its padding;
# "down" blurs and halves, "max3" and "max2" are maxima over 3x3 and 2x2 pixels, "|" ends a slice.
_Layer = tuple[str, int] | str
_ALEX: tuple[_Layer, ...] = (
    *(("slice1.0", 2), "down", "relu", "|"),
    *("max3", "down", ("slice2.5", 2), "relu", "|"),
    *("max3", "down", ("slice3.9", 1), "relu", "|"),
    *(("slice4.11", 1), "relu", "|", ("slice5.13", 1), "relu", "|"),
)
_VGG: tuple[_Layer, ...] = (
    *(("slice1.0", 1), "relu", ("slice1.2", 1), "relu", "|"),
    *("max2", "down", ("slice2.6", 1), "relu", ("slice2.8", 1), "relu", "|"),
    *("max2", "down", ("slice3.12", 1), "relu", ("slice3.14", 1), "relu", ("slice3.16", 1)),
    *("relu", "|", "max2", "down", ("slice4.20", 1), "relu", ("slice4.22", 1), "relu"),
    *(("slice4.24", 1), "relu", "|", "max2", "down", ("slice5.28", 1), "relu"),
    *(("slice5.30", 1), "relu", ("slice5.32", 1), "relu", "|"),
)
_LAYERS = {"alex": _ALEX, "vgg": _VGG}


def stlpips_weights(net: str = "alex") -> Path | None:
    """The file of the weights of `net`, "alex" or "vgg"; None if the package is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / "weights" / "vST0.0" / f"{net}_shift_tolerant.pth"
        if path.is_file():
            return path
    return None


class StLpips(nn.Module):
    """The distance of pictures [B, 3, H, W] in [0, 1], as one value per picture."""

    def __init__(self, net: str = "alex", slices: int = 5) -> None:
        """Load `net` up to feature `slices`. Raises PainterError if its weights are not here."""
        super().__init__()
        path = stlpips_weights(net)
        if path is None:
            raise PainterError("ST-LPIPS needs: pip install --no-deps stlpips-pytorch")
        state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        ends = [number for number, layer in enumerate(_LAYERS[net]) if layer == "|"]
        self._layers = _LAYERS[net][: ends[slices - 1] + 1]
        for number in range(slices):
            self.register_buffer(f"_importance{number}", state[f"lin{number}.model.1.weight"])
        for layer in self._layers:
            if isinstance(layer, tuple):
                for kind in ("weight", "bias"):
                    name = f"{layer[0].replace('.', '_')}_{kind}"
                    self.register_buffer(name, state[f"net.{layer[0]}.{kind}"])
        self.register_buffer("_shift", state["scaling_layer.shift"])
        self.register_buffer("_scale", state["scaling_layer.scale"])

    def forward(self, pictures: Tensor, targets: Tensor) -> Tensor:
        """The distances [B]; gradients flow to `pictures`."""
        with torch.no_grad():
            wanted = self.features(targets)
        return self.between(self.features(pictures), wanted)

    def between(self, features: Sequence[Tensor], others: Sequence[Tensor]) -> Tensor:
        """The distances [B] from the features of two batches."""
        distance = torch.zeros(len(features[0]), device=features[0].device)
        for number, (a, b) in enumerate(zip(features, others, strict=True)):
            weighted = functional.conv2d((a - b) ** 2, self.get_buffer(f"_importance{number}"))
            distance = distance + weighted.float().mean(dim=(1, 2, 3))
        return distance

    def features(self, pictures: Tensor) -> list[Tensor]:
        """The features of each slice, normalised to length 1 in each pixel."""
        x = (2 * pictures - 1 - self.get_buffer("_shift")) / self.get_buffer("_scale")
        features = []
        for layer in self._layers:
            if isinstance(layer, tuple):
                name, padding = layer[0].replace(".", "_"), layer[1]
                weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
                x = functional.conv2d(x, weight, bias, padding=padding)
            elif layer == "relu":
                x = functional.relu(x)
            elif layer == "down":
                x = _halved(x)
            elif layer == "|":
                length = x.float().square().sum(dim=1, keepdim=True).clamp(_SMALL**2).sqrt()
                features.append(x / (length + _SMALL))
            else:
                x = functional.max_pool2d(x, int(layer[-1]), stride=1)
        return features


def _halved(x: Tensor) -> Tensor:
    """Blur with the binomial filter of 3 pixels and keep every second pixel."""
    filter_ = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
    kernel = (filter_[:, None] * filter_).expand(x.shape[1], 1, 3, 3)
    padded = functional.pad(x, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(padded, kernel, stride=2, groups=x.shape[1])


class StLpipsMeter:
    """Measures pictures [H, W, 3] against one target; the target's features are kept."""

    def __init__(self, metric: StLpips, target: FloatArray) -> None:
        self._metric = metric
        self._wanted = self._features(target)

    @torch.inference_mode()
    def __call__(self, picture: FloatArray) -> float:
        """The distance of `picture` from the target."""
        return float(self._metric.between(self._features(picture), self._wanted))

    @torch.inference_mode()
    def _features(self, picture: FloatArray) -> list[Tensor]:
        planes = np.ascontiguousarray(np.moveaxis(picture, 2, 0), np.float32)
        return self._metric.features(torch.from_numpy(planes)[None])

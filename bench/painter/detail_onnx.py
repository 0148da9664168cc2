"""Writes the network of `--painter sharpen` as ONNX: python -m bench.painter.detail_onnx OUT.onnx.

Inputs are `picture` [1, 3, H, W] with values in [0, 1] and `maps` [1, 6, H / 4, W / 4], the result
of `exgs.painter.detail.cell_maps`; both sides are multiples of 4. The output `added` is what to add
to the picture, before the gate. Needs: pip install onnx
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exgs.painter.bands import BANDS, CELL, DERIVED, FILTERS
from exgs.painter.detail import (
    DETAIL_SCALE,
    DILATIONS,
    ENERGY_MIDDLE,
    ENERGY_OCTAVES,
    FAINT_MIDDLE,
    FAINT_OCTAVES,
    FIRST_GAINS,
    FLAT_BEFORE,
    LEAST_ENERGY,
    LEAST_FAINT,
    LUMINANCE,
    MOST_CHANGE,
    MOST_PATTERN,
    NEGATIVE_SLOPE,
    OUTPUT_SCALE,
    SHIPPED,
)
from exgs.scene.gaussians import FloatArray

_OPSET, _IR_VERSION = 18, 9
_SECOND = (
    ((0.0, -0.5, 0.0), (0.5, 0.0, 0.5), (0.0, -0.5, 0.0)),
    ((0.5, 0.0, -0.5), (0.0, 0.0, 0.0), (-0.5, 0.0, 0.5)),
)  # derivatives along the axes and the diagonals


class _Graph:
    """Nodes and constants, each known by the name of its value."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, kind: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, kind), name))
        return name

    def apply(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{kind}_{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def scaled(self, x: str, factor: float, offset: Any = 0.0) -> str:
        scaled = self.apply("Mul", x, self.constant(factor))
        return str(self.apply("Add", scaled, self.constant(offset)))

    def total(self, values: Sequence[str]) -> str:
        return str(self.apply("Sum", *values))

    def padded(self, x: str, reach: int) -> str:
        pads = self.constant([0, 0, reach, reach] * 2, np.int64)
        return str(self.apply("Pad", x, pads, mode="edge"))

    def filtered(self, x: str, kernel: Any, spacing: int) -> str:
        """Each of three channels with a kernel [rows, columns], without padding."""
        weights = self.constant(np.tile(np.array(kernel, np.float32), (3, 1, 1, 1)))
        return str(self.apply("Conv", x, weights, group=3, dilations=[spacing, spacing]))

    def mixed(self, x: str, weights: Sequence[float]) -> str:
        kernel = self.constant(np.array(weights)[None, :, None, None])
        return str(self.apply("Conv", x, kernel))

    def pooled(self, x: str) -> str:
        return str(self.apply("AveragePool", x, kernel_shape=[CELL] * 2, strides=[CELL] * 2))

    def enlarged(self, x: str) -> str:
        scales = self.constant([1, 1, CELL, CELL])
        return str(self.apply("Resize", x, "", scales, mode="linear"))

    def bounded(self, x: str, most: float, offset: Any = 0.0) -> str:
        small = self.apply("Tanh", self.scaled(x, OUTPUT_SCALE / most))
        return self.scaled(str(small), most, offset)


def model(weights: Mapping[str, FloatArray]) -> Any:
    """The network with these weights as an ONNX model."""
    graph = _Graph()
    levels = ["picture"]
    for weight, spacing in FILTERS:
        row = np.array(weight)[None]
        x = graph.padded(levels[-1], spacing * (len(weight) // 2))
        levels.append(graph.filtered(graph.filtered(x, row.T, spacing), row, spacing))
    greys = [graph.mixed(level, LUMINANCE) for level in levels]
    apart = [graph.apply("Abs", graph.apply("Sub", *pair)) for pair in pairwise(greys)]
    energies = graph.pooled(graph.apply("Concat", *apart, axis=1))
    gains, pattern = _outputs(graph, weights, _features(graph, greys, energies))
    around = graph.enlarged(graph.mixed(energies, [1.0] * len(apart)))
    spread_out = graph.apply("DepthToSpace", pattern, blocksize=CELL)
    parts = [str(graph.apply("Mul", spread_out, around))]
    split = graph.constant([1] * BANDS, np.int64)
    each = graph.apply("Split", graph.enlarged(gains), split, outputs=BANDS, axis=1)
    bands = [graph.apply("Sub", *pair) for pair in pairwise(levels)]
    for number, step in DERIVED:
        copy = graph.padded(levels[1 + number], step)
        bands += [graph.filtered(copy, kernel, step) for kernel in _SECOND]
    parts += [graph.apply("Mul", gain, band) for gain, band in zip(each, bands, strict=True)]
    graph.nodes.append(helper.make_node("Identity", [graph.total(parts)], ["added"]))
    return _finished(graph)


def _features(graph: _Graph, greys: Sequence[str], energies: str) -> str:
    detail = graph.scaled(graph.apply("Sub", greys[0], greys[1 + FLAT_BEFORE]), DETAIL_SCALE)
    split = graph.apply("SpaceToDepth", detail, blocksize=CELL)
    coded = []
    for least, middle, octaves in (
        (LEAST_ENERGY, ENERGY_MIDDLE, ENERGY_OCTAVES),
        (LEAST_FAINT, FAINT_MIDDLE, FAINT_OCTAVES),
    ):
        logarithm = graph.apply("Log", graph.scaled(energies, 1.0, least))
        coded.append(graph.scaled(logarithm, 1 / (math.log(2) * octaves), -middle / octaves))
    brightness = graph.scaled(graph.pooled(greys[0]), 1.0, -0.5)
    return str(graph.apply("Concat", split, *coded, brightness, "maps", axis=1))


def _outputs(graph: _Graph, weights: Mapping[str, FloatArray], stack: str) -> tuple[str, str]:
    """The gains and the pattern of each cell."""

    def convolved(name: str, x: str, dilation: int, part: slice = slice(None)) -> str:
        kernel, bias = weights[f"{name}.weight"][part], weights[f"{name}.bias"][part]
        pads = [dilation * (kernel.shape[2] // 2)] * 4
        inputs = x, graph.constant(kernel), graph.constant(bias)
        return str(graph.apply("Conv", *inputs, pads=pads, dilations=[dilation] * 2))

    def rectified(x: str) -> str:
        return str(graph.apply("LeakyRelu", x, alpha=NEGATIVE_SLOPE))

    x = convolved("enter", stack, 1)
    for number, dilation in enumerate(DILATIONS):
        y = convolved(f"blocks.{number}.0", rectified(x), dilation)
        y = convolved(f"blocks.{number}.1", rectified(y), 1)
        x = graph.total([x, y])
    x = rectified(x)
    first = np.array(FIRST_GAINS)[None, :, None, None]
    gains = graph.bounded(convolved("leave", x, 1, slice(BANDS)), MOST_CHANGE, first)
    return gains, graph.bounded(convolved("leave", x, 1, slice(BANDS, None)), MOST_PATTERN)


def _finished(graph: _Graph) -> Any:
    shapes = {"picture": [1, 3, "height", "width"], "maps": [1, 6, "rows", "columns"]}
    shapes["added"] = shapes["picture"]
    values = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    made = helper.make_graph(
        graph.nodes, "sharpen", [values["picture"], values["maps"]], [values["added"]],
        graph.constants,
    )  # fmt: skip
    imports = [helper.make_opsetid("", _OPSET)]
    finished = helper.make_model(made, opset_imports=imports, ir_version=_IR_VERSION)
    onnx.checker.check_model(finished)
    return finished


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    with np.load(SHIPPED) as weights:
        onnx.save(model({name: weights[name].astype(np.float32) for name in weights}), options.out)


if __name__ == "__main__":
    main()

"""The size of proxies on the screen, per pixel: how soft each place of a picture is."""

from __future__ import annotations

import numpy as np

from exgs.codec.decoding.build import DrawnScene
from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray
from exgs.scene.rasterizer import Rasterizer

_LEAST_PX, _MOST_PX = 0.1, 1000.0
_LEAST_WEIGHT = 1e-4
_NEAREST = 1e-3  # depth relative to the median depth; avoids a division by zero


def measure_proxy_sizes(
    rasterizer: Rasterizer, drawn: DrawnScene, camera: Camera
) -> tuple[FloatArray, FloatArray]:
    """Geometric means of the proxies' sizes and lengths in each pixel [H, W], by blending weights.

    The size of a proxy is the standard deviation along its second longest axis, in pixels; its
    length is that along its longest axis. Takes one render. Where no proxies are drawn both are the
    least size.
    """
    scene, camera_z = drawn.gaussians, camera.viewmat[2]
    depths = scene.means @ camera_z[:3].astype(np.float32) + np.float32(camera_z[3])
    ahead = depths[depths > 0]
    nearest = _NEAREST * float(np.median(ahead)) if ahead.size else 1.0
    axes = np.sort(scene.scales, axis=1)[:, :0:-1]  # the longest two, longest first
    pixels = axes * (np.float32(camera.K[0, 0]) / np.maximum(depths, nearest))[:, None]
    octaves = np.log2(np.clip(pixels, _LEAST_PX, _MOST_PX) / _LEAST_PX)
    kinds = np.concatenate([octaves, np.ones_like(octaves[:, :1])], axis=1)
    colors = (kinds * drawn.is_proxy[:, None]).astype(np.float32)
    render = rasterizer.render(scene, camera, colors=colors)
    weight = render.rgb[..., 2:]
    means = np.where(weight > _LEAST_WEIGHT, render.rgb / np.maximum(weight, _LEAST_WEIGHT), 0.0)
    lengths, sizes = np.moveaxis(_LEAST_PX * np.exp2(means[..., :2]), 2, 0).astype(np.float32)
    return sizes, lengths

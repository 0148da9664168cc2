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


def measure_proxy_sizes(rasterizer: Rasterizer, drawn: DrawnScene, camera: Camera) -> FloatArray:
    """The geometric mean of the proxies' sizes in each pixel [H, W], by their blending weights.

    The size of a proxy is the standard deviation along its second longest axis, in pixels. Takes
    one render. Where no proxies are drawn the result is the least size.
    """
    scene, camera_z = drawn.gaussians, camera.viewmat[2]
    depths = scene.means @ camera_z[:3].astype(np.float32) + np.float32(camera_z[3])
    ahead = depths[depths > 0]
    nearest = _NEAREST * float(np.median(ahead)) if ahead.size else 1.0
    second = np.sort(scene.scales, axis=1)[:, 1]
    pixels = second * np.float32(camera.K[0, 0]) / np.maximum(depths, nearest)
    octaves = np.log2(np.clip(pixels, _LEAST_PX, _MOST_PX) / _LEAST_PX)
    kinds = np.stack([drawn.is_proxy * octaves, drawn.is_proxy, 0 * octaves], axis=1)
    render = rasterizer.render(scene, camera, colors=kinds.astype(np.float32))
    total, weight = render.rgb[..., 0], render.rgb[..., 1]
    mean = np.where(weight > _LEAST_WEIGHT, total / np.maximum(weight, _LEAST_WEIGHT), 0.0)
    return np.asarray(_LEAST_PX * np.exp2(mean), np.float32)

"""The CPU rasterizer: projection, binning and blending as numba kernels."""

from exgs.scene.cpu.rasterizer import CpuRasterizer

__all__ = ["CpuRasterizer"]

"""The CPU rasterizer: projection, binning and blending as numba kernels."""

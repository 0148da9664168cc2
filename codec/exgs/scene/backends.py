"""The choice between rasterizer backends: gsplat on a CUDA device, numba kernels elsewhere."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import sys

from exgs.scene.rasterizer import Rasterizer

_log = logging.getLogger(__name__)


def default_rasterizer(*, antialiased: bool = False) -> Rasterizer:
    """The gsplat rasterizer if a CUDA device and gsplat are available, else the CPU rasterizer.

    `antialiased` is the rendering mode of the scenes to draw; see `exgs.scene.scene.Scene`. Neither
    torch nor gsplat is required. Logs a warning if there is a device that can't be used.
    """
    if _cuda_device():
        try:
            from exgs.scene.cuda import CudaRasterizer

            return CudaRasterizer(antialiased=antialiased)
        except (ImportError, RuntimeError) as error:
            _log.warning("drawing on the CPU although there is a CUDA device: %s", error)
    from exgs.scene.cpu.rasterizer import CpuRasterizer

    return CpuRasterizer(antialiased=antialiased)


def _cuda_device() -> bool:
    """Whether torch can use a CUDA device.

    Importing torch takes seconds, so it is imported only if the driver is installed.
    """
    if importlib.util.find_spec("torch") is None:
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()

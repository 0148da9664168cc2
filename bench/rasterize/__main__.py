"""Times the rasterizers, and compares their pictures and contributions if CUDA is available.

    python -m bench.rasterize scene.ply [more.ply ...] [--views 4] [--repeat 5]

Views are on a circle around the centre of the scene. Times are the minimum of the repetitions,
averaged over the views. CPU and CUDA use the same cameras; their pictures should agree to over 50
dB.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numba
import numpy as np

from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera, look_at, pinhole
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.formats.ply import read_ply
from exgs.scene.gaussians import Gaussians
from exgs.scene.metrics import psnr
from exgs.scene.rasterizer import Rasterizer

SIZES = ((640, 360), (960, 540), (1280, 720))
FOV_Y_DEG = 50.0
UP = (0.0, -1.0, 0.0)  # in an RDF frame


def circle(scene: Gaussians, count: int, width: int, height: int) -> list[Camera]:
    """`count` views from a circle around the opaque Gaussians, slightly from above."""
    solid = scene.means[scene.opacities >= np.median(scene.opacities)].astype(np.float64)
    middle = np.median(solid, axis=0)
    radius = 1.6 * np.percentile(np.linalg.norm(solid - middle, axis=1), 90)
    K = pinhole(width, height, FOV_Y_DEG)
    cameras = []
    for angle in 2 * np.pi * np.arange(count) / count:
        offset = radius * np.array([np.sin(angle), -0.27, np.cos(angle)])
        cameras.append(look_at(middle + offset, middle, UP, K, width, height))
    return cameras


def mean_ms(work: Callable[[Camera], object], cameras: Sequence[Camera], repeat: int) -> float:
    """The shortest of `repeat` runs in milliseconds after a warm-up run; mean over the cameras."""
    shortest = []
    for camera in cameras:
        work(camera)
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            work(camera)
            times.append(time.perf_counter() - start)
        shortest.append(1000 * min(times))
    return float(np.mean(shortest))


def time_backend(
    name: str, rasterizer: Rasterizer, scene: Gaussians, cameras: Sequence[Camera], repeat: int
) -> None:
    """Print one line of times."""
    width, height = cameras[0].width, cameras[0].height
    image = np.full((height, width, 3), 0.5, np.float32)
    works: tuple[Callable[[Camera], object], ...] = (
        lambda camera: rasterizer.render(scene, camera),
        lambda camera: rasterizer.contributions(scene, camera),
        lambda camera: rasterizer.backproject(scene, camera, image),
    )
    cells = "".join(f"{mean_ms(work, cameras, repeat):15.1f}" for work in works)
    print(f"{name:6}{f'{width}x{height}':>12}{cells}")


def compare(cpu: Rasterizer, cuda: Rasterizer, scene: Gaussians, cameras: Sequence[Camera]) -> None:
    """Print the differences between the two backends."""
    decibels, relative = [], []
    for camera in cameras:
        decibels.append(psnr(cpu.render(scene, camera).rgb, cuda.render(scene, camera).rgb))
        one, other = cpu.contributions(scene, camera).sum, cuda.contributions(scene, camera).sum
        relative.append(abs(one - other).sum() / max(one.sum(), 1e-30))
    print(
        f"CPU against CUDA: pictures {min(decibels):.1f} dB at worst, "
        f"contributions differ by {max(relative):.1e} of their sum at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and compare the rasterizers.")
    parser.add_argument("scenes", nargs="+", type=Path, help="scenes as .ply files")
    parser.add_argument("--views", type=int, default=4, help="cameras on the circle")
    parser.add_argument("--repeat", type=int, default=5, help="timed runs of each view")
    options = parser.parse_args()

    cpu = CpuRasterizer()
    backends: dict[str, Rasterizer] = {"CPU": cpu}
    other = default_rasterizer()
    if not isinstance(other, CpuRasterizer):
        backends["CUDA"] = other
    print(f"CPU: numba, {numba.get_num_threads()} threads; CUDA: {'CUDA' in backends}")
    for path in options.scenes:
        scene = read_ply(path).gaussians
        print(
            f"\n{path.name}: {len(scene):,} Gaussians, SH degree {scene.sh_degree}; ms per picture"
        )
        print(f"{'':6}{'pixels':>12}{'render':>15}{'contributions':>15}{'backproject':>15}")
        for width, height in SIZES:
            cameras = circle(scene, options.views, width, height)
            for name, rasterizer in backends.items():
                time_backend(name, rasterizer, scene, cameras, options.repeat)
            if "CUDA" in backends:
                compare(cpu, backends["CUDA"], scene, cameras)


if __name__ == "__main__":
    main()

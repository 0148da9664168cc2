"""The CUDA backend of `exgs.scene.rasterizer`: gsplat draws, and torch computes sums.

A backward pass through gsplat would give the sums of blending weights, but not their squares,
maxima and counts. gsplat can list the (Gaussian, pixel) pairs that it blends, in drawing order. All
of these sums are computed from that list, in horizontal strips to limit memory.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import gsplat
import numpy as np
import torch
from torch import Tensor

from exgs.scene.camera import Camera
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.rasterizer import Backprojection, Contributions, Gradients, Impact, Render

_TILE = 16  # side of gsplat's screen tiles in pixels
_STRIP_PIXELS = 1 << 15  # pixels per strip: about 75 pairs each, 250 MB in all
_EVERYTHING = 1 << 30  # more batches than a screen tile can have
_ALPHA_MAX = 0.999


class CudaRasterizer:
    """Draws with gsplat's rasterization in 'classic' or 'antialiased' mode.

    The last scene stays on the device, so it is not copied again for each picture. Sums agree with
    those of the CPU except for rounding, since the order of additions is not fixed. Raises
    RuntimeError if there is no CUDA device or gsplat has no compiled kernels.
    """

    def __init__(self, device: str = "cuda", *, antialiased: bool = False) -> None:
        self._antialiased = antialiased
        self._mode: Literal["antialiased", "classic"] = "antialiased" if antialiased else "classic"
        self._device = torch.device(device)
        if self._device.type == "cuda":
            require_kernels()
        self._scene: Gaussians | None = None
        self._splats: _Splats | None = None

    @torch.no_grad()
    def render(
        self,
        scene: Gaussians,
        camera: Camera,
        *,
        background: tuple[float, float, float] = (0.0, 0.0, 0.0),
        colors: FloatArray | None = None,
    ) -> Render:
        """See `Rasterizer.render`."""
        if colors is not None and colors.shape != (len(scene), 3):
            raise ValueError(f"colors have shape {colors.shape}, expected ({len(scene)}, 3)")
        shape = (camera.height, camera.width)
        if len(scene) == 0:
            rgb = np.broadcast_to(np.array(background, np.float32), (*shape, 3)).copy()
            return Render(rgb, np.zeros(shape, np.float32), np.zeros(shape, np.float32))
        splats = self._upload(scene)
        viewmats, Ks = self._views(camera)
        drawn, alphas, _ = gsplat.rasterization(
            splats.means,
            splats.quats,
            splats.scales,
            splats.opacities,
            splats.sh if colors is None else self._tensor(colors),
            viewmats,
            Ks,
            camera.width,
            camera.height,
            eps2d=camera.screen_filter,
            sh_degree=scene.sh_degree if colors is None else None,
            packed=False,
            tile_size=_TILE,
            backgrounds=torch.tensor([background], dtype=torch.float32, device=self._device),
            render_mode="RGB+ED",
            rasterize_mode=self._mode,
        )
        picture = drawn[0].cpu().numpy()
        return Render(
            np.ascontiguousarray(picture[..., :3]),
            np.ascontiguousarray(alphas[0, ..., 0].cpu().numpy()),
            np.ascontiguousarray(picture[..., 3]),
        )

    @torch.no_grad()
    def contributions(self, scene: Gaussians, camera: Camera) -> Contributions:
        """See `Rasterizer.contributions`."""
        n = len(scene)
        sums, most, transmittance = self._zeros(n), self._zeros(n), self._zeros(n)
        hits = torch.zeros(n, dtype=torch.int64, device=self._device)
        for pairs in self._blended(scene, camera):
            sums.index_add_(0, pairs.gaussians, pairs.weights)
            most.scatter_reduce_(0, pairs.gaussians, pairs.weights, "amax")
            hits += torch.bincount(pairs.gaussians, minlength=n)
            transmittance.index_add_(0, pairs.gaussians, pairs.weights / pairs.alphas)
        return Contributions(
            sums.cpu().numpy(),
            most.cpu().numpy().astype(np.float32),
            hits.cpu().numpy(),
            transmittance.cpu().numpy(),
        )

    @torch.no_grad()
    def backproject(self, scene: Gaussians, camera: Camera, image: FloatArray) -> Backprojection:
        """See `Rasterizer.backproject`."""
        size = (camera.height, camera.width)
        if image.ndim != 3 or image.shape[:2] != size or not image.shape[2]:
            raise ValueError(f"image has shape {image.shape}, expected {size} and channels")
        channels = image.shape[2]
        pixels = self._tensor(image).double().reshape(-1, channels)
        n = len(scene)
        sums, weights, squares = self._zeros(n, channels), self._zeros(n), self._zeros(n)
        for pairs in self._blended(scene, camera):
            weighted = pairs.weights[:, None] * pixels[pairs.pixels]
            sums.index_add_(0, pairs.gaussians, weighted)
            weights.index_add_(0, pairs.gaussians, pairs.weights)
            squares.index_add_(0, pairs.gaussians, pairs.weights**2)
        return Backprojection(sums.cpu().numpy(), weights.cpu().numpy(), squares.cpu().numpy())

    @torch.no_grad()
    def impact(self, scene: Gaussians, camera: Camera) -> Impact:
        """See `Rasterizer.impact`."""
        n = len(scene)
        weights, squares, removals = self._zeros(n), self._zeros(n), self._zeros(n)
        splats = self._upload(scene)
        colors = self._colors(splats.means, splats.sh, camera).double()
        for pairs in self._blended(scene, camera):
            own = pairs.weights[:, None] * colors[pairs.gaussians]
            uncovered = (pairs.alphas / (1 - pairs.alphas))[:, None]
            lost = own - uncovered * sum_behind(own, pairs.pixels)
            weights.index_add_(0, pairs.gaussians, pairs.weights)
            squares.index_add_(0, pairs.gaussians, pairs.weights**2)
            removals.index_add_(0, pairs.gaussians, (lost**2).sum(1))
        return Impact(*(sums.cpu().numpy() for sums in (weights, squares, removals)))

    def render_gradients(
        self,
        scene: Gaussians,
        camera: Camera,
        image_gradient: Callable[[FloatArray], FloatArray],
        *,
        first: int = 0,
    ) -> Gradients:
        """See `Rasterizer.render_gradients`."""
        arrays = (scene.means, scene.quats, scene.scales, scene.opacities, scene.sh0)
        fixed = [self._tensor(array[:first]) for array in arrays]
        free = [self._tensor(array[first:]).requires_grad_() for array in arrays]
        if len(scene) > first:
            means, quats, scales, opacities, sh0 = (
                torch.cat(pair) for pair in zip(fixed, free, strict=True)
            )
            viewmats, Ks = self._views(camera)
            sh = torch.cat([sh0[:, None], self._tensor(scene.shN)], dim=1)
            colors = self._colors(means.detach(), sh, camera)
            drawn, _, _ = gsplat.rasterization(
                means,
                quats,
                scales,
                opacities,
                colors,
                viewmats,
                Ks,
                camera.width,
                camera.height,
                eps2d=camera.screen_filter,
                sh_degree=None,
                packed=False,
                tile_size=_TILE,
                rasterize_mode=self._mode,
            )
            picture = drawn[0].detach().cpu().numpy()
            gradient = image_gradient(picture)
            if gradient.shape != picture.shape:
                raise ValueError(
                    f"the gradient has shape {gradient.shape}, expected {picture.shape}"
                )
            drawn[0].backward(self._tensor(gradient))
        found = (torch.zeros_like(f) if f.grad is None else f.grad for f in free)
        return Gradients(*(each.double().cpu().numpy() for each in found))

    def _colors(self, means: Tensor, sh: Tensor, camera: Camera) -> Tensor:
        """Colours [N, 3] seen from the camera: max(0, 0.5 + SH)."""
        directions = means - self._tensor(camera.position.astype(np.float32))
        degree = math.isqrt(sh.shape[1]) - 1
        seen: Tensor = gsplat.spherical_harmonics(degree, directions, sh)
        return torch.clamp_min(seen + 0.5, 0)

    def _blended(self, scene: Gaussians, camera: Camera) -> Iterator[_Pairs]:
        """All pairs that `render` blends, in strips of whole rows of screen tiles."""
        if len(scene) == 0:
            return
        splats = self._upload(scene)
        viewmats, Ks = self._views(camera)
        radii, means2d, depths, conics, compensations = gsplat.fully_fused_projection(
            splats.means,
            None,
            splats.quats,
            splats.scales,
            viewmats,
            Ks,
            camera.width,
            camera.height,
            eps2d=camera.screen_filter,
            packed=False,
            calc_compensations=self._antialiased,
            opacities=splats.opacities,
        )
        opacities = splats.opacities
        if compensations is not None:
            opacities = opacities * compensations[0]
        rows = max(1, _STRIP_PIXELS // (camera.width * _TILE)) * _TILE
        tile_columns = math.ceil(camera.width / _TILE)
        for top in range(0, camera.height, rows):
            height = min(rows, camera.height - top)
            tile_rows = math.ceil(height / _TILE)
            inside = means2d - torch.tensor([0.0, top], device=self._device)
            _, isect_ids, flatten_ids = gsplat.isect_tiles(
                inside, radii, depths, _TILE, tile_columns, tile_rows
            )
            gaussians, pixels = gsplat.rasterize_to_indices_in_range(
                0,
                _EVERYTHING,
                torch.ones(1, height, camera.width, device=self._device),
                inside,
                conics,
                opacities[None],
                camera.width,
                height,
                _TILE,
                gsplat.isect_offset_encode(isect_ids, 1, tile_columns, tile_rows),
                flatten_ids,
            )[:2]
            x, y = pixels % camera.width + 0.5, pixels // camera.width + 0.5
            delta_x = inside[0, gaussians, 0].double() - x
            delta_y = inside[0, gaussians, 1].double() - y
            xx, xy, yy = conics[0, gaussians].double().unbind(-1)
            sigma = 0.5 * (xx * delta_x**2 + yy * delta_y**2) + xy * delta_x * delta_y
            alphas = opacities[gaussians].double() * torch.exp(-sigma)
            alphas = alphas.clamp_max(_ALPHA_MAX)
            del x, y, delta_x, delta_y, xx, xy, yy, sigma
            weights = blending_weights(alphas, pixels)
            yield _Pairs(gaussians, pixels + top * camera.width, alphas, weights)

    def _upload(self, scene: Gaussians) -> _Splats:
        """The scene on the device, cached by identity, since its arrays are read-only."""
        if self._splats is None or self._scene is not scene:
            sh = np.concatenate([scene.sh0[:, None], scene.shN], axis=1)
            arrays = (scene.means, scene.quats, scene.scales, scene.opacities, sh)
            self._splats = _Splats(*(self._tensor(array) for array in arrays))
            self._scene = scene
        return self._splats

    def _views(self, camera: Camera) -> tuple[Tensor, Tensor]:
        """View matrix [1, 4, 4] and intrinsics [1, 3, 3]."""
        viewmat, K = (np.asarray(m, np.float32)[None] for m in (camera.viewmat, camera.K))
        return self._tensor(viewmat), self._tensor(K)

    def _tensor(self, array: FloatArray) -> Tensor:
        return torch.tensor(array, dtype=torch.float32, device=self._device)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self._device)


def require_kernels() -> None:
    """Raise RuntimeError, with the remedy, unless CUDA works and gsplat can use it.

    Importing gsplat is not enough: it succeeds on any machine, and kernels compile at first use.
    """
    if not torch.cuda.is_available():
        raise RuntimeError("no CUDA device answers: use exgs.scene.cpu.CpuRasterizer instead")
    with contextlib.redirect_stdout(sys.stderr):  # gsplat prints the progress of its compilation
        from gsplat.cuda import _backend

    if _backend._C is None:
        raise RuntimeError(
            "gsplat has no compiled kernels: install the CUDA toolkit (nvcc) or one of gsplat's "
            "prebuilt wheels, or use exgs.scene.cpu.CpuRasterizer"
        )


def sum_behind(values: Tensor, pixels: Tensor) -> Tensor:
    """The sum of `values` [M, 3] over the later pairs of the same pixel, float64 [M, 3].

    Pairs with equal `pixels` [M] are consecutive, front to back.
    """
    if len(values) == 0:
        return values
    until = torch.cumsum(values, 0)
    position = torch.arange(len(pixels), device=pixels.device)
    ends = torch.ones_like(pixels, dtype=torch.bool)
    ends[:-1] = pixels[1:] != pixels[:-1]
    last = len(pixels) - 1
    run = torch.cummin(torch.where(ends, position, last).flip(0), 0).values.flip(0)
    return until[run] - until


def blending_weights(alphas: Tensor, pixels: Tensor) -> Tensor:
    """Blending weights alpha * T of pairs, float64 [M].

    `alphas` [M] are float64, front to back within each run of equal `pixels` [M].
    """
    if len(alphas) == 0:
        return alphas
    fading = torch.log1p(-alphas)
    before = torch.cumsum(fading, 0) - fading
    position = torch.arange(len(pixels), device=pixels.device)
    begins = torch.ones_like(pixels, dtype=torch.bool)
    begins[1:] = pixels[1:] != pixels[:-1]
    run = torch.cummax(torch.where(begins, position, 0), 0).values
    return alphas * torch.exp(before - before[run])


class _Splats(NamedTuple):
    """A scene on the device, float32."""

    means: Tensor  # [N, 3]
    quats: Tensor  # [N, 4]
    scales: Tensor  # [N, 3]
    opacities: Tensor  # [N]
    sh: Tensor  # [N, 1 + K, 3]


class _Pairs(NamedTuple):
    """M pairs of a Gaussian and a pixel that it is blended into."""

    gaussians: Tensor  # [M] int64
    pixels: Tensor  # [M] int64, row-major in the whole picture
    alphas: Tensor  # [M] float64
    weights: Tensor  # [M] float64, alpha * T

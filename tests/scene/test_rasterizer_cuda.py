"""The gsplat backend agrees with the CPU rasterizer.

Without a CUDA device, its own part (strips, pairs, sums) is still run, on stand-ins with gsplat's
shapes: gsplat ships plain torch versions of projection and tiling, and the twin does the rest.
"""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from exgs.scene import cuda
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.cuda import CudaRasterizer, blending_weights, sum_behind
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.metrics import psnr
from tests.scene import twin
from tests.scene.test_rasterizer import VIEWS, camera, cloud, doubt

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device answers on this machine"
)


def _view(viewmats, Ks, width, height) -> Camera:
    return Camera(viewmats[0].double().numpy(), Ks[0].double().numpy(), width, height)


class _Blended(torch.autograd.Function):
    """A picture [H, W, 3] of Gaussians in given colours, with gradients of the CPU rasterizer.

    Of what `exgs.scene.cuda` does around it, nothing is the CPU rasterizer's.
    """

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, view, antialiased):
        shapes = (x.detach().numpy() for x in (means, quats, scales, opacities))
        sh0 = ((colors.detach().numpy() - 0.5) / SH_C0).astype(np.float32)
        ctx.scene = Gaussians(*shapes, sh0, np.zeros((len(sh0), 0, 3), np.float32))
        ctx.view = view
        ctx.cpu = CpuRasterizer(antialiased=antialiased)
        return torch.from_numpy(ctx.cpu.render(ctx.scene, view).rgb)

    @staticmethod
    def backward(ctx, image):
        image = image.numpy()
        gradients = ctx.cpu.render_gradients(ctx.scene, ctx.view, lambda _: image)
        colors = ctx.cpu.backproject(ctx.scene, ctx.view, image).sums
        shapes = (gradients.means, gradients.quats, gradients.scales, gradients.opacities)
        return *(torch.from_numpy(x).float() for x in (*shapes, colors)), None, None


def standin_for_gsplat() -> types.SimpleNamespace:
    """gsplat's functions as `exgs.scene.cuda` calls them, on the CPU, for one view."""
    from gsplat.cuda import _torch_impl as plain

    def fully_fused_projection(
        means,
        covars,
        quats,
        scales,
        viewmats,
        Ks,
        width,
        height,
        eps2d=0.3,
        packed=False,
        calc_compensations=False,
        opacities=None,
    ):
        assert covars is None
        assert not packed
        assert opacities.shape == means.shape[:1]
        covars, _ = plain._quat_scale_to_covar_preci(quats, scales, True, False, triu=False)
        return plain._fully_fused_projection(
            means,
            covars,
            viewmats,
            Ks,
            width,
            height,
            eps2d=eps2d,
            calc_compensations=calc_compensations,
        )

    def isect_tiles(means2d, radii, depths, tile_size, tile_width, tile_height):
        return plain._isect_tiles(means2d, radii, depths, tile_size, tile_width, tile_height)

    def rasterize_to_indices_in_range(
        first, end, T, means2d, conics, opacities, width, height, tile_size, offsets, flatten_ids
    ):
        n = means2d.shape[1]
        tile_rows, tile_columns = offsets.shape[-2:]
        assert means2d.shape == (1, n, 2)
        assert conics.shape == (1, n, 3)
        assert opacities.shape == (1, n)
        assert T.shape == (1, height, width)
        assert tile_columns * tile_size >= width
        assert tile_rows * tile_size >= height
        assert end - first > len(flatten_ids)
        stops = [*offsets.flatten().tolist()[1:], len(flatten_ids)]
        gaussians, pixels = [], []
        for pixel in range(height * width):
            y, x = divmod(pixel, width)
            tile = y // tile_size * tile_columns + x // tile_size
            transmittance = 1.0
            for g in flatten_ids[offsets.flatten()[tile] : stops[tile]].tolist():
                dx, dy = (means2d[0, g] - torch.tensor([x + 0.5, y + 0.5])).tolist()
                xx, xy, yy = conics[0, g].tolist()
                sigma = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
                alpha = min(0.999, float(opacities[0, g]) * np.exp(-sigma))
                if alpha < 1 / 255:
                    continue
                if transmittance * (1 - alpha) <= 1e-4:
                    break
                transmittance *= 1 - alpha
                gaussians.append(g)
                pixels.append(pixel)
        ids = (torch.tensor(values, dtype=torch.int64) for values in (gaussians, pixels))
        return *ids, torch.zeros(len(pixels), dtype=torch.int64)

    def rasterization(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height, **options
    ):
        assert viewmats.shape == (1, 4, 4)
        assert Ks.shape == (1, 3, 3)
        degree = options.pop("sh_degree")
        assert options.pop("eps2d", 0.3) == 0.3
        antialiased = options.pop("rasterize_mode") == "antialiased"
        if options == {"packed": False, "tile_size": 16}:  # with gradients
            assert degree is None
            view = _view(viewmats, Ks, width, height)
            splats = (means, quats, scales, opacities, colors)
            return _Blended.apply(*splats, view, antialiased)[None], None, None
        background = options.pop("backgrounds")
        assert background.shape == (1, 3)
        assert options == {"packed": False, "tile_size": 16, "render_mode": "RGB+ED"}
        n = len(means)
        if degree is not None:
            assert colors.shape == (n, (degree + 1) ** 2, 3)
            sh, given = colors.numpy(), None
        else:
            sh, given = np.zeros((n, 1, 3), np.float32), colors.numpy()
        arrays = (t.numpy() for t in (means, quats, scales, opacities))
        scene = Gaussians(*arrays, np.ascontiguousarray(sh[:, 0]), sh[:, 1:])
        view = _view(viewmats, Ks, width, height)
        behind = tuple(background[0].tolist())
        drawn = twin.draw(scene, view, behind, given, antialiased=antialiased)
        picture = np.concatenate([drawn.rgb, drawn.depth[..., None]], -1)
        alphas = drawn.alpha[None, ..., None]
        return torch.tensor(picture)[None].float(), torch.tensor(alphas).float(), {}

    def spherical_harmonics(degree, directions, coefficients):
        unit = torch.nn.functional.normalize(directions, dim=-1)
        return plain._spherical_harmonics(degree, unit, coefficients)

    return types.SimpleNamespace(
        spherical_harmonics=spherical_harmonics,
        fully_fused_projection=fully_fused_projection,
        isect_tiles=isect_tiles,
        isect_offset_encode=plain._isect_offset_encode,
        rasterize_to_indices_in_range=rasterize_to_indices_in_range,
        rasterization=rasterization,
    )


@pytest.fixture(params=[False, True], ids=["classic", "antialiased"])
def antialiased(request) -> bool:
    return request.param


@pytest.fixture
def cpu(antialiased) -> CpuRasterizer:
    return CpuRasterizer(antialiased=antialiased)


@pytest.fixture
def standin(monkeypatch, antialiased) -> CudaRasterizer:
    monkeypatch.setattr(cuda, "gsplat", standin_for_gsplat())
    monkeypatch.setattr(cuda, "_STRIP_PIXELS", 16 * 40)  # several strips in a small picture
    return CudaRasterizer("cpu", antialiased=antialiased)


SMALL = (cloud(60, 20, 1), camera(37, 41))


@pytest.mark.parametrize("name", ["SH degree 1", "SH degree 2", "SH degree 3", "inside the cloud"])
def test_the_twin_projects_and_colours_as_gsplats_plain_code_does(name):
    from gsplat.cuda import _torch_impl as plain

    scene, view = VIEWS[name]
    means, quats, scales = (
        torch.tensor(getattr(scene, field)).double() for field in ("means", "quats", "scales")
    )
    viewmats, Ks = torch.tensor(view.viewmat)[None], torch.tensor(view.K)[None]
    covars, _ = plain._quat_scale_to_covar_preci(quats, scales, True, False, triu=False)
    radii, means2d, depths, conics, _ = plain._fully_fused_projection(
        means, covars, viewmats, Ks, view.width, view.height
    )
    for i in range(len(scene)):
        if (radii[0, i] > 0).all():
            mean, covariance, depth = twin.project(scene, view, i)
            (xx, xy), (_, yy) = np.linalg.inv(covariance)
            assert np.allclose(means2d[0, i], mean, rtol=1e-9)
            assert np.allclose(conics[0, i], [xx, xy, yy], rtol=1e-6, atol=1e-9)
            assert depths[0, i] == pytest.approx(depth, rel=1e-12)
    coefficients = torch.tensor(np.concatenate([scene.sh0[:, None], scene.shN], 1)).double()
    directions = means - torch.tensor(view.position)
    colors = plain._spherical_harmonics(scene.sh_degree, directions, coefficients)
    assert np.allclose(colors.add(0.5).clamp_min(0), twin.sh_colors(scene, view), atol=1e-9)


def test_weights_are_alpha_times_what_is_left_of_the_pixel():
    alphas = torch.tensor([0.5, 0.5, 0.999, 0.25, 0.5, 0.1], dtype=torch.float64)
    weights = blending_weights(alphas, torch.tensor([3, 3, 3, 7, 8, 8]))
    expected = [0.5, 0.25, 0.24975, 0.25, 0.5, 0.05]
    assert np.allclose(weights.numpy(), expected, rtol=1e-12)
    nothing = torch.zeros(0, dtype=torch.float64)
    assert len(blending_weights(nothing, nothing.long())) == 0


def test_sums_over_gsplats_pairs_are_the_cpu_rasterizers(standin, cpu):
    scene, view = SMALL
    image = np.random.default_rng(0).uniform(size=(view.height, view.width, 4)).astype(np.float32)
    expected, seen = cpu.contributions(scene, view), standin.contributions(scene, view)
    assert seen.sum.dtype == np.float64
    assert seen.max.dtype == np.float32
    assert np.allclose(seen.sum, expected.sum, atol=1e-3)
    assert np.allclose(seen.max, expected.max, atol=1e-4)
    assert np.array_equal(seen.hits, expected.hits)
    assert np.allclose(seen.transmittance, expected.transmittance, atol=1e-3)
    gathered = standin.backproject(scene, view, image)
    for mine, its in zip(gathered, cpu.backproject(scene, view, image), strict=True):
        assert mine.shape == its.shape
        assert np.allclose(mine, its, atol=1e-3)
    impact = standin.impact(scene, view)
    assert impact.removals.max() > 1
    for mine, its in zip(impact, cpu.impact(scene, view), strict=True):
        assert mine.dtype == its.dtype
        assert np.allclose(mine, its, atol=1e-3)


@pytest.mark.parametrize("first", [0, 23])
def test_gradients_come_back_for_the_free_gaussians_alone(standin, cpu, first):
    scene, view = SMALL
    image = np.random.default_rng(2).normal(size=(view.height, view.width, 3)).astype(np.float32)
    expected = cpu.render_gradients(scene, view, lambda _: image, first=first)
    seen = standin.render_gradients(scene, view, lambda _: image, first=first)
    for mine, its in zip(seen, expected, strict=True):
        assert mine.shape == its.shape
        assert mine.dtype == np.float64
        assert np.allclose(mine, its, rtol=1e-3, atol=1e-4 * np.abs(its).max())
    with pytest.raises(ValueError, match="the gradient has shape"):
        standin.render_gradients(scene, view, lambda _: image[1:], first=first)


def test_what_lies_behind_is_the_rest_of_the_pixel():
    light = torch.tensor([[1.0], [2.0], [4.0], [8.0], [16.0]], dtype=torch.float64).expand(-1, 3)
    behind = sum_behind(light, torch.tensor([3, 3, 3, 7, 8]))
    assert behind[:, 0].tolist() == [6, 4, 0, 0, 0]
    assert sum_behind(light[:0], torch.zeros(0, dtype=torch.int64)).shape == (0, 3)


def test_pictures_come_back_in_the_shapes_of_the_interface(standin, cpu):
    scene, view = SMALL
    colors = np.random.default_rng(1).normal(size=(len(scene), 3)).astype(np.float32)
    for options in ({"background": (0.1, 0.2, 0.3)}, {"colors": colors}):
        expected = cpu.render(scene, view, **options)
        seen = standin.render(scene, view, **options)
        for name in ("rgb", "alpha", "depth"):
            mine, its = getattr(seen, name), getattr(expected, name)
            assert mine.shape == its.shape
            assert mine.dtype == np.float32
            assert np.quantile(abs(mine - its), 0.99) < 1e-3


def test_another_scene_replaces_the_one_on_the_device(standin, cpu):
    _, view = SMALL
    for seed in (1, 2):
        scene = cloud(20, seed, 0)
        expected = cpu.contributions(scene, view)
        assert np.allclose(standin.contributions(scene, view).sum, expected.sum, atol=1e-3)


def test_an_empty_scene_is_background(standin):
    _, view = SMALL
    seen = standin.render(Gaussians.empty(1), view, background=(0.5, 0, 1))
    assert np.array_equal(seen.rgb[0, 0], np.float32([0.5, 0, 1]))
    assert not seen.alpha.any()
    assert standin.contributions(Gaussians.empty(), view).hits.shape == (0,)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device answers on this machine")
def test_without_a_device_the_cpu_draws_whether_or_not_gsplat_imports():
    assert isinstance(default_rasterizer(), CpuRasterizer)
    with pytest.raises(RuntimeError, match="no CUDA device"):
        CudaRasterizer()


@needs_cuda
@pytest.mark.parametrize("name", VIEWS)
def test_cuda_agrees_with_the_cpu(name, cpu, antialiased):
    scene, view = VIEWS[name]
    expected = twin.draw(scene, view, antialiased=antialiased)
    device = CudaRasterizer(antialiased=antialiased)
    seen = device.render(scene, view)
    assert psnr(seen.rgb, cpu.render(scene, view).rgb) > 50
    scores = device.contributions(scene, view)
    sums = expected.weights.sum((1, 2))
    assert np.all(abs(scores.sum - sums) <= 1e-3 * (1 + sums) + doubt(expected))


@needs_cuda
def test_contributions_are_the_gradient_of_a_white_picture():
    """gsplat's own backward pass is the third witness of the sums."""
    import gsplat

    scene, view = VIEWS["SH degree 2"]
    names = ("means", "quats", "scales", "opacities")
    splats = [torch.tensor(getattr(scene, name), device="cuda") for name in names]
    colors = torch.ones(len(scene), 1, device="cuda", requires_grad=True)
    viewmats = torch.tensor(view.viewmat[None], dtype=torch.float32, device="cuda")
    Ks = torch.tensor(view.K[None], dtype=torch.float32, device="cuda")
    drawn, _, _ = gsplat.rasterization(*splats, colors, viewmats, Ks, view.width, view.height)
    drawn.sum().backward()
    sums = CudaRasterizer().contributions(scene, view).sum
    assert np.allclose(sums, colors.grad[:, 0].cpu().numpy(), rtol=1e-3, atol=1e-2)


@needs_cuda
@pytest.mark.parametrize("name", ["SH degree 0", "SH degree 2", "inside the cloud"])
def test_cuda_gradients_agree_with_the_cpus(name, cpu, antialiased):
    scene, view = VIEWS[name]
    shape = (view.height, view.width, 3)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for first in (0, 100):
        expected = cpu.render_gradients(scene, view, lambda _: image, first=first)
        seen = CudaRasterizer(antialiased=antialiased).render_gradients(
            scene, view, lambda _: image, first=first
        )
        for mine, its in zip(seen, expected, strict=True):
            assert mine.shape == its.shape
            assert np.allclose(mine, its, rtol=1e-2, atol=1e-3 * np.abs(its).max())

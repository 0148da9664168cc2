"""Every decoded value lies within half a step of what went in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.constants import POSITION_BITS
from exgs.codec.encoding.klt import fit_transform, quantize, residual_vectors
from exgs.codec.format.frame import pack_frame
from exgs.codec.measuring.directions import sh_basis
from exgs.codec.payload.fine import pack_fine, unpack_fine
from exgs.codec.payload.geometry import (
    GeometrySteps,
    canonical_axes,
    pack_geometry,
    quats_from_matrices,
    unpack_geometry,
)
from exgs.codec.payload.scale_levels import SizeSteps, size_corrections, size_levels
from exgs.codec.payload.sh import (
    ShBasis,
    pack_basis,
    pack_sh,
    unpack_basis,
    unpack_sh,
    with_vectors,
)
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.rotations import rotation_matrices
from tests.strategies import gaussians

# SH up to degree 2 that change their sign with y.
FLIP_Y = np.array([1, -1, 1, 1, -1, -1, 1, 1, 1])

few = settings(max_examples=60, deadline=None)


@st.composite
def steps(draw: st.DrawFn) -> GeometrySteps:
    """Quantizer steps from coarse to fine."""
    return GeometrySteps(
        position=draw(st.sampled_from((1e-4, 0.01, 1.0))),
        sizes=SizeSteps(draw(st.sampled_from((0.01, 0.1, 0.7)))),
        rotation_bits=draw(st.integers(2, 16)),
        opacity_bits=draw(st.integers(1, 16)),
        luma=draw(st.sampled_from((0.002, 0.05, 0.5))),
        chroma=draw(st.sampled_from((0.002, 0.05, 0.5))),
    )


def luma_chroma(colors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    r, g, b = colors.astype(np.float64).T
    return np.stack([(r + g + b) / 3, r - b, g - (r + b) / 2], axis=1)


def check_near(
    got: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating], step: float
) -> None:
    """Within half of a step and the rounding of float32."""
    magnitude = np.abs(wanted).max(initial=0.0)
    error = np.abs(got.astype(np.float64) - wanted.astype(np.float64)).max(initial=0.0)
    assert error <= step * 0.5001 + 3e-7 * magnitude + 1e-30


@few
@given(gaussians(), steps(), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_geometry_is_within_half_a_step(
    scene: Gaussians, steps: GeometrySteps, level: int, seed: int
) -> None:
    child_count = 1 << level
    child = np.random.default_rng(seed).integers(0, child_count, len(scene))
    packed = pack_geometry(scene, child, child_count, steps)
    payload = b"".join(packed.columns)
    decoded, counts = unpack_geometry(
        payload, count=len(scene), child_count=child_count, section="test"
    )
    original = scene.select(packed.order)
    assert counts.tolist() == np.bincount(child, minlength=child_count).tolist()
    assert (np.diff(child[packed.order]) >= 0).all()
    extent = float(np.ptp(scene.means, axis=0).max())
    position = max(steps.position, extent / ((1 << POSITION_BITS) - 2))
    check_near(decoded.means, original.means, position)
    scales, quats = canonical_axes(original.scales, original.quats)
    check_near(np.log(decoded.scales), np.log(scales), steps.sizes.longest)
    exact = np.abs(quats[:, 1:]).max(initial=0) < 0.7  # else a turn may be cut to length 1
    if steps.rotation_bits > 4 and exact:
        check_near(decoded.quats[:, 1:], quats[:, 1:], steps.rotation)
    check_near(decoded.opacities, original.opacities, steps.opacity)
    wanted, got = luma_chroma(original.sh0), luma_chroma(decoded.sh0)
    check_near(got[:, 0], wanted[:, 0], steps.luma)
    check_near(got[:, 1:], wanted[:, 1:], steps.chroma)
    assert decoded.sh_degree == 0


@few
@given(gaussians(), steps(), steps())
def test_fine_is_within_half_of_its_own_step(
    scene: Gaussians, coarse: GeometrySteps, finer: GeometrySteps
) -> None:
    owner = np.zeros(len(scene), np.int64)
    packed = pack_geometry(scene, owner, 1, coarse)
    before, _ = unpack_geometry(
        b"".join(packed.columns), count=len(scene), child_count=1, section="test"
    )
    target = scene.select(packed.order)
    after = unpack_fine(b"".join(pack_fine(target, before, finer)), before, section="test")
    scales, quats = canonical_axes(target.scales, target.quats)
    check_near(after.means, target.means, finer.position)
    check_near(np.log(after.scales), np.log(scales), finer.sizes.longest)
    if finer.rotation_bits > 4:
        check_near(after.quats[:, 1:], quats[:, 1:], finer.rotation)
        np.testing.assert_allclose(np.abs((after.quats * quats).sum(axis=1)), 1, atol=0.05)
    check_near(after.opacities, target.opacities, finer.opacity)
    np.testing.assert_array_equal(after.sh0, before.sh0)


@few
@given(gaussians())
def test_canonical_axes_keep_the_ellipsoid(scene: Gaussians) -> None:
    scales, quats = canonical_axes(scene.scales, scene.quats)
    assert (np.diff(scales, axis=1) <= 0).all()
    assert (quats[:, 0] >= np.abs(quats[:, 1:]).max(axis=1) - 1e-6).all()

    def shapes(s: npt.NDArray[np.float32], q: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        axes = rotation_matrices(q) * (s / s.max(axis=1, keepdims=True))[:, None, :]
        return axes @ axes.transpose(0, 2, 1)

    np.testing.assert_allclose(shapes(scales, quats), shapes(scene.scales, scene.quats), atol=3e-6)


@few
@given(gaussians())
def test_matrices_and_quaternions_are_inverse(scene: Gaussians) -> None:
    quats = quats_from_matrices(rotation_matrices(scene.quats))
    np.testing.assert_allclose(np.abs((quats * scene.quats).sum(axis=1)), 1, atol=1e-6)


@few
@given(gaussians(sh_degrees=(1, 2, 3)), st.sampled_from((0.01, 0.1, 1.0)), st.integers(1, 3))
def test_sh_is_within_its_dead_zone_and_passes_add_up(
    scene: Gaussians, step: float, passes: int
) -> None:
    base = (scene.sh0 * 0.7).astype(np.float32)
    wanted = residual_vectors(scene, base)
    transform = fit_transform(
        wanted,
        np.ones(len(scene)),
        np.zeros(len(scene), np.int64),
        seen_from_above(scene.sh_degree)[None],
    )
    basis = transform.basis
    again = unpack_basis(b"".join(pack_basis(basis)), sh_degree=scene.sh_degree, section="test")
    np.testing.assert_array_equal(again.rows, basis.rows)
    total = np.zeros_like(wanted)
    for number in range(passes):
        own_step = step / 4**number
        payload = b"".join(pack_sh(quantize(wanted - total, transform, 0, own_step), own_step))
        total = total + unpack_sh(payload, basis, count=len(scene), section="test")
        missing = transform.coefficients(wanted - total, 0)
        bound = 0.65 * own_step + 1e-5 * np.abs(wanted).max() * np.sqrt(basis.size)
        assert np.abs(missing).max() <= bound
    leaves = replace(scene, sh0=base, shN=np.zeros((len(scene), 0, 3), np.float32))
    refined = with_vectors(leaves, total.astype(np.float32))
    assert refined.sh_degree == scene.sh_degree
    vectors = residual_vectors(scene, refined.sh0)
    vectors[:, 3:] -= refined.shN.reshape(len(scene), -1)
    np.testing.assert_allclose(vectors, wanted - total, atol=1e-4)


def seen_from_above(sh_degree: int) -> npt.NDArray[np.float64]:
    """The mean of Y Y^T over directions within 45 degrees of an axis."""
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    values = all_sh(directions[directions[:, 1] > 0.7], sh_degree)
    mean: npt.NDArray[np.float64] = values.T @ values / len(values)
    return mean


def all_sh(directions: npt.NDArray[np.float64], sh_degree: int) -> npt.NDArray[np.float64]:
    ones = np.full((len(directions), 1), SH_C0)
    return np.concatenate([ones, sh_basis(directions, sh_degree)], axis=1)


def test_rounded_rows_compress_and_lose_nothing() -> None:
    rng = np.random.default_rng(3)
    wanted = rng.normal(size=(500, 48)).astype(np.float32)
    transform = fit_transform(
        wanted, np.ones(500), np.zeros(500, np.int64), seen_from_above(3)[None]
    )
    packed, raw_bytes = pack_frame(pack_basis(transform.basis))
    assert len(packed) < 0.65 * raw_bytes  # float16 of full precision: 0.95
    back = transform.coefficients(wanted, 0) @ transform.basis.rows[0]
    np.testing.assert_allclose(back, wanted, atol=1e-5)


def test_squared_coefficients_are_the_squared_colour_that_is_seen() -> None:
    rng = np.random.default_rng(1)
    wanted = rng.normal(size=(50, 27)).astype(np.float32)
    seen = seen_from_above(2)
    transform = fit_transform(wanted, np.ones(50), np.zeros(50, np.int64), seen[None])
    squares = np.square(transform.coefficients(wanted, 0)).sum(axis=1) / (4 * np.pi)
    split = wanted.reshape(50, 9, 3).astype(np.float64)
    above = np.einsum("nkc,kl,nlc->n", split, seen, split)
    anywhere = np.square(split).sum(axis=(1, 2)) / (4 * np.pi)
    # Rounded rows are not quite orthonormal.
    share = np.linalg.lstsq(np.stack([above, anywhere], axis=1), squares, rcond=None)[0]
    np.testing.assert_allclose(share.sum(), 1, atol=1e-2)
    assert 0.8 < share[0] < 1
    np.testing.assert_allclose(share[0] * above + share[1] * anywhere, squares, rtol=6e-2)


def test_sh_are_coded_best_where_they_are_seen() -> None:
    rng = np.random.default_rng(2)
    wanted = rng.normal(size=(2000, 27)).astype(np.float32)
    flipped = seen_from_above(2) * np.outer(FLIP_Y, FLIP_Y)
    regions = np.arange(2000) % 2
    transform = fit_transform(
        wanted, np.ones(2000), regions, np.stack([seen_from_above(2), flipped])
    )

    def mean_square(region: int, direction: tuple[float, float, float]) -> float:
        own = wanted[regions == region]
        payload = b"".join(pack_sh(quantize(own, transform, region, 0.5), 0.5, region))
        error = own - unpack_sh(payload, transform.basis, count=len(own), section="test")
        values = all_sh(np.array([direction]), 2)[0]
        colors = np.einsum("nkc,k->nc", error.reshape(-1, 9, 3), values)
        return float(np.mean(np.square(colors)))

    for region, up in enumerate((1, -1)):
        assert mean_square(region, (0, up, 0)) < 0.5 * mean_square(region, (0, -up, 0))


@few
@given(
    st.lists(st.tuples(*[st.floats(-8, 3)] * 3), min_size=1, max_size=40),
    st.sampled_from((0.01, 0.1, 0.5)),
    st.sampled_from((1.0, 1.8)),
    st.sampled_from((0.0, 0.1)),
)
def test_shorter_axes_are_as_exact_as_they_show(
    rows: list[tuple[float, ...]], step: float, middle: float, flatness: float
) -> None:
    logs = -np.sort(-np.array(rows), axis=1)
    steps = SizeSteps(step, middle, flatness)
    origin = float(np.floor(logs.min()))
    levels = size_levels(logs, origin, steps)
    assert all((column >= 0).all() for column in levels)
    decoded = np.empty_like(logs)
    decoded[:, 0] = levels[0] * step + origin
    decoded[:, 1] = decoded[:, 0] - levels[1] * step
    decoded[:, 2] = decoded[:, 1] - levels[2] * step
    assert np.abs(decoded - logs)[:, 0].max() <= 0.5001 * step
    # A multiple of the step lies half a step from the lattice at most; and b <= a all the same.
    assert np.abs(decoded - logs)[:, 1].max() <= (0.5 * middle + 0.5001) * step

    def thickness(of: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        ratio = np.maximum(of[:, 2] - decoded[:, 1], -12.0)
        return 0.5 * np.log(np.exp(2 * ratio) + flatness)

    wrong = np.abs(thickness(decoded) - thickness(np.minimum(logs, decoded[:, 1:2])))
    assert wrong.max() <= 1.5001 * step


def test_a_correction_leaves_alone_what_does_not_show() -> None:
    target = np.log([[1.0, 0.5, 0.01], [1.0, 0.5, 0.4]])
    coarse = np.log([[1.02, 0.5, 0.03], [1.0, 0.5, 0.04]])
    steps = SizeSteps(0.01, 1.0, 0.1)
    corrections = np.rint(size_corrections(target, coarse, steps))
    assert corrections[:, 0].tolist() == [-2, 0]
    assert corrections[0, 2] == 0  # a film of a fiftieth or of a seventeenth of its width
    mended = coarse + corrections * 0.01
    assert abs(mended[1, 2] - target[1, 2]) < 0.1


def test_trailing_components_of_zeros_are_left_out() -> None:
    values = np.zeros((5, 12), np.int64)
    values[2, 3] = -7
    columns = pack_sh(values, 0.5)
    payload = b"".join(columns)
    assert payload[0] == 4
    assert len(payload) == 8 + 4 + 5 + 1  # one sparse column: its flags, one value
    basis = ShBasis(np.eye(12, dtype=np.float32)[None])
    decoded = unpack_sh(payload, basis, count=5, section="test")
    np.testing.assert_array_equal(decoded, values * np.float32(0.5))


def test_gaussians_without_any_difference_have_a_byte_each() -> None:
    scene = Gaussians(
        means=np.zeros((1000, 3), np.float32),
        quats=np.tile(np.float32([1, 0, 0, 0]), (1000, 1)),
        scales=np.ones((1000, 3), np.float32),
        opacities=np.full(1000, 0.01, np.float32),
        sh0=np.zeros((1000, 3), np.float32),
        shN=np.zeros((1000, 0, 3), np.float32),
    )
    steps = GeometrySteps(0.1, SizeSteps(0.1), 8, 4, 0.1, 0.1)
    payload = b"".join(pack_geometry(scene, np.zeros(1000, np.int64), 1, steps).columns)
    assert len(payload) > 1000
    decoded, _ = unpack_geometry(payload, count=1000, child_count=1, section="test")
    np.testing.assert_array_equal(decoded.scales, scene.scales)


def test_an_empty_cell_comes_back_empty() -> None:
    steps = GeometrySteps(0.1, SizeSteps(0.1), 8, 8, 0.1, 0.1)
    packed = pack_geometry(Gaussians.empty(), np.zeros(0, np.int64), 4, steps)
    payload = b"".join(packed.columns)
    decoded, counts = unpack_geometry(payload, count=0, child_count=4, section="test")
    assert len(decoded) == 0
    assert counts.tolist() == [0, 0, 0, 0]


def test_colours_out_of_all_reason_are_cut_not_garbled() -> None:
    steps = GeometrySteps(0.1, SizeSteps(0.1), 8, 8, 0.002, 0.002)
    scene = Gaussians(
        np.zeros((2, 3), np.float32),
        np.tile(np.array([1, 0, 0, 0], np.float32), (2, 1)),
        np.ones((2, 3), np.float32),
        np.ones(2, np.float32),
        np.array([[1e30, 1e30, 1e30], [-1e30, -1e30, -1e30]], np.float32),
        np.zeros((2, 0, 3), np.float32),
    )
    packed = pack_geometry(scene, np.zeros(2, np.int64), 1, steps)
    decoded, _ = unpack_geometry(b"".join(packed.columns), count=2, child_count=1, section="t")
    np.testing.assert_array_equal(np.sign(decoded.sh0), np.sign(scene.sh0[packed.order]))
    assert np.abs(decoded.sh0).min() > 1e12

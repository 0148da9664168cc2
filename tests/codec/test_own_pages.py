"""Arrays in pages of their own: equal values, and memory that goes back to the system."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from exgs.codec.decoding import own_pages
from exgs.codec.decoding.own_pages import own_copy, own_gaussians, own_zeros
from exgs.scene.gaussians import Gaussians


def _gaussians(count: int) -> Gaussians:
    rng = np.random.default_rng(count)
    shapes = ((count, 3), (count, 4), (count, 3), (count,), (count, 3), (count, 8, 3))
    return Gaussians(*(rng.normal(size=shape).astype(np.float32) for shape in shapes))


@pytest.mark.parametrize("count", [0, 3, 20_000])
def test_copies_have_the_same_values(count: int) -> None:
    of = _gaussians(count)
    copy = own_gaussians(of)
    for name in ("means", "quats", "scales", "opacities", "sh0", "shN"):
        assert np.array_equal(getattr(copy, name), getattr(of, name))
        assert getattr(copy, name).dtype == np.float32
    assert np.array_equal(own_copy(of.shN), of.shN)
    assert (copy is of) == (count < 20_000)


def test_zeros_can_be_written() -> None:
    for shape in ((3,), (100_000, 4)):
        values = own_zeros(shape)
        assert not values.any()
        values += 1
        assert values.shape == shape
        assert (values == 1).all()


def test_without_mappings_arrays_are_common_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_size: int) -> None:
        raise OSError

    monkeypatch.setattr(own_pages, "_pages", refuse)
    assert own_zeros((100_000,), np.uint8).nbytes == 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_dropped_arrays_take_no_memory() -> None:
    def resident_bytes() -> int:
        return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

    kept = [own_zeros((1 << 16,)) + 1 for _ in range(4)]
    before = resident_bytes()
    many = [own_copy(np.ones(1 << 16, np.float32)) for _ in range(200)]
    assert resident_bytes() > before + 45_000_000
    kept += many[::50]
    del many
    assert resident_bytes() < before + 8_000_000

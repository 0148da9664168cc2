"""Columns and Morton codes come back as they went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.errors import DamagedError
from exgs.codec.payload.columns import PlaneReader, column_width, split_planes, unzigzag, zigzag
from exgs.codec.payload.morton import morton_decode, morton_encode

unhurried = settings(deadline=None)
unsigned = st.lists(st.integers(0, 2**64 - 1), max_size=30)
signed = st.lists(st.integers(-(2**62), 2**62), max_size=30)
grids = st.lists(st.tuples(*[st.integers(0, 2**21 - 1)] * 3), max_size=30)


@unhurried
@given(unsigned)
def test_a_column_comes_back(values: list[int]) -> None:
    column = np.array(values, np.uint64)
    width = column_width(column)
    assert width == max((value.bit_length() + 7) // 8 for value in [*values, 0])
    reader = PlaneReader(b"".join(split_planes(column, width)), 0, len(column), "test")
    back = reader.column(width)
    reader.finish()
    np.testing.assert_array_equal(back, column)


@unhurried
@given(signed)
def test_zigzag_comes_back_and_keeps_small_numbers_small(values: list[int]) -> None:
    column = np.array(values, np.int64)
    folded = zigzag(column)
    assert folded.tolist() == [2 * v if v >= 0 else -2 * v - 1 for v in values]
    np.testing.assert_array_equal(unzigzag(folded), column)


@unhurried
@given(grids)
def test_morton_codes_interleave_bits(points: list[tuple[int, int, int]]) -> None:
    grid = np.array(points, np.int64).reshape(-1, 3)
    codes = morton_encode(grid)
    for point, code in zip(points, codes.tolist(), strict=True):
        bits = [(point[i % 3] >> (i // 3)) & 1 for i in range(63)]
        assert code == sum(bit << i for i, bit in enumerate(bits))
    np.testing.assert_array_equal(morton_decode(codes), grid)


def test_columns_end_where_they_should() -> None:
    reader = PlaneReader(bytes(5), 0, 2, "test")
    assert reader.column(0).tolist() == [0, 0]
    reader.column(2)
    with pytest.raises(DamagedError, match="1 bytes behind"):
        reader.finish()
    with pytest.raises(DamagedError, match="do not fit"):
        reader.column(1)
    with pytest.raises(DamagedError, match="9 planes"):
        reader.column(9)

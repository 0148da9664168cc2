"""Arrays that are reused hold what assembling everything anew gives."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from exgs.codec.decoding.drawing import DrawBuffer, DrawnPart, DrawnScene, Part, assemble
from exgs.scene.gaussians import Gaussians

SH_DEGREE = 1


def _part(rng: np.random.Generator, part: Part) -> DrawnPart:
    """Any state of a part; how many Gaussians it has follows from its tile."""
    count = part.tile * 400 + 1
    columns = [rng.random(shape, np.float32) for shape in ((count, 3), (count, 4), (count, 3))]
    decoded = Gaussians(
        *columns,
        rng.random(count, np.float32),
        rng.random((count, 3), np.float32),
        np.zeros((count, 0, 3), np.float32),
    )
    if part.is_proxy:
        shown = np.flatnonzero(rng.random(count) < 0.5) if rng.random() < 0.7 else None
        vectors = rng.random((count, 12), np.float32) if rng.random() < 0.3 else None
        return DrawnPart(decoded, vectors=vectors, shown=shown)
    return DrawnPart(
        decoded,
        sh_pending=bool(rng.random() < 0.5),
        vectors=rng.random((count, 12), np.float32) if rng.random() < 0.7 else None,
        factors=rng.random(count, np.float32) if rng.random() < 0.5 else None,
    )


def _rows(drawn: DrawnScene) -> np.ndarray:
    of = drawn.gaussians
    columns = [of.means, of.quats, of.scales, of.opacities, of.sh0, of.shN]
    flags = [drawn.is_proxy, drawn.sh_pending]
    table = np.column_stack(
        [c.reshape(len(of), math.prod(c.shape[1:])) for c in (*columns, *flags)]
    )
    return table[np.lexsort(table.T)]


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 12))
@settings(deadline=None, max_examples=40)
def test_any_updates_leave_what_assembling_anew_gives(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    names = [Part(0, tile, is_proxy) for tile in range(8) for is_proxy in (False, True)]
    buffer, parts = DrawBuffer(SH_DEGREE), dict[Part, DrawnPart]()
    had_sh = False
    for _ in range(steps):
        changed = {part: _part(rng, part) for part in names if rng.random() < 0.3}
        dropped = [part for part in names if part not in changed and rng.random() < 0.3]
        buffer.update(changed, dropped)
        parts.update(changed)
        for part in dropped:
            parts.pop(part, None)
        had_sh |= any(drawn.vectors is not None for drawn in parts.values())
        drawn, anew = buffer.drawn(), assemble(parts, SH_DEGREE)
        assert drawn.gaussians.sh_degree == (SH_DEGREE if had_sh else 0)
        if drawn.gaussians.sh_degree == anew.gaussians.sh_degree:
            assert np.array_equal(_rows(drawn), _rows(anew))
        leaves = np.count_nonzero(~drawn.is_proxy)
        assert not drawn.is_proxy[:leaves].any()
        for part, state in parts.items():
            assert len(state.gaussians(SH_DEGREE)) == len(state), part

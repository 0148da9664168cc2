"""Gains of chunks: measured by rendering, also those of refinements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding import gains
from exgs.codec.encoding.precedence import Step
from exgs.codec.format.container import PackedChunk
from tests.codec.encoding import ball, encode_layered

Steps = list[Step[PackedChunk]]


@pytest.mark.parametrize("sh_degree", [0, 2])
def test_refinements_gain_together_what_is_measured(
    sh_degree: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[Any, Steps]] = []
    steps_of = gains.steps_of

    def watched(plan: Any, layers: Any, transform: Any, errors: Any, level: int) -> Steps:
        steps = steps_of(plan, layers, transform, errors, level)
        found.append((errors, steps))
        return steps

    monkeypatch.setattr(gains, "steps_of", watched)
    _, report = encode_layered(tmp_path / "a.exgs", ball(600, sh_degree))
    [(errors, steps)] = found
    assert len(errors) == len(report.layers) + 2
    cells = {ChunkKind.LEAF, ChunkKind.PROXY}
    refined = [step for step in steps if cells.isdisjoint(c.kind for c in step.chunks)]
    assert refined
    assert all(step.parent is not None for step in refined)
    total = (errors[-2] - errors[-1]).sum()
    assert total > 0
    assert sum(step.gain for step in refined) == pytest.approx(total)

"""Gains of chunks: measured by rendering, also those of refinements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exgs.codec.constants import ChunkKind
from exgs.codec.encoding import gains
from tests.codec.encoding import ball, encode_layered


@pytest.mark.parametrize("sh_degree", [0, 2])
def test_refinements_gain_together_what_is_measured(
    sh_degree: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[Any, gains.Jobs]] = []
    jobs_of = gains.jobs_of

    def watched(plan: Any, layers: Any, transform: Any, errors: Any, level: int) -> gains.Jobs:
        jobs = jobs_of(plan, layers, transform, errors, level)
        found.append((errors, jobs))
        return jobs

    monkeypatch.setattr(gains, "jobs_of", watched)
    _, report = encode_layered(tmp_path / "a.exgs", ball(600, sh_degree))
    [(errors, jobs)] = found
    assert len(errors) == len(report.layers) + 2
    steps = list(zip(jobs.jobs, jobs.chunks, strict=True))
    cells = {ChunkKind.LEAF, ChunkKind.PROXY}
    refined = [job for job, chunks in steps if cells.isdisjoint(c.kind for c in chunks)]
    assert refined
    assert all(job.parent is not None for job in refined)
    total = (errors[-2] - errors[-1]).sum()
    assert total > 0
    assert sum(job.gain for job in refined) == pytest.approx(total)

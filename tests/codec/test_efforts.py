"""The work of an encoder by time: a ladder of efforts, of which the highest that fits is taken."""

from __future__ import annotations

from itertools import count, pairwise
from pathlib import Path

import pytest

from exgs.codec.encoding.efforts import EFFORTS, effort_for, rungs
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.encoding.layer_plan import plan_layers
from exgs.sample import sample_scene
from exgs.scene.cpu.rasterizer import CpuRasterizer
from exgs.scene.errors import SceneWarning
from tests.codec.encoding import ring

SCENE = sample_scene(count=4000)
CAMERA = ring(1, size=(64, 36)).cameras[0]


def test_the_ladder_goes_from_low_over_default_to_high() -> None:
    ladder = rungs()
    assert ladder[0] == EFFORTS["low"]
    assert ladder[len(ladder) // 2] == EFFORTS["default"]
    assert ladder[-1] == EFFORTS["high"]
    for lower, higher in pairwise(ladder):
        assert lower.views <= higher.views
        assert lower.proxies.distill_steps < higher.proxies.distill_steps
        assert lower.proxies.refine_steps < higher.proxies.refine_steps


def test_more_time_never_means_less_work() -> None:
    plan = plan_layers(len(SCENE))
    chosen = []
    for seconds in (0.001, 30, 100, 300, 1000, 100_000):
        clock = count().__next__  # every picture and every step takes 1 s
        effort, predicted_s = effort_for(seconds, SCENE, plan, CAMERA, CpuRasterizer(), clock)
        assert predicted_s <= seconds or effort == EFFORTS["low"]
        chosen.append(rungs().index(effort))
    assert chosen == sorted(chosen)
    assert chosen[0] == 0
    assert chosen[-1] == len(rungs()) - 1


def test_the_least_time_gives_the_file_of_quality_low_and_says_so(tmp_path: Path) -> None:
    encode(SCENE, tmp_path / "low.exgs", EncodeOptions(quality="low", views=4))
    with pytest.warns(SceneWarning, match="the least that it can take"):
        encode(SCENE, tmp_path / "time.exgs", EncodeOptions(seconds=1e-6, views=4))
    assert (tmp_path / "low.exgs").read_bytes() == (tmp_path / "time.exgs").read_bytes()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_no_time_at_all_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        EncodeOptions(seconds=seconds)

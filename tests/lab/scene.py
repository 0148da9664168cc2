"""A small experiment for tests: a coloured box, two links, two viewers."""

from __future__ import annotations

from pathlib import Path

from exgs.scene.formats.ply import write_ply
from exgs.scene.formats.splat import write_splat
from exgs.scene.formats.spz import write_spz
from tests.client.scenes import box_scene, write_box

COUNT = 6000
TOML = """
[experiment]
name = "small"
length_s = 4.0
seeds = 2
picture = [64, 48]
most_views = 4
{settings}

[[scene]]
name = "box"
exgs = "box.exgs"
spz = "box.spz"
splat = "box.splat"
files = {{ ply = "box.ply" }}

[[link]]
name = "slow"
rate = "300kbit,60ms,1%"

[[link]]
name = "stepped"
steps = [[0, 0.2], [2, 1.0]]
delay_ms = 40

[[viewer]]
name = "turn"
kind = "turn"
period_s = 2.0
vary_s = 0.5
{policies}
"""
POLICIES = """
[[policy]]
name = "exgs"
use = "exgs"

[[policy]]
name = "greedy"
use = "greedy"

[[policy]]
name = "spz"
use = "file-order"
format = "spz"
profile = "ranges"

[[policy]]
name = "splat"
use = "file-order"
format = "splat"
profile = "ranges"
"""


def write_files(folder: Path) -> None:
    """The box in all formats."""
    write_box(folder / "box.exgs", COUNT)
    scene = box_scene(COUNT)
    write_ply(folder / "box.ply", scene)
    write_spz(folder / "box.spz", scene)
    write_splat(folder / "box.splat", scene.without_sh())


def write_experiment(folder: Path, policies: str = POLICIES, settings: str = "") -> Path:
    """The experiment; the files must be there."""
    path = folder / "small.toml"
    path.write_text(TOML.format(policies=policies, settings=settings))
    return path

"""The examples of a policy, a predictor and a format of one's own run."""

from __future__ import annotations

from pathlib import Path

from exgs.lab.shell.sweep import run_sweep
from tests.lab.scene import write_experiment

EXAMPLES = Path(__file__).parents[2] / "examples" / "lab"
POLICIES = f"""
[[policy]]
name = "nearest first"
use = "{EXAMPLES}/policy.py:NearestFirst"

[[policy]]
name = "deadline"
use = "deadline"
predictor = "{EXAMPLES}/predictor.py:Damped"

[[policy]]
name = "ply"
use = "file-order"
format = "ply"
profile = "ranges"

[[policy]]
name = "bound"
use = "knows-future"
predictor = "oracle"

[formats]
ply = "{EXAMPLES}/ply_rows.py:read"
"""


def test_they_run_beside_what_comes_with_exgs(box: Path, cache: Path, tmp_path: Path) -> None:
    sweep = run_sweep(write_experiment(box, POLICIES), tmp_path, cache)
    assert len(sweep.rows) == 16
    for row in sweep.rows:
        assert row["mean_db"] > 8
        assert row["first_picture_s"] is not None


def test_each_is_short() -> None:
    for name in ("policy.py", "predictor.py", "ply_rows.py"):
        code = (EXAMPLES / name).read_text().split('"""', 2)[2].splitlines()
        assert len([line for line in code if line.strip()]) <= 36, name

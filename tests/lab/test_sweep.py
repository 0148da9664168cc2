"""Experiments: the same table however they are run, and what comes of a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from exgs.cli.main import main
from exgs.lab.errors import LabError
from exgs.lab.experiment import read_experiment
from exgs.lab.results.compare import compare
from exgs.lab.results.table import read_table
from exgs.lab.shell.real import differences
from exgs.lab.shell.sweep import run_sweep
from tests.lab.scene import POLICIES, write_experiment


@pytest.fixture(scope="module")
def run(box: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on one process."""
    out = tmp_path_factory.mktemp("run")
    run_sweep(write_experiment(box), out, cache)
    return out


def test_the_table_is_the_same_on_four_processes_and_after_an_interruption(
    box: Path, cache: Path, run: Path, tmp_path: Path
) -> None:
    path = write_experiment(box)
    sweep = run_sweep(path, tmp_path, cache, processes=4)
    table = (run / "table.csv").read_bytes()
    assert (tmp_path / "table.csv").read_bytes() == table
    assert (tmp_path / "series.csv").read_bytes() == (run / "series.csv").read_bytes()
    assert sweep.ran == len(sweep.rows) == 16
    lost = sorted((tmp_path / "sessions").iterdir())[:3]
    for file in lost:
        file.unlink()
    again = run_sweep(path, tmp_path, cache)
    assert (again.ran, again.kept) == (3, 13)
    assert (tmp_path / "table.csv").read_bytes() == table


def test_rows_say_what_is_to_be_expected(run: Path) -> None:
    rows = read_table(run)
    assert {row["policy"] for row in rows} == {"exgs", "greedy", "spz", "splat"}
    for row in rows:
        assert row["received_bytes"] > 0
        assert row["t25_s"] is None or row["first_picture_s"] <= row["t25_s"] + 0.06
    mean = {
        name: sum(row["first_picture_s"] for row in rows if row["policy"] == name)
        for name in ("exgs", "greedy", "spz")
    }
    assert mean["exgs"] < 0.5 * mean["spz"]
    # The whole protocol and the quick simulation of its scheduler tell the same.
    assert mean["greedy"] == pytest.approx(mean["exgs"], rel=0.15)


def test_plot_draws_and_compare_tells_what_is_significant(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", "plot", str(run)]) == 0
    report = (run / "report.html").read_text()
    assert report.count("data:image/png;base64,") == 3
    assert "http" not in report.split("</style>")[1].split("<img")[0]
    assert main(["lab", "compare", f"{run}:spz", f"{run}:exgs"]) == 0
    assert "first_picture_s" in capsys.readouterr().out
    rows = read_table(run)
    same = compare(rows, rows)
    assert not any(line.is_significant for line in same)


def test_the_command_prints_a_table(
    box: Path, cache: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_experiment(box)
    assert main(["lab", "run", str(path), "-o", str(run), "--cache", str(cache), "--no-tty"]) == 0
    out = capsys.readouterr()
    assert "exgs" in out.out
    assert "0 simulated now" in out.err


@pytest.mark.parametrize(
    ("settings", "policies", "message"),
    [
        ("speed = 1", POLICIES, "unknown key 'speed'"),
        ("quality = 'guess'", POLICIES, "fast or exact"),
        ("exact_step_s = 0", POLICIES, "exact_step_s must be above 0"),
        ("sample_s = 'often'", POLICIES, "sample_s = 'often' is of the wrong type"),
        ("perceptual = 'flip'", POLICIES, "perceptual = 'flip' is of the wrong type"),
        ("", POLICIES + "[[link]]\nname='x'\nrate='1mbit'\nloss=2\n", "loss is from 0 to 0.5"),
        ("", POLICIES + "[[link]]\nname='x'\nsteps=[[1, 2], [3]]\n", "steps = .* wrong type"),
        ("", POLICIES + "[[link]]\nname='x'\ntrace=3\n", "3 is not the name of a file"),
        ("", POLICIES + "[[viewer]]\nname='x'\nkind='turn'\nperiod_s='1'\n", "wrong type"),
        ("", "", r"at least one \[\[policy\]\]"),
        ("", "[[policy]]\nname = 'x'\nuse = 'best'\n", "none of exgs, exgs-static"),
        ("", "[[policy]]\nname = 'x'\nuse = 'gone.py:P'\n", "gone.py"),
    ],
)
def test_a_wrong_experiment_is_refused_with_the_place(
    box: Path, cache: Path, tmp_path: Path, settings: str, policies: str, message: str
) -> None:
    path = write_experiment(box, policies, settings)
    with pytest.raises((LabError, OSError), match=message):
        run_sweep(path, tmp_path, cache)


def test_files_that_are_optional_may_be_missing(box: Path, cache: Path, tmp_path: Path) -> None:
    more = '\n[[link]]\nname = "far"\ntrace = "$NOWHERE/trace"\n'
    path = write_experiment(box, POLICIES + more)
    with pytest.raises(LabError, match="no such file, wanted by far"):
        run_sweep(path, tmp_path, cache)
    path = write_experiment(box, POLICIES + more + "optional = true\n")
    notes: list[str] = []
    run_sweep(path, tmp_path, cache, note=notes.append)
    assert len(notes) == 1
    assert read_experiment(path).links[-1].name == "far"


def test_real_sessions_stand_beside_simulated_ones(box: Path, cache: Path, tmp_path: Path) -> None:
    policies = '[[policy]]\nname = "exgs"\nuse = "exgs"\n'
    path = write_experiment(box, policies)
    text = (
        path.read_text()
        .replace("seeds = 2", "seeds = 1")
        .replace("length_s = 4.0", "length_s = 1.5")
    )
    text = text.replace("300kbit,60ms,1%", "4mbit,20ms").replace(
        "[[0, 0.2], [2, 1.0]]", "[[0, 4], [1, 3]]"
    )
    path.write_text(text)
    sweep = run_sweep(path, tmp_path, cache, real=True)
    assert [row["mode"] for row in sweep.rows] == ["simulated"] * 2 + ["real"] * 2
    assert len(differences(sweep.rows)) == 2
    for simulated, real in zip(sweep.rows[:2], sweep.rows[2:], strict=True):
        assert 0 < real["received_bytes"] <= 1.1 * simulated["received_bytes"]  # on a busy machine
        assert real["first_picture_s"] is None or real["first_picture_s"] > 0.06

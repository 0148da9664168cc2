"""The fast quality model is right where it was measured, and near elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exgs.lab.errors import LabError
from exgs.lab.experiment import read_experiment
from exgs.lab.jobs import jobs_of
from exgs.lab.quality.curves import psnr_of
from exgs.lab.session import Session
from exgs.lab.stage import Stage
from tests.lab.scene import write_experiment


def test_the_model_is_near_what_is_drawn(box: Path, cache: Path) -> None:
    experiment = read_experiment(write_experiment(box, settings="check_every = 1"))
    stage = Stage(experiment, cache)
    errors = []
    for number, job in enumerate(jobs_of(experiment)):
        if job.seed == 0:
            errors.append(Session(job, stage).simulated(number).row["fast_error_db"])
    assert float(np.sqrt(np.mean(np.square(errors)))) < 1.5  # of noise in a box, small pictures
    assert float(np.median(errors)) < 0.7


def test_curves_give_back_what_was_measured(box: Path, cache: Path) -> None:
    experiment = read_experiment(write_experiment(box))
    stage = Stage(experiment, cache)
    curves = stage.scene("box").curves("exgs", experiment.viewers[0])
    count = len(curves.progress)
    assert (np.diff(curves.progress, axis=0) >= 0).all()
    for view in range(len(curves.errors)):
        views = np.full(count, view)
        found = curves.mse(views, curves.progress)
        wanted = curves.errors[view].sum(axis=1)
        np.testing.assert_allclose(found, np.maximum(wanted, 1e-9), rtol=0.02, atol=1e-7)
        if psnr_of(wanted)[0] < 30:  # the view is not of the void
            assert psnr_of(wanted)[-1] > psnr_of(wanted)[0] + 5


@pytest.mark.parametrize(
    ("name", "package"), [("flip", "flip_evaluator"), ("stlpips", "stlpips_pytorch")]
)
def test_exact_quality_measures_perceptual_metrics(
    box: Path, cache: Path, name: str, package: str
) -> None:
    pytest.importorskip(package)
    settings = f'quality = "exact"\nperceptual = ["{name}"]\nexact_step_s = 0.5'
    experiment = read_experiment(write_experiment(box, settings=settings))
    job = next(jobs_of(experiment))
    row = Session(job, Stage(experiment, cache)).simulated(0).row
    assert 0 < row[f"mean_{name}"] < 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('perceptual = ["flip"]', "needs quality = 'exact'"),
        ('quality = "exact"\nperceptual = ["eyes"]', "'eyes' is none of flip, stlpips"),
    ],
)
def test_perceptual_metrics_are_checked(box: Path, settings: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        read_experiment(write_experiment(box, settings=settings))

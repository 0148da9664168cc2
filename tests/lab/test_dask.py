"""A sweep over a Dask cluster gives the same table, also where a worker is killed on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from exgs.lab.shell import dask_cluster
from exgs.lab.shell.sweep import run_sweep
from tests.lab.scene import write_experiment

distributed = pytest.importorskip("distributed", reason="the extra lab is not installed")


@pytest.mark.filterwarnings("default")
def test_the_table_is_the_same_although_a_worker_is_killed(
    box: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_experiment(box)
    run_sweep(path, tmp_path / "here", cache)
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as cluster:
        pids = [worker.pid for worker in cluster.workers.values()]
        run_on_cluster = dask_cluster.run_on_cluster

        def kill_on_the_way(*arguments: object) -> object:
            for number, pair in enumerate(run_on_cluster(*arguments)):  # type: ignore[arg-type]
                if number == 2:
                    os.kill(pids[0], signal.SIGKILL)
                yield pair

        monkeypatch.setattr(dask_cluster, "run_on_cluster", kill_on_the_way)
        run_sweep(path, tmp_path / "there", cache, dask=cluster.scheduler_address)
    for name in ("table.csv", "series.csv"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()

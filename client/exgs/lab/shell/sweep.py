"""Runs all sessions of an experiment in several processes, and continues an interrupted run.

The result of each session is a file in OUT/sessions, named by a hash of everything that determines
it. The table is made from these files in the order of the experiment, so it does not depend on the
order of execution.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from exgs.lab.errors import LabError
from exgs.lab.experiment import Experiment, read_experiment
from exgs.lab.jobs import job_key, jobs_of
from exgs.lab.results.table import LABELS, settings_of, write_table
from exgs.lab.session import PROTOCOL, Result, Session
from exgs.lab.shell.worker import Planned, run_here
from exgs.lab.stage import Stage
from exgs.scene.files import atomic_write

Report = Callable[[str, float], None]
Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The result of a run of an experiment."""

    rows: list[dict[str, Any]]
    ran: int  # simulated sessions
    kept: int  # sessions with existing results


def run_sweep(
    path: Path,
    out: Path,
    cache: Path,
    *,
    processes: int = 1,
    dask: str | None = None,
    real: bool = False,
    report: Report = lambda stage, fraction: None,
    note: Note = lambda _: None,
) -> Sweep:
    """Run an experiment into a folder. Raises LabError and what its files raise."""
    experiment = at_hand(read_experiment(path), note)
    sessions = out / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    if not any(True for _ in jobs_of(experiment)):
        raise LabError("no scene has a format of any policy")
    _prepare(experiment, cache, report)
    experiment_key = hashlib.sha256(path.read_bytes()).hexdigest()
    planned = [
        Planned(number, job, job_key(job, experiment, number), experiment_key)
        for number, job in enumerate(jobs_of(experiment))
    ]
    missing = [item for item in planned if not _file(sessions, item).exists()]
    for done, (item, result) in enumerate(_run(experiment, cache, missing, processes, dask)):
        _store(_file(sessions, item), result)
        report("simulating", (done + 1) / len(missing))
    if real:
        planned = [*planned, *_run_real(experiment, cache, sessions, planned, report)]
    rows = [_row(experiment, sessions, item) for item in planned]
    write_table(out / "table.csv", rows)
    _write_series(out / "series.csv", sessions, planned)
    return Sweep(rows, len(missing), len(planned) - len(missing))


def at_hand(experiment: Experiment, note: Note) -> Experiment:
    """The experiment without optional rows whose files are missing.

    Raises LabError if a required file is missing, or if no row is left.
    """
    kept: dict[str, tuple[Any, ...]] = {}
    for table in ("scenes", "links", "viewers"):
        rows = []
        for row in getattr(experiment, table):
            gone = _gone(row)
            if gone is None:
                rows.append(row)
            elif row.optional:
                note(f"left out {row.name}: {gone} is not here")
            else:
                raise LabError(f"{gone}: no such file, wanted by {row.name}")
        if not rows:
            raise LabError(f"no {table} are left: none of their files is here")
        kept[table] = tuple(rows)
    return Experiment(
        experiment.path,
        experiment.settings,
        kept["scenes"],
        kept["links"],
        kept["viewers"],
        experiment.policies,
        experiment.formats,
        experiment.qoe,
    )


def _gone(row: Any) -> Path | None:
    files = [*getattr(row, "files", {}).values(), getattr(row, "trace", None)]
    files.append(getattr(row, "file", None))
    return next((path for path in files if path is not None and not path.exists()), None)


def _prepare(experiment: Experiment, cache: Path, report: Report) -> None:
    """Encode and measure what is not in the cache, before the processes start."""
    stage = Stage(experiment, cache)
    formats = sorted({policy.format for policy in experiment.policies})
    needs_curves = experiment.settings.quality == "fast" or any(
        policy.use == "knows-future" for policy in experiment.policies
    )
    for scene in experiment.scenes:
        for kind in formats:
            if kind not in scene.formats:
                continue
            report(f"opening {scene.name} as {kind}", 0.0)
            stage.scene(scene.name).asset(kind)
            for viewer in experiment.viewers if needs_curves else ():
                if not viewer.looks_at(scene):
                    continue
                label = f"measuring {scene.name} as {kind} for {viewer.name}"
                stage.scene(scene.name).curves(kind, viewer, functools.partial(report, label))
    for link in experiment.links:
        stage.link(link, 0)


def _run(
    experiment: Experiment,
    cache: Path,
    planned: Sequence[Planned],
    processes: int,
    dask: str | None,
) -> Iterator[tuple[Planned, Result]]:
    if dask is not None and planned:
        from exgs.lab.shell.dask_cluster import run_on_cluster

        yield from run_on_cluster(dask, experiment.path, cache, planned)
        return
    if processes <= 1 or len(planned) <= 1:
        for item in planned:
            yield item, run_here(experiment.path, cache, item)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting = {pool.submit(run_here, experiment.path, cache, item): item for item in planned}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run_real(
    experiment: Experiment,
    cache: Path,
    sessions: Path,
    planned: Sequence[Planned],
    report: Report,
) -> list[Planned]:
    """Run sessions of the real protocol over sockets, one after the other."""
    from exgs.lab.shell.real import run_real

    stage = Stage(experiment, cache)
    wanted = [
        replace(item, key=f"{item.key}-real") for item in planned if item.job.policy.use in PROTOCOL
    ]
    for done, item in enumerate(wanted):
        if not _file(sessions, item).exists():
            _store(_file(sessions, item), run_real(Session(item.job, stage)))
        report("over sockets", (done + 1) / len(wanted))
    return wanted


def _file(sessions: Path, item: Planned) -> Path:
    return sessions / f"{item.key}.json"


def _store(path: Path, result: Result) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps(asdict(result)).encode())


def _load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_bytes())
    return loaded


def _row(experiment: Experiment, sessions: Path, item: Planned) -> dict[str, Any]:
    return {**_load(_file(sessions, item))["row"], **settings_of(experiment, item.job)}


def _write_series(path: Path, sessions: Path, planned: Sequence[Planned]) -> None:
    """Write the quality over time of all sessions: one row per session and time."""
    lines = ["scene,link,viewer,policy,seed,mode,time_s,psnr_db\n"]
    for item in planned:
        kept = _load(_file(sessions, item))
        label = ",".join(_quoted(kept["row"][name]) for name in LABELS)
        for time_s, value in zip(kept["times_s"], kept["psnr_db"], strict=True):
            lines.append(f"{label},{time_s:g},{value:g}\n")
    with atomic_write(path) as file:
        file.write("".join(lines).encode())


def _quoted(value: object) -> str:
    """Quote a cell of a CSV file."""
    text = str(value)
    return '"{}"'.format(text.replace('"', '""')) if set(text) & set('",\n') else text

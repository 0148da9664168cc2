"""One session of an experiment: from its settings to a row of the table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.lab import metrics
from exgs.lab.assets.asset import Asset
from exgs.lab.cores import run_cores
from exgs.lab.errors import LabError
from exgs.lab.experiment import Experiment, LinkSpec, PolicySpec, SceneSpec, ViewerSpec
from exgs.lab.future import ErrorGains
from exgs.lab.links.transport import LinkModel
from exgs.lab.plugins import is_plugin, load_plugin, plugin_digest
from exgs.lab.policies.policy import Policy
from exgs.lab.policies.shipped import POLICIES
from exgs.lab.quality.curves import Curves
from exgs.lab.quality.seen import Seen, exact_quality, fast_quality, sample_times
from exgs.lab.stage import SceneStage, Sight, Stage
from exgs.lab.stream import StreamRun, Terms
from exgs.lab.transcript import Transcript
from exgs.lab.viewers.predictors import PREDICTORS, Oracle, Predictor, Stays
from exgs.lab.weights import PathViews

CORES = ("exgs", "exgs-static")
_FUTURE_S = (0.5, 2.0, 8.0)  # horizons of the policy knows-future
_VERSION = 1  # of the simulation: cached results of other versions are not used


@dataclass(frozen=True, slots=True)
class Job:
    """The settings of one session."""

    scene: SceneSpec
    link: LinkSpec
    viewer: ViewerSpec
    policy: PolicySpec
    seed: int

    @property
    def label(self) -> dict[str, str | int]:
        """The label columns of the table."""
        return {
            "scene": self.scene.name,
            "link": self.link.name,
            "viewer": self.viewer.name,
            "policy": self.policy.name,
            "seed": self.seed,
        }


def jobs_of(experiment: Experiment) -> Iterator[Job]:
    """All sessions, in the order of the table; a policy skips scenes that lack its format."""
    for scene in experiment.scenes:
        for link in experiment.links:
            for viewer in experiment.viewers:
                for policy in experiment.policies:
                    if policy.format not in scene.formats or not viewer.looks_at(scene):
                        continue
                    for seed in experiment.settings.seeds:
                        yield Job(scene, link, viewer, policy, seed)


def job_key(job: Job, experiment: Experiment, number: int) -> str:
    """A hash of everything that determines a session's result, except contents of files."""
    settings = asdict(experiment.settings)
    settings.pop("seeds")
    parts: list[Any] = [_VERSION, number if experiment.settings.check_every else 0, settings]
    parts += [asdict(experiment.qoe), dict(experiment.formats), job.seed]
    for row in (job.scene, job.link, job.viewer, job.policy):
        parts.append({key: str(value) for key, value in asdict(row).items() if key != "optional"})
    plugins = [job.policy.use, job.policy.predictor, *experiment.formats.values()]
    parts += [plugin_digest(text, experiment.folder) for text in plugins if is_plugin(text)]
    for path in (*job.scene.files.values(), job.link.trace, job.viewer.file):
        if path is not None:
            stat = path.stat()
            parts.append([stat.st_size, stat.st_mtime_ns])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a session: a row of the table, and its quality over time."""

    row: dict[str, Any]
    times_s: tuple[float, ...]
    psnr_db: tuple[float, ...]


def run_job(job: Job, stage: Stage, number: int) -> Result:
    """Simulate a session and measure its quality."""
    settings = stage.experiment.settings
    scene = stage.scene(job.scene.name)
    kind = job.policy.format
    sight = scene.sight(job.viewer)
    views = session_views(job, stage, sight)
    seen_by = _Eyes(job, stage, scene, kind, views, sight)
    transcript = _run(job, stage, scene.asset(kind), views, seen_by)
    result = _result(job, stage, seen_by, transcript, "simulated")
    row = result.row
    if settings.quality == "fast" and settings.check_every and number % settings.check_every == 0:
        row["fast_error_db"] = seen_by.fast_error(transcript)
    return result


def real_result(job: Job, stage: Stage, transcript: Transcript) -> Result:
    """Measure the quality of a session that has run over sockets."""
    scene = stage.scene(job.scene.name)
    sight = scene.sight(job.viewer)
    eyes = _Eyes(job, stage, scene, job.policy.format, session_views(job, stage, sight), sight)
    return _result(job, stage, eyes, transcript, "real")


def _result(job: Job, stage: Stage, eyes: _Eyes, transcript: Transcript, mode: str) -> Result:
    row, seen = eyes.measure(transcript)
    settings = stage.experiment.settings
    kept = slice(None, None, max(1, round(0.1 / settings.sample_s)))
    return Result(
        {**job.label, "mode": mode, **row, "fast_error_db": None, "events": transcript.events},
        tuple(round(value, 3) for value in seen.times_s[kept].tolist()),
        tuple(round(value, 3) for value in seen.psnr_db[kept].tolist()),
    )


def session_views(job: Job, stage: Stage, sight: Sight) -> PathViews:
    """The views of a session: each seed starts a little later on the path."""
    settings = stage.experiment.settings
    place = settings.seeds.index(job.seed)
    first = round((job.viewer.start_s + job.viewer.vary_s * place) / settings.view_step_s)
    return sight.whole.starting(first)


def session_terms(job: Job, stage: Stage) -> Terms:
    """The terms of a session."""
    settings = stage.experiment.settings
    is_push = job.policy.use == "exgs" or (
        job.policy.use != "exgs-static" and job.policy.profile == "push"
    )
    return Terms(
        length_s=settings.length_s,
        profile="push" if is_push else "ranges",
        connect_trips=_connect_trips(job.policy.use, is_push) + (1.0 if settings.tls else 0.0),
        seed=job.seed,
    )


def _connect_trips(use: str, is_push: bool) -> float:
    """Round trips before the first request: TCP, and the upgrade to WebSocket for `push`."""
    if use == "exgs-static":
        return 0.0  # the simulation opens each connection itself
    return 2.0 if is_push else 1.0


def _run(job: Job, stage: Stage, asset: Asset, views: PathViews, eyes: _Eyes) -> Transcript:
    link, terms = stage.link(job.link, job.seed), session_terms(job, stage)
    if job.policy.use in CORES:
        return run_cores(asset, link, views, terms)
    predictor = predictor_named(job.policy.predictor, views, stage)
    if job.policy.use != "knows-future":
        policy = policy_named(job.policy, stage)
        return _simulate(asset, policy, link, views, terms, predictor, job.policy.predictor)
    gains = ErrorGains(asset, eyes.curves, eyes.places, views.step_s)
    best: tuple[float, Transcript] | None = None
    for horizon_s in _FUTURE_S:
        policy = POLICIES["knows-future"](horizon_s)
        run = StreamRun(
            asset, policy, link, views, terms, predictor, "", error_gain=gains.per_item
        ).run()
        mean_db = float(eyes.look(run).psnr_db.mean())
        if best is None or mean_db > best[0]:
            best = mean_db, run
    if best is None:
        raise LabError("there is no horizon")
    return best[1]


def _simulate(
    asset: Asset,
    policy: Policy,
    link: LinkModel,
    views: PathViews,
    terms: Terms,
    predictor: Predictor,
    name: str,
) -> Transcript:
    return StreamRun(asset, policy, link, views, terms, predictor, name).run()


def policy_named(spec: PolicySpec, stage: Stage) -> Policy:
    """Create a policy. Raises LabError if the name is unknown."""
    made: Policy
    if is_plugin(spec.use):
        made = load_plugin(spec.use, stage.experiment.folder)(**spec.options)
        return made
    if spec.use not in POLICIES:
        known = ", ".join([*CORES, *POLICIES])
        raise LabError(f"policy {spec.name}: {spec.use!r} is none of {known}, nor FILE.py:CLASS")
    made = POLICIES[spec.use](**spec.options)
    return made


def predictor_named(name: str, views: PathViews, stage: Stage) -> Predictor:
    """Create a predictor. Raises LabError if the name is unknown."""
    made: Predictor
    if is_plugin(name):
        made = load_plugin(name, stage.experiment.folder)()
        return made
    if name == "oracle":
        return Oracle(views.path)
    if name not in PREDICTORS:
        raise LabError(f"predictor {name!r} is none of {', '.join([*PREDICTORS, 'oracle'])}")
    return PREDICTORS[name]()


class _Eyes:
    """Measures the quality of a session."""

    def __init__(
        self, job: Job, stage: Stage, scene: SceneStage, kind: str, views: PathViews, sight: Sight
    ) -> None:
        self._job, self._stage, self._scene = job, stage, scene
        self._asset, self._views, self._kind = scene.asset(kind), views, kind
        self._settings = stage.experiment.settings
        begin = views.first - sight.whole.first
        count = views.number(self._settings.length_s) + 1
        self.places = sight.nearest[begin : begin + count]  # for each view, the measured one

    @property
    def curves(self) -> Curves:
        """The measured curves."""
        return self._scene.curves(self._kind, self._job.viewer, lambda _: None)

    def look(self, transcript: Transcript) -> Seen:
        """Quality over time, by the method of the experiment."""
        settings = self._settings
        if settings.quality == "exact":
            return self._draw(transcript, settings.exact_step_s)
        times = sample_times(settings.length_s, settings.sample_s)
        numbers = np.array([self._views.number(time_s) for time_s in times.tolist()])
        return fast_quality(self._asset, self.curves, transcript, times, self.places[numbers])

    def measure(self, transcript: Transcript) -> tuple[dict[str, Any], Seen]:
        """The metrics of the session."""
        seen = self.look(transcript)
        was_seen = self._was_seen(transcript)
        qoe = self._stage.experiment.qoe
        return dict(metrics.measure(self._asset, transcript, seen, was_seen, qoe)), seen

    def fast_error(self, transcript: Transcript) -> float:
        """The RMS difference in dB of fast model and rendering, over samples from 15 to 50 dB."""
        exact = self._draw(transcript, self._settings.exact_step_s)
        fast = self.look(transcript)
        at = np.searchsorted(fast.times_s, exact.times_s - 1e-9)
        kept = (exact.psnr_db > 15) & (exact.psnr_db < 50)
        gap = (fast.psnr_db[at] - exact.psnr_db)[kept]
        return float(np.sqrt(np.mean(np.square(gap)))) if len(gap) else 0.0

    def _draw(self, transcript: Transcript, step_s: float) -> Seen:
        times = sample_times(self._settings.length_s, step_s)
        return exact_quality(
            self._asset,
            self._scene.whole,
            transcript,
            times,
            self._views,
            self._stage.metrics,
        )

    def _was_seen(self, transcript: Transcript) -> npt.NDArray[np.bool_]:
        """Whether each item was in view at some time after its arrival."""
        step = max(1, round(0.5 / self._views.step_s))
        numbers = range(0, self._views.number(self._settings.length_s) + 1, step)
        last_seen = np.full(len(self._asset), -1.0)
        for number in numbers:
            weights = self._views.weights(self._asset, number, 0.0, Stays(), "")
            last_seen[weights.coverage > 0] = (number + step) * self._views.step_s
        seen: npt.NDArray[np.bool_] = last_seen[transcript.items] > transcript.times_s
        return seen

"""One session of an experiment: from its settings to a row of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.lab import metrics
from exgs.lab.errors import LabError
from exgs.lab.experiment import PolicySpec
from exgs.lab.jobs import Job
from exgs.lab.plugins import is_plugin, load_plugin
from exgs.lab.policies.policy import Policy
from exgs.lab.policies.shipped import POLICIES
from exgs.lab.quality.curves import Curves
from exgs.lab.quality.error_gains import ErrorGains
from exgs.lab.quality.seen import Seen, exact_quality, fast_quality, sample_times
from exgs.lab.simulation.policy_run import PolicyRun
from exgs.lab.simulation.protocol import run_protocol
from exgs.lab.simulation.terms import Terms
from exgs.lab.simulation.transcript import Transcript
from exgs.lab.stage import Stage
from exgs.lab.viewers.predictors import PREDICTORS, Oracle, Predictor

PROTOCOL = ("exgs", "exgs-static")  # policies that run the whole protocol
_FUTURE_S = (0.5, 2.0, 8.0)  # horizons of the policy knows-future
_CHECKED_DB = (15.0, 50.0)  # PSNR of the frames in which the fast model is checked
_SERIES_S = 0.1  # interval of quality over time in the results
_IN_VIEW_S = 0.5  # interval of the views in which an item counts as seen


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a session: a row of the table, and its quality over time."""

    row: dict[str, Any]
    times_s: tuple[float, ...]
    psnr_db: tuple[float, ...]


class Session:
    """A session with its data: it can be simulated, and its quality measured."""

    def __init__(self, job: Job, stage: Stage) -> None:
        settings = stage.experiment.settings
        self.job = job
        self.length_s = settings.length_s
        self.scene = stage.scene(job.scene.name)
        self.link = stage.link(job.link, job.seed)
        path = self.scene.measured_path(job.viewer)
        # Each seed starts a little later on the path.
        start_s = job.viewer.start_s + job.viewer.vary_s * settings.seeds.index(job.seed)
        first = round(start_s / settings.view_step_s)
        self.views = path.views.starting(first)
        self._asset = self.scene.asset(job.policy.format)
        self._settings = settings
        self._stage = stage
        begin = first - path.views.first
        count = self.views.number(self.length_s) + 1
        self._places = path.nearest[begin : begin + count]  # for each view, the measured one

    def simulated(self, number: int) -> Result:
        """The result of its simulation. `number` decides whether the fast model is checked."""
        transcript = self._simulate()
        result = self.result(transcript, "simulated")
        every = self._settings.check_every if self._settings.quality == "fast" else 0
        if every and number % every == 0:
            result.row["fast_error_db"] = self._fast_error(transcript)
        return result

    def result(self, transcript: Transcript, mode: str) -> Result:
        """Measure the quality of a session with these arrivals."""
        seen = self._quality(transcript)
        was_seen = self._was_seen(transcript)
        row = metrics.measure(self._asset, transcript, seen, was_seen, self._stage.experiment.qoe)
        kept = slice(None, None, max(1, round(_SERIES_S / self._settings.sample_s)))
        events = {"fast_error_db": None, "events": transcript.events}
        return Result(
            {**self.job.label, "mode": mode, **row, **events},
            tuple(round(value, 3) for value in seen.times_s[kept].tolist()),
            tuple(round(value, 3) for value in seen.psnr_db[kept].tolist()),
        )

    # The simulation

    def _simulate(self) -> Transcript:
        policy = self.job.policy
        if policy.use in PROTOCOL:
            return run_protocol(self._asset, self.link, self.views, self._terms())
        if policy.use != "knows-future":
            return self._run(_policy(policy, self._stage))
        gains = ErrorGains(self._asset, self._curves, self._places, self.views.step_s)
        runs = [self._run(POLICIES[policy.use](horizon_s), gains) for horizon_s in _FUTURE_S]
        return max(runs, key=lambda run: float(self._quality(run).psnr_db.mean()))

    def _run(self, policy: Policy, gains: ErrorGains | None = None) -> Transcript:
        name = self.job.policy.predictor
        predictor = self._predictor(name)
        error_gain = gains.per_item if gains is not None else None
        return PolicyRun(
            self._asset, policy, self.link, self.views, self._terms(), predictor, name, error_gain
        ).run()

    def _terms(self) -> Terms:
        policy = self.job.policy
        is_push = policy.use == "exgs" or (policy.use != "exgs-static" and policy.profile == "push")
        trips = 2.0 if is_push else 1.0  # TCP, and the upgrade to WebSocket
        if policy.use == "exgs-static":
            trips = 0.0  # the simulation opens each connection itself
        return Terms(
            length_s=self.length_s,
            profile="push" if is_push else "ranges",
            connect_trips=trips + (1.0 if self._settings.tls else 0.0),
            seed=self.job.seed,
        )

    def _predictor(self, name: str) -> Predictor:
        made: Predictor
        if is_plugin(name):
            made = load_plugin(name, self._stage.experiment.folder)()
            return made
        if name == "oracle":
            return Oracle(self.views.path)
        if name not in PREDICTORS:
            raise LabError(f"predictor {name!r} is none of {', '.join([*PREDICTORS, 'oracle'])}")
        return PREDICTORS[name]()

    # Its quality

    @property
    def _curves(self) -> Curves:
        return self.scene.curves(self.job.policy.format, self.job.viewer)

    def _quality(self, transcript: Transcript) -> Seen:
        """Quality over time, by the method of the experiment."""
        if self._settings.quality == "exact":
            return self._rendered(transcript)
        times = sample_times(self.length_s, self._settings.sample_s)
        numbers = np.array([self.views.number(time_s) for time_s in times.tolist()])
        return fast_quality(self._asset, self._curves, transcript, times, self._places[numbers])

    def _rendered(self, transcript: Transcript) -> Seen:
        times = sample_times(self.length_s, self._settings.exact_step_s)
        return exact_quality(
            self._asset, self.scene.whole, transcript, times, self.views, self._stage.metrics
        )

    def _fast_error(self, transcript: Transcript) -> float:
        """The RMS difference in dB of the fast model and rendering."""
        exact, fast = self._rendered(transcript), self._quality(transcript)
        at = np.searchsorted(fast.times_s, exact.times_s - 1e-9)
        low, high = _CHECKED_DB
        kept = (exact.psnr_db > low) & (exact.psnr_db < high)
        gap = (fast.psnr_db[at] - exact.psnr_db)[kept]
        return float(np.sqrt(np.mean(np.square(gap)))) if len(gap) else 0.0

    def _was_seen(self, transcript: Transcript) -> npt.NDArray[np.bool_]:
        """Whether each item was in view at some time after its arrival."""
        views = self.views
        step = max(1, round(_IN_VIEW_S / views.step_s))
        last_seen = np.full(len(self._asset), -1.0)
        for number in range(0, views.number(self.length_s) + 1, step):
            coverage = views.weights(self._asset, number).coverage
            last_seen[coverage > 0] = (number + step) * views.step_s
        seen: npt.NDArray[np.bool_] = last_seen[transcript.items] > transcript.times_s
        return seen


def _policy(spec: PolicySpec, stage: Stage) -> Policy:
    made: Policy
    if is_plugin(spec.use):
        made = load_plugin(spec.use, stage.experiment.folder)(**spec.options)
        return made
    if spec.use not in POLICIES:
        known = ", ".join([*PROTOCOL, *POLICIES])
        raise LabError(f"policy {spec.name}: {spec.use!r} is none of {known}, nor FILE.py:CLASS")
    made = POLICIES[spec.use](**spec.options)
    return made

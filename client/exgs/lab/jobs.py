"""The sessions of an experiment: every scene with every link, viewer, policy and seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from exgs.lab.experiment import Experiment, LinkSpec, PolicySpec, SceneSpec, ViewerSpec
from exgs.lab.plugins import is_plugin, plugin_digest

_VERSION = 2  # of the simulation: results of other versions are not used


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
    seeds = settings.pop("seeds")
    parts: list[Any] = [_VERSION, number if experiment.settings.check_every else 0, settings]
    parts.append(job.viewer.vary_s * len(seeds))  # the measured views cover the paths of all seeds
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

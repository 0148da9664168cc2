"""Weights of items in the views of a path, computed once for all sessions of a process."""

from __future__ import annotations

from collections import OrderedDict

from exgs.lab.assets.asset import Asset
from exgs.lab.viewers.path import Pose, ViewPath
from exgs.lab.viewers.predictors import Predictor
from exgs.scene.camera import Camera
from exgs.wire.visibility import BoxWeights

_MOST = 20_000  # entries
_SEEN_S = 3.0  # of the past that a predictor is told

_poses: dict[tuple[int, int, float], Pose] = {}
_kept: OrderedDict[tuple[str, int, str, int, float], BoxWeights] = OrderedDict()


class PathViews:
    """A path cut into views at a fixed step, from some place of it on.

    `name` must name path, scene and picture: what was computed for it is used again.
    """

    def __init__(self, path: ViewPath, step_s: float, *, first: int = 0) -> None:
        self.path = path
        self.step_s = step_s
        self._first = first

    @property
    def first(self) -> int:
        """Where on the path the first view stands, in steps."""
        return self._first

    def number(self, time_s: float) -> int:
        """The newest view at a time of the session; the first is there at 0."""
        return max(0, int(time_s / self.step_s + 1e-9))

    def time_s(self, number: int) -> float:
        """Where on the path a view stands."""
        return (self._first + number) * self.step_s

    def pose(self, number: int) -> Pose:
        """The pose of a view."""
        key = (id(self.path), self._first + number, self.step_s)
        known = _poses.get(key)
        if known is None:
            known = _poses[key] = self.path.pose(self.time_s(number))
        return known

    def camera(self, number: int) -> Camera:
        """The camera of a view."""
        return self.path.lens.camera(self.pose(number))

    def weights(
        self, asset: Asset, number: int, ahead_s: float, predictor: Predictor, name: str
    ) -> BoxWeights:
        """Weights of the items in the view that follows view `number` by `ahead_s`."""
        if not ahead_s:
            name = ""
        key = (asset.key, id(self.path), name, self._first + number, ahead_s)
        known = _kept.get(key)
        if known is None:
            pose = self.pose(number)
            if ahead_s:
                pose = predictor.predict(self._seen(number), ahead_s)
            known = asset.weights(self.path.lens.camera(pose))
            _kept[key] = known
            if len(_kept) > _MOST:
                _kept.popitem(last=False)
        return known

    def _seen(self, number: int) -> list[tuple[float, Pose]]:
        """What has come of the path by then."""
        first = max(0, number - int(_SEEN_S / self.step_s))
        return [(self.time_s(n), self.pose(n)) for n in range(first, number + 1)]

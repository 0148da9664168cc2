"""The views of a path at a fixed step, and the weights of items in them.

Weights are computed once for all sessions on a path.
"""

from __future__ import annotations

from collections import OrderedDict

from exgs.lab.assets.asset import Asset
from exgs.lab.viewers.path import Pose, ViewPath
from exgs.lab.viewers.predictors import Predictor
from exgs.scene.camera import Camera
from exgs.wire.visibility import BoxWeights

_MOST = 10_000  # cached weights of a path
_SEEN_S = 3.0  # of the past poses for a predictor


class PathViews:
    """The views of a path at a fixed step, from view number `first` of the path on."""

    def __init__(self, path: ViewPath, step_s: float, *, first: int = 0) -> None:
        self.path = path
        self.step_s = step_s
        self._first = first
        self._poses: dict[int, Pose] = {}  # by the number of the view on the path
        self._weights: OrderedDict[tuple[str, str, int, float], BoxWeights] = OrderedDict()

    def starting(self, first: int) -> PathViews:
        """The same views from another one on. Cached results are shared."""
        views = PathViews(self.path, self.step_s, first=first)
        views._poses, views._weights = self._poses, self._weights
        return views

    @property
    def first(self) -> int:
        """The place of the first view on the path, in steps."""
        return self._first

    def number(self, time_s: float) -> int:
        """The number of the newest view at a time of the session; the first view is at 0."""
        return max(0, int(time_s / self.step_s + 1e-9))

    def time_s(self, number: int) -> float:
        """The time of a view on the path."""
        return (self._first + number) * self.step_s

    def pose(self, number: int) -> Pose:
        """The pose of a view."""
        place = self._first + number
        known = self._poses.get(place)
        if known is None:
            known = self._poses[place] = self.path.pose(self.time_s(number))
        return known

    def camera(self, number: int) -> Camera:
        """The camera of a view."""
        return self.path.lens.camera(self.pose(number))

    def weights(
        self,
        asset: Asset,
        number: int,
        ahead_s: float = 0.0,
        predictor: Predictor | None = None,
        name: str = "",
    ) -> BoxWeights:
        """The weights of the items in view `number`, or in the view predicted for `ahead_s` later.

        `name` identifies the predictor: results for the same name are reused.
        """
        if predictor is None or not ahead_s:
            predictor, name, ahead_s = None, "", 0.0
        key = (asset.key, name, self._first + number, ahead_s)
        known = self._weights.get(key)
        if known is None:
            pose = self.pose(number)
            if predictor is not None:
                pose = predictor.predict(self._seen(number), ahead_s)
            known = asset.weights(self.path.lens.camera(pose))
            self._weights[key] = known
            if len(self._weights) > _MOST:
                self._weights.popitem(last=False)
        return known

    def _seen(self, number: int) -> list[tuple[float, Pose]]:
        """The poses that have arrived by then."""
        first = max(0, number - int(_SEEN_S / self.step_s))
        return [(self.time_s(n), self.pose(n)) for n in range(first, number + 1)]

"""Policies: ours is the scheduler's order, all of them bring everything, plug-ins are heard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exgs.client.link import parse_link
from exgs.lab.assets.exgs_file import ExgsFile, exgs_asset
from exgs.lab.links.transport import LinkModel
from exgs.lab.policies.policy import Look, Policy
from exgs.lab.policies.shipped import POLICIES, Greedy, hull_slopes
from exgs.lab.simulation.policy_run import PolicyRun
from exgs.lab.simulation.terms import Terms
from exgs.lab.simulation.transcript import Transcript
from exgs.lab.viewers.made import Place, made_path
from exgs.lab.viewers.path_views import PathViews
from exgs.lab.viewers.predictors import Stays
from exgs.scene.camera import look_at, pinhole
from exgs.wire.events import View
from exgs.wire.scheduler import Scheduler
from exgs.wire.visibility import box_weights

HOME = look_at((0, 0, -3), (0.4, 0, 0), (0, -1, 0), pinhole(64, 48, 50), 64, 48)
PLACE = Place(HOME, np.zeros(3), np.array([0.0, -1.0, 0.0]), 3.0)
SIMPLE = [name for name in POLICIES if name not in ("knows-future", "sog-rule")]


def _run(folder: Path, policy: Policy, profile: str = "push") -> Transcript:
    views = PathViews(made_path("turn", PLACE, 10, 2.0), 0.1)
    link = LinkModel(parse_link("500kbit,40ms"))
    terms = Terms(length_s=30.0, profile=profile)
    return PolicyRun(
        exgs_asset(folder / "box.exgs"), policy, link, views, terms, Stays(), "stays"
    ).run()


@pytest.mark.parametrize("profile", ["push", "ranges"])
@pytest.mark.parametrize("name", SIMPLE)
def test_every_policy_brings_everything_each_item_after_what_it_needs(
    box: Path, name: str, profile: str
) -> None:
    asset = exgs_asset(box / "box.exgs")
    transcript = _run(box, POLICIES[name](), profile)
    assert sorted(transcript.items.tolist()) == list(range(len(asset)))
    assert transcript.done_s is not None
    place = {item: number for number, item in enumerate(transcript.items.tolist())}
    for item, needed in enumerate(asset.needs.tolist()):
        assert needed < 0 or place[needed] < place[item]
    assert (np.diff(transcript.times_s) >= 0).all()
    assert transcript.bytes[-1] >= asset.item_bytes.sum()


def test_greedy_sends_units_in_the_order_of_the_scheduler(box: Path) -> None:
    asset = exgs_asset(box / "box.exgs")
    file = asset.source
    assert isinstance(file, ExgsFile)
    scheduler = Scheduler(file.plan)
    scheduler.set_view(View(1, HOME))
    wanted: list[int] = []
    while (piece := scheduler.next(1 << 20)) is not None:
        scheduler.record(piece)
        if piece.part not in file.plan.unit_of:  # a page
            continue
        item = int(file.item_of[file.plan.unit_of[piece.part]])
        if not wanted or wanted[-1] != item:
            wanted.append(item)
    weights = asset.weights(HOME)
    assert (weights.coverage != box_weights(asset.low, asset.high, HOME).coverage).any()
    sent = np.zeros(len(asset), np.int64)
    look = Look(0.0, asset, HOME, sent, 0.0, 0.1, lambda _: weights, 1.0)
    scores, open_ = Greedy().scores(look), asset.needs < 0
    found = []
    while open_.any():
        item = int(np.where(open_, scores, -np.inf).argmax())
        setup = int(asset.calls_for[item])
        if setup >= 0 and open_[setup]:
            item = setup
        open_[item] = False
        open_[list(asset.unlocks[item])] = True
        found.append(item)
    assert found == wanted


def test_hull_slopes_look_past_a_poor_item_to_the_good_one_behind_it(box: Path) -> None:
    asset = exgs_asset(box / "box.exgs")
    slopes = hull_slopes(asset)
    own = np.maximum(asset.gain, 1e-12) / asset.item_bytes
    assert (slopes >= own * (1 - 1e-9)).all()
    assert (slopes > own * 1.001).any()

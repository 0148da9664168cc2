"""The sketch of layer 0: what it is made of, when there is one, and what it changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exgs.codec.decoding.build import SceneBuilder
from exgs.codec.format.container import open_table
from exgs.scene.camera import look_at, pinhole
from exgs.wire.layer_zero import LayerZero, read_sketch
from exgs.wire.plan import PartPlan
from exgs.wire.sketch import Sketch
from tests.client.scenes import write_box
from tests.codec.forge import assemble
from tests.codec.forged_files import random_file
from tests.wire.exchange import BoxFile
from tests.wire.reference_scheduler import View, drawn


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sketch") / "box.exgs"
    write_box(path, 4000)
    return path.read_bytes()


def test_points_are_the_gaussians_of_layer_0(data: bytes) -> None:
    box = BoxFile(data)
    head, table = open_table(box.read)
    sketch = read_sketch(head, box.read)
    assert sketch is not None
    builder = SceneBuilder(head.root.facts, table)
    for row in table.values():
        if row.layer == 0:
            builder.add(row, box.read(row.offset, row.packed_bytes), verified=True)
    shown = builder.drawn().gaussians
    assert len(shown) == len(sketch.means)
    order = np.lexsort(sketch.means.T)
    assert (sketch.means[order] == shown.means[np.lexsort(shown.means.T)]).all()
    longest = np.sort(shown.scales.astype(np.float64), axis=1)
    expected = np.sort(1.5 * np.sqrt(longest[:, 2] * longest[:, 1]))
    assert np.allclose(np.sort(sketch.radii), expected, rtol=1e-12)


def test_there_is_none_while_a_chunk_is_missing_or_of_a_damaged_or_large_layer(data: bytes) -> None:
    box = BoxFile(data)
    head, _ = open_table(box.read)
    layer = LayerZero(head)
    assert layer.rows
    *others, last = layer.rows
    for row in others:
        assert layer.add(row.id, box.read(row.offset, row.packed_bytes)) is None
    assert layer.add(last.id, bytes(last.packed_bytes)) is None
    facts = replace(head.root.facts, layers=(replace(head.root.facts.layers[0], leaf_count=5000),))
    larger = replace(head, root=replace(head.root, facts=facts))
    assert LayerZero(larger).rows == ()


@pytest.mark.parametrize("seed", range(8))
def test_the_drawing_is_that_of_the_specification(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, tiles = 300, 5
    means = rng.normal(0, 1, (count, 3))
    sketch = Sketch(means, 10.0 ** rng.uniform(-3, 0, count), rng.uniform(0, 1, count))
    low = rng.normal(0, 1, (tiles, 3))
    high = low + rng.uniform(0, 1, (tiles, 3))
    eye = tuple(rng.normal(0, rng.choice([0.5, 4]), 3))
    camera = look_at(eye, (0.1, 0.0, 0.2), (0, -1, 0), pinhole(90, 70, 60.0), 90, 70)
    shares = sketch.shares(sketch.owners(low, high), tiles, camera)
    view = View(camera.viewmat.ravel().tolist(), camera.K.ravel().tolist(), (90, 70))
    boxes = {n: (low[n].tolist(), high[n].tolist()) for n in range(tiles)}
    points = np.column_stack([means, sketch.radii, sketch.opacities]).tolist()
    assert shares.tolist() == [sum_ / 576 for sum_ in drawn(points, boxes, view).values()]
    assert 0 < shares.sum() <= 1 + 1e-9


def test_a_tile_that_is_hidden_weighs_less_than_its_box() -> None:
    """A wall of opaque points in front of all but the tiles that it belongs to."""
    box = BoxFile(assemble(random_file(counts=(0, 64), proxies=(8, 0), levels=(0, 3))))
    plan = PartPlan(*open_table(box.read))
    low, high = plan.boxes.corners(plan.screen.cells)
    camera = look_at((0.5, 0.5, -3.0), (0.5, 0.5, 0.5), (0, -1, 0), pinhole(96, 54, 40.0), 96, 54)
    units = np.array([plan.units.index(unit) for unit in plan.units if unit.layer == 1])
    boxes_alone, _ = plan.weights(units, plan.sight(camera))
    front = low[:, 2].argmin()
    x, y = np.meshgrid(np.linspace(-0.2, 1.2, 24), np.linspace(-0.2, 1.2, 24))
    wall = np.stack([x.ravel(), y.ravel(), np.full(x.size, -0.1)], axis=1)
    middle = (low[front] + high[front]) / 2
    owned = Sketch(wall * 0 + middle, np.full(len(wall), 0.05), np.ones(len(wall)))
    assert (owned.owners(low, high) == front).all()
    plan.screen.sketch = Sketch(wall, np.full(len(wall), 0.08), np.ones(len(wall)))
    owners = set(plan.screen.sketch.owners(low, high).tolist())
    shown, _ = plan.weights(units, plan.sight(camera))
    tiles = np.array([plan.units[unit].tile for unit in units.tolist()])
    hidden = ~np.isin(tiles, list(owners)) & (boxes_alone > 0)
    assert hidden.any()
    assert np.allclose(shown[hidden], 0.02 * boxes_alone[hidden], rtol=1e-12)
    assert ((shown > 0) == (boxes_alone > 0)).all()


def test_a_file_on_disk_is_opened_with_its_sketch(tmp_path: Path, data: bytes) -> None:
    from exgs.server.catalog import Catalog

    (tmp_path / "box.exgs").write_bytes(data)
    catalog = Catalog(tmp_path)
    catalog.refresh()
    scene = catalog.get("box")
    assert scene is not None
    assert scene.plan.screen.sketch is not None

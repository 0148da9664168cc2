"""An encoder measures on views that it does not fit to, and uses the given cameras."""

from __future__ import annotations

import numpy as np
import pytest

from exgs.codec.errors import SceneError
from exgs.codec.measuring.pictures import zoomed
from exgs.codec.measuring.viewpoints import Viewpoints, made_up_viewpoints, photographed_viewpoints
from exgs.scene.camera import Camera
from exgs.scene.cameras import CameraSet
from tests.codec.encoding import ball, ring


def places(cameras: tuple[Camera, ...] | list[Camera]) -> set[bytes]:
    return {camera.viewmat.tobytes() for camera in cameras}


def kinds(viewpoints: Viewpoints) -> dict[str, set[bytes]]:
    names = ("scoring", "gains", "training", "held_out")
    return {name: places(list(getattr(viewpoints, name))) for name in names}


@pytest.mark.parametrize("count", [9, 40, 200])
def test_held_out_photographs_are_not_training_views(count: int) -> None:
    cameras = ring(count)
    seen = kinds(photographed_viewpoints(cameras, views=24, training=60, held_out=4))
    assert seen["held_out"] <= places(cameras.held_out)
    assert seen["scoring"] | seen["training"] <= places(cameras.fit)
    assert seen["gains"] < seen["scoring"]
    assert len(seen["gains"] - seen["training"]) >= len(seen["gains"]) // 2


def test_many_photographs_all_have_a_use() -> None:
    cameras = ring(100)  # 87 to fit to
    seen = kinds(photographed_viewpoints(cameras, views=24, training=100, held_out=4))
    assert seen["scoring"] | seen["training"] == places(cameras.fit)
    assert len(seen["training"]) == 87 - 6
    seen = kinds(photographed_viewpoints(ring(200), views=24, training=200, held_out=4))  # 175
    assert len(seen["training"]) == 175 - 12
    assert not seen["training"] & seen["gains"]


def test_one_photograph_is_enough_and_none_is_not() -> None:
    cameras = ring(1)
    seen = kinds(photographed_viewpoints(cameras, views=24, training=60, held_out=4))
    assert all(kind == places(cameras.cameras) for kind in seen.values())
    with pytest.raises(SceneError, match="one or more are needed"):
        photographed_viewpoints(CameraSet(()), views=24, training=60, held_out=4)


def test_made_up_views_of_all_kinds_differ() -> None:
    scene = ball(300)
    viewpoints = made_up_viewpoints(scene, views=8, training=6, held_out=3, seed=0)
    seen = kinds(viewpoints)
    assert [len(seen[kind]) for kind in ("scoring", "training", "held_out")] == [8, 6, 3]
    assert not seen["scoring"] & seen["training"]
    assert not seen["held_out"] & (seen["scoring"] | seen["training"])
    other = kinds(made_up_viewpoints(scene, views=8, training=6, held_out=3, seed=1))
    for kind, cameras in seen.items():
        assert not cameras & set().union(*other.values()), kind
    assert viewpoints.training[0].K[0, 0] > viewpoints.scoring[0].K[0, 0]


def test_a_zoomed_camera_shows_the_middle_larger() -> None:
    camera = ring(1).cameras[0]
    point = np.array([0.2, -0.1, 0.3, 1.0])

    def offset(camera: Camera) -> np.ndarray:
        x, y, z = (camera.viewmat @ point)[:3]
        pixel = camera.K @ np.array([x, y, z]) / z
        return pixel[:2] - camera.K[:2, 2]

    np.testing.assert_allclose(offset(zoomed(camera, 1.5)), 1.5 * offset(camera))
    assert (zoomed(camera, 1.5).width, zoomed(camera, 1.5).height) == (camera.width, camera.height)

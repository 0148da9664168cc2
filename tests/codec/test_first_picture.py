"""The first picture of any scene is complete after 20,000 bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exgs.codec.constants import ChunkKind
from exgs.codec.decoding.decode import decode, open_scene
from exgs.codec.encoding import first_picture
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.codec.encoding.first_picture import FIRST_PICTURE_BYTES, first_chunk_room, poster_room
from exgs.codec.encoding.layer_plan import plan_layers
from exgs.codec.encoding.poster import POSTER_BYTES
from exgs.codec.encoding.remainder import pack_remainder
from tests.codec.encoding import ball, ring

_SMALL = 7_000  # bytes, for scenes of few proxies


def _first_picture(path: Path) -> tuple[int, int, int]:
    """The bytes up to the end of the first chunk, those of the poster, and the proxies drawn."""
    opened = open_scene(path)
    first = min(opened.table.values(), key=lambda chunk: chunk.offset)
    assert (first.layer, first.tile) == (0, 0)
    assert first.kind is ChunkKind.PROXY
    drawn = decode(path, max_bytes=first.end)
    assert len(drawn.gaussians) == first.count
    return first.end, opened.head.header.poster_bytes, first.count


@pytest.mark.parametrize("cameras", [True, False])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_first_pictures_of_all_kinds_of_scenes_fit(
    degree: int, cameras: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_picture, "FIRST_PICTURE_BYTES", _SMALL)
    monkeypatch.setattr(first_picture, "_ROOM_MIN", 500)
    scene = ball(9000, degree)
    path = tmp_path / "scene.exgs"
    encode(scene, path, EncodeOptions(quality="low", cameras=ring() if cameras else None))
    end, poster_bytes, proxies = _first_picture(path)
    assert end <= _SMALL
    assert poster_bytes > 0
    assert proxies < plan_layers(len(scene))[0].proxies, "they would have fitted anyway"
    assert end > 0.5 * _SMALL, "the room is not used"


def test_the_first_picture_of_a_scene_of_usual_size_fits(tmp_path: Path) -> None:
    scene = ball(50_000, 3)
    encode(scene, tmp_path / "scene.exgs", EncodeOptions(quality="low", cameras=ring()))
    end, _, proxies = _first_picture(tmp_path / "scene.exgs")
    assert end <= FIRST_PICTURE_BYTES
    assert 500 < proxies <= plan_layers(len(scene))[0].proxies


@pytest.mark.parametrize("count", [1, 300, 1000, 1001, 2000])
def test_the_first_picture_of_a_small_scene_fits(count: int, tmp_path: Path) -> None:
    options = EncodeOptions(quality="low", cameras=ring(), name="n" * 1024, credit="c" * 1024)
    encode(ball(count, 3), tmp_path / "scene.exgs", options)
    opened = open_scene(tmp_path / "scene.exgs")
    assert min(chunk.end for chunk in opened.table.values()) <= FIRST_PICTURE_BYTES


def test_proxies_that_are_too_many_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def counted(*arguments: Any) -> Any:
        if arguments[1] == 0:  # the layer
            counts.append(arguments[-1])
        return pack_remainder(*arguments)

    monkeypatch.setattr(first_picture, "pack_remainder", counted)
    monkeypatch.setattr(first_picture, "_DISTILLED", 0.5)  # underestimates their bytes
    monkeypatch.setattr(first_picture, "FIRST_PICTURE_BYTES", _SMALL)
    monkeypatch.setattr(first_picture, "_ROOM_MIN", 500)
    encode(ball(9000), tmp_path / "scene.exgs", EncodeOptions(quality="low", cameras=ring()))
    trial, first, *again = counts
    assert trial >= first > again[-1]
    assert _first_picture(tmp_path / "scene.exgs")[0] <= _SMALL


def test_the_poster_takes_what_is_left() -> None:
    assert poster_room(1500, 10, 10_000) == POSTER_BYTES
    assert 0 < poster_room(1500, 10, 17_000) < POSTER_BYTES
    assert poster_room(1500, 10, 20_000) == POSTER_BYTES  # no poster would be small enough


@pytest.mark.parametrize("count", [1001, 45_000, 500_000, 5_000_000, 30_000_000])
def test_scenes_of_all_sizes_leave_room_for_proxies(count: int) -> None:
    room = first_chunk_room(plan_layers(count), ("a name", "", "", ""), 14)
    assert 5_000 < room < FIRST_PICTURE_BYTES

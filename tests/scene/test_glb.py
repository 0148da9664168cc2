"""glTF binaries: splats are found, unpacked and placed as the nodes say, in a PLY's frame."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats import read_scene, write_scene
from exgs.scene.formats.glb import read_glb
from exgs.scene.gaussians import Gaussians
from tests.scene.format_files import random_scene, spz_bytes
from tests.scene.test_spz import assert_turned, covariances, frame_record, in_rdf

KHR = "KHR_gaussian_splatting"
TYPES = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}


def splat_columns(scene: Gaussians) -> dict[str, Any]:
    """The attributes of a primitive, as the extension's text names them."""
    x, y, z, w = (scene.quats[:, i] for i in (1, 2, 3, 0))
    columns = {
        "POSITION": scene.means,
        f"{KHR}:ROTATION": np.stack([x, y, z, w], 1),
        f"{KHR}:SCALE": scene.scales,
        f"{KHR}:OPACITY": scene.opacities[:, None],
        f"{KHR}:SH_DEGREE_0_COEF_0": scene.sh0,
    }
    k = 0
    for degree in range(1, scene.sh_degree + 1):
        for number in range(2 * degree + 1):
            columns[f"{KHR}:SH_DEGREE_{degree}_COEF_{number}"] = scene.shN[:, k]
            k += 1
    return columns


def glb(
    columns: dict[str, Any],
    *,
    node: dict[str, Any] | None = None,
    change: Callable[[dict[str, Any]], object] = lambda meta: None,
    packed: bytes = b"",
) -> bytes:
    """A .glb of one primitive in glTF's own frame."""
    binary, views, accessors = b"", [], []
    for values in columns.values():
        values = np.ascontiguousarray(values)
        binary += bytes(-len(binary) % 4)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes})
        kind = {"f": 5126, "u1": 5121, "i2": 5122}[
            "f" if values.dtype.kind == "f" else values.dtype.str[1:]
        ]
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": kind,
                "normalized": values.dtype.kind != "f",
                "count": len(values),
                "type": TYPES[values.shape[1]],
            }
        )
        binary += values.tobytes()
    extension: dict[str, Any] = {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    if packed:
        binary += bytes(-len(binary) % 4)
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(packed)})
        binary += packed
        name = "KHR_gaussian_splatting_compression_spz_2"
        extension["extensions"] = {name: {"bufferView": len(views) - 1}}
    meta: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **(node or {})}],
        "meshes": [
            {
                "primitives": [
                    {
                        "mode": 0,
                        "attributes": {name: i for i, name in enumerate(columns)},
                        "extensions": {KHR: extension},
                    }
                ]
            }
        ],
        "buffers": [{"byteLength": len(binary)}],
        "bufferViews": views,
        "accessors": accessors,
    }
    change(meta)
    text = json.dumps(meta).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    return (
        struct.pack("<4sII", b"glTF", 2, size)
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


def test_splats_are_turned_from_y_up(tmp_path: Path) -> None:
    stored, path = random_scene(0, 30, 3), tmp_path / "a.glb"
    path.write_bytes(glb(splat_columns(stored)))
    assert_turned(read_scene(path).gaussians, stored, "LUF")


def test_a_frame_by_hand_replaces_that_of_gltf(tmp_path: Path) -> None:
    stored, path = random_scene(0, 30, 2), tmp_path / "a.glb"
    path.write_bytes(glb(splat_columns(stored)))
    assert_turned(read_scene(path, frame="RUB").gaussians, stored, "RUB")


def test_nodes_place_the_splats(tmp_path: Path) -> None:
    stored, path = random_scene(1, 30, 1), tmp_path / "a.glb"
    half = np.sqrt(0.5)
    node = {"rotation": [0, half, 0, half], "scale": [2, 2, 2], "translation": [10, 0, 1]}

    def child(meta: dict[str, Any]) -> None:
        meta["nodes"] = [{"children": [1], "translation": [0, 100, 0]}, *meta["nodes"]]

    path.write_bytes(glb(splat_columns(stored), node=node, change=child))
    got = read_scene(path)
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0.0]])  # 90 degrees about y
    placed = 2 * stored.means @ turn.T + (10, 100, 1)
    places = got.gaussians.means + np.array(got.origin)
    assert np.abs(places - in_rdf(placed, "LUF")).max() < 1e-4


def test_a_node_may_stretch(tmp_path: Path) -> None:
    stored, path = random_scene(1, 30, 1), tmp_path / "a.glb"
    matrix = np.diag([1.0, 2.0, 3.0, 1.0])
    path.write_bytes(glb(splat_columns(stored), node={"matrix": matrix.T.ravel().tolist()}))
    got = covariances(read_scene(path).gaussians)
    turn = in_rdf(np.eye(3), "LUF").T @ matrix[:3, :3]
    wanted = turn @ covariances(stored) @ turn.T
    assert np.abs(got - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_normalized_integers_are_read(tmp_path: Path) -> None:
    stored, path = random_scene(0, 30, 0), tmp_path / "a.glb"
    columns = splat_columns(stored)
    columns[f"{KHR}:OPACITY"] = np.rint(stored.opacities * 255).astype("u1")[:, None]
    rotation = columns[f"{KHR}:ROTATION"]
    columns[f"{KHR}:ROTATION"] = np.rint(rotation * 32767).astype("<i2")
    path.write_bytes(glb(columns))
    got = read_scene(path).gaussians
    assert np.abs(got.opacities - stored.opacities).max() < 0.002
    wanted = covariances(stored)
    turn = in_rdf(np.eye(3), "LUF").T
    assert np.abs(covariances(got) - turn @ wanted @ turn.T).max() < 1e-3 * np.abs(wanted).max()


def test_spz_packed_primitives_are_read(tmp_path: Path) -> None:
    stored, path = random_scene(0, 30, 1), tmp_path / "a.glb"
    (tmp_path / "a.spz").write_bytes(spz_bytes(stored, 3))
    raw = read_scene(tmp_path / "a.spz").gaussians
    path.write_bytes(glb({}, packed=spz_bytes(stored, 3)))
    assert_turned(read_scene(path).gaussians, raw, "LUF")
    path.write_bytes(glb({}, packed=spz_bytes(stored, 3, records=frame_record(4))))
    assert_turned(read_scene(path).gaussians, raw, "RUB")


def test_colours_of_another_space_are_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "a.glb"

    def linear(meta: dict[str, Any]) -> None:
        primitive = meta["meshes"][0]["primitives"][0]
        primitive["extensions"][KHR]["colorSpace"] = "lin_rec709_display"

    path.write_bytes(glb(splat_columns(random_scene(0, 3, 0)), change=linear))
    with pytest.warns(SceneWarning, match="lin_rec709_display"):
        read_scene(path)


def _primitive(meta: dict[str, Any]) -> Any:
    return meta["meshes"][0]["primitives"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: _primitive(m).pop("extensions"), "no splats"),
        (lambda m: m.pop("nodes"), "nodes"),
        (lambda m: m["nodes"][0].update(children=[0]), "too many or too deep nodes"),
        (lambda m: m["nodes"][0].update(scale=[1, -1, 1]), "without mirroring"),
        (lambda m: m["nodes"][0].update(mesh=7), "a list of 8 or more"),
        (lambda m: _primitive(m)["extensions"][KHR].update(kernel="box"), "kernel 'box'"),
        (lambda m: m["accessors"][0].update(count=10**9), "ends behind its buffer view"),
        (lambda m: m["accessors"][0].update(count=29), "attributes of"),
        (lambda m: m["accessors"][0].update(type="MAT4"), "accessor of scalars"),
        (lambda m: m["accessors"][0].update(componentType=1), "accessor of scalars"),
        (lambda m: m["accessors"][0].update(sparse={}), "sparse accessors"),
        (lambda m: m["bufferViews"][0].update(byteLength=10**12), "ends behind the file"),
        (lambda m: m["bufferViews"][0].update(byteStride=4), "ends behind its buffer view"),
        (lambda m: m["buffers"][0].update(uri="a.bin"), "other files"),
        (lambda m: _primitive(m)["attributes"].pop(f"{KHR}:SCALE"), "SCALE is not"),
    ],
)
def test_senseless_files_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = tmp_path / "a.glb"
    path.write_bytes(glb(splat_columns(random_scene(0, 30, 1)), change=change))
    with pytest.raises(SceneError, match=message) as caught:
        read_glb(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("size", [0, 11, 19, 60, 1000])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.glb"
    path.write_bytes(glb(splat_columns(random_scene(0, 30, 1)))[:size])
    with pytest.raises(SceneError, match=r"a\.glb"):
        read_glb(path)


def test_what_is_written_falls_back_to_coloured_points(tmp_path: Path) -> None:
    scene, path = random_scene(0, 30, 0), tmp_path / "a.glb"
    write_scene(path, scene)
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    meta = json.loads(data[20 : 20 + size])
    assert len(data) == struct.unpack_from("<I", data, 8)[0]
    assert meta["extensionsUsed"] == [KHR]
    attributes = meta["meshes"][0]["primitives"][0]["attributes"]
    assert meta["accessors"][attributes["COLOR_0"]]["normalized"]
    low = np.array(meta["accessors"][attributes["POSITION"]]["min"])
    assert np.allclose(low, in_rdf(scene.means, "LUF").min(0))

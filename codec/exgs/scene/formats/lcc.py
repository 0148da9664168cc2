""".lcc scenes (XGRIDS): a JSON file that describes index.bin, data.bin and shcoef.bin beside it.

The scene is cut into units of a grid, each with several levels of detail. A row has 32 bytes, and
64 more of spherical harmonics in fileType 'Quality'. z points up.
Data Organization Format originated from XGRIDS: https://github.com/xgrids/LCCWhitepaper
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError
from exgs.scene.formats.sog_files import Meta
from exgs.scene.frames import to_rdf
from exgs.scene.gaussians import SH_C0, FloatArray
from exgs.scene.repair import check_count, repaired
from exgs.scene.rotations import join_smallest_three
from exgs.scene.scene import Scene
from exgs.scene.transform import joined, rebased, transformed

LCC_FRAME = "RFU"  # x right, y front, z up

_MAX_META_BYTES = 1 << 24
_MAX_LEVELS = 64
_COEFFICIENTS = 15
_ROW = np.dtype(
    [("mean", "<f4", 3), ("rgba", "u1", 4), ("scale", "<u2", 3), ("quat", "<u4"), ("normal", "V6")]
)
_SH_ROW = np.dtype([("sh", "<u4", _COEFFICIENTS), ("rest", "V4")])
_SH_BITS = ((0, 11), (11, 10), (21, 11))  # first bit and number of bits of each channel

Rows = npt.NDArray[np.void]


def read_lcc(path: str | os.PathLike[str]) -> Scene:
    """Read the finest level of a .lcc, and its environment if there is one, turned to RDF.

    Raises SceneError if the file is no .lcc, or if files beside it are missing or too short;
    OSError.
    """
    path = Path(path)
    meta = _read_meta(path)
    limits = {item["name"].text(): item for item in meta["attributes"].items()}
    for name in ("scale", "shcoef") if _has_sh(meta, limits) else ("scale",):
        if name not in limits:
            raise SceneError(f"{path}: the attribute {name!r} is missing; export the scene again")
    rows, sh = _finest(path, meta, with_sh=_has_sh(meta, limits))
    parts = [_scene(path, rows, sh, limits["scale"], limits.get("shcoef"))]
    environment = _beside(path, "environment.bin")
    if environment is not None:
        row = np.dtype([("row", _ROW), *([("sh", _SH_ROW)] if sh is not None else [])])
        data = environment.read_bytes()
        if len(data) % row.itemsize:
            raise _cut_short(environment)
        both = np.frombuffer(data, row)
        scale = limits.get("envscale", limits["scale"])
        harmonics = limits.get("envshcoef", limits.get("shcoef"))
        around = both["sh"] if sh is not None else None
        if len(both):
            parts.append(_scene(environment, both["row"], around, scale, harmonics))
    scene = joined(parts)
    return transformed(scene, rotation=to_rdf(LCC_FRAME)) if len(scene) else scene


def _read_meta(path: Path) -> Meta:
    if path.stat().st_size > _MAX_META_BYTES:
        raise SceneError(f"{path}: too large for the JSON of a .lcc")
    try:
        return Meta(json.loads(path.read_bytes()), str(path), path.name)
    except (ValueError, RecursionError) as error:
        raise SceneError(f"{path}: no JSON ({error}); it is no .lcc, or is damaged") from error


def _has_sh(meta: Meta, limits: dict[str, Meta]) -> bool:
    """Whether the scene has spherical harmonics. Old files do not state their fileType."""
    if "fileType" in meta:
        return meta["fileType"].text().lower() != "portable"
    return "shcoef" in limits


def _finest(path: Path, meta: Meta, *, with_sh: bool) -> tuple[Rows, Rows | None]:
    """The rows of the finest level of all units, and their harmonics."""
    levels = meta["totalLevel"].integer(least=1)
    if levels > _MAX_LEVELS:
        raise SceneError(f"{path}: {levels} levels of detail; the file is damaged")
    unit = np.dtype(
        [
            ("cell", "<u4"),
            ("levels", [("count", "<u4"), ("offset", "<u8"), ("bytes", "<u4")], levels),
        ]
    )
    index = _required(path, "index.bin")
    table = index.read_bytes()
    if len(table) % unit.itemsize:
        raise _cut_short(index)
    finest = np.frombuffer(table, unit)["levels"][:, 0]
    counts, offsets = finest["count"].astype(np.int64), finest["offset"].astype(np.int64)
    total = int(counts.sum())
    data = _required(path, "data.bin")
    check_count(str(path), total, data.stat().st_size)
    rows = _gathered(data, _ROW, counts, offsets)
    if not with_sh:
        return rows, None
    return rows, _gathered(_required(path, "shcoef.bin"), _SH_ROW, counts, 2 * offsets)


def _gathered(
    path: Path,
    row: np.dtype[np.void],
    counts: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
) -> Rows:
    """Rows of a file: `counts` rows from each byte in `offsets`."""
    size = path.stat().st_size
    if np.any((offsets < 0) | (offsets > size - counts * row.itemsize) & (counts > 0)):
        raise _cut_short(path)
    rows = np.empty(int(counts.sum()), row)
    at = 0
    with path.open("rb") as file:
        for count, offset in zip(counts.tolist(), offsets.tolist(), strict=True):
            file.seek(offset)
            piece = np.frombuffer(file.read(count * row.itemsize), row)
            if len(piece) != count:
                raise _cut_short(path)
            rows[at : at + count] = piece
            at += count
    return rows


def _scene(
    path: Path, rows: Rows, sh: Rows | None, scale_limits: Meta, sh_limits: Meta | None
) -> Scene:
    colors = rows["rgba"].astype(np.float32) / 255
    shN = np.zeros((len(rows), 0, 3), np.float32)
    if sh is not None and sh_limits is not None:
        shN = _harmonics(sh["sh"], sh_limits)
    gaussians = repaired(
        str(path),
        means=rows["mean"],
        quats=_quats(rows["quat"]),
        scales=_between(scale_limits, rows["scale"] / np.float64(65535)),
        opacities=colors[:, 3],
        sh0=(colors[:, :3] - np.float32(0.5)) / np.float32(SH_C0),
        shN=shN,
    )
    return rebased(Scene(gaussians))


def _quats(words: npt.NDArray[np.uint32]) -> FloatArray:
    """Quaternions wxyz of packed words.

    They store the three smaller components of xyzw with 10 bits each, and the index of the
    largest in the highest two bits.
    """
    fields = words[:, None] >> np.array([0, 10, 20], np.uint32) & np.uint32(1023)
    smallest = ((fields / 1023 - 0.5) * np.sqrt(2)).astype(np.float32)
    xyzw = join_smallest_three(smallest, (words >> np.uint32(30)).astype(np.intp))
    return xyzw[:, [3, 0, 1, 2]]


def _harmonics(words: npt.NDArray[np.uint32], limits: Meta) -> FloatArray:
    """[N, 15, 3] of words [N, 15]."""
    shares = np.stack(
        [(words >> first & (1 << n) - 1) / ((1 << n) - 1) for first, n in _SH_BITS], 2
    )
    return _between(limits, shares)


def _between(limits: Meta, shares: npt.NDArray[np.float64]) -> FloatArray:
    """Values [.., 3] at `shares` of the way from the min to the max of an attribute."""
    low, high = (limits[name].numbers(3) for name in ("min", "max"))
    values: FloatArray = (low + shares * (high - low)).astype(np.float32)
    return values


def _required(path: Path, name: str) -> Path:
    found = _beside(path, name)
    if found is None:
        raise SceneError(f"{path}: {name} is not beside it; fetch or copy the whole folder")
    return found


def _beside(path: Path, name: str) -> Path | None:
    """The file of this name, in upper or lower case, in the folder of `path`."""
    return next((p for p in sorted(path.parent.iterdir()) if p.name.lower() == name), None)


def _cut_short(path: Path) -> SceneError:
    return SceneError(f"{path}: too short, or damaged; fetch or export the scene again")

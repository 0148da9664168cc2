"""Writers of scene formats for the tests: one Gaussian after another, as the formats' texts say.

They share no code with the readers, so that a mistake would have to be made twice.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import struct
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from hypothesis import strategies as st
from PIL import Image

from exgs.scene.gaussians import SH_C0, Gaussians


def random_scene(seed: int, count: int, sh_degree: int) -> Gaussians:
    """Gaussians whose values every packed format can hold."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    arrays = (
        rng.normal(size=(count, 3)) * 3,
        quats,
        np.exp(rng.uniform(-9, 1, (count, 3))),
        rng.uniform(0.01, 0.99, count),
        rng.uniform(-1.7, 1.7, (count, 3)),
        rng.uniform(-0.95, 0.9, (count, (sh_degree + 1) ** 2 - 1, 3)),
    )
    return Gaussians(*(a.astype(np.float32) for a in arrays))


scenes = st.builds(random_scene, st.integers(0, 2**32), st.integers(1, 300), st.integers(0, 3))


def _byte(value: float) -> int:
    return max(0, min(255, math.floor(value + 0.5)))


def _smallest_three(quat: Sequence[float]) -> tuple[int, list[float]]:
    """Place of the largest component, and the others with its sign made positive."""
    largest = max(range(4), key=lambda i: abs(quat[i]))
    sign = 1 if quat[largest] > 0 else -1
    return largest, [sign * quat[i] for i in range(4) if i != largest]


def spz_columns(scene: Gaussians, version: int, fractional_bits: int = 12) -> list[bytes]:
    """Positions, alphas, colours, scales, rotations and SH, in the frame of the scene."""
    columns = [bytearray() for _ in range(6)]
    for i in range(len(scene)):
        x, y, z = (float(v) for v in scene.means[i])
        for value in (x, y, z):
            if version == 1:
                columns[0] += struct.pack("<e", value)
            else:
                fixed = round(value * 2**fractional_bits)
                columns[0] += (fixed & 0xFFFFFF).to_bytes(3, "little")
        columns[1].append(_byte(float(scene.opacities[i]) * 255))
        columns[2] += bytes(_byte(float(v) * 0.15 * 255 + 127.5) for v in scene.sh0[i])
        columns[3] += bytes(_byte((math.log(float(v)) + 10) * 16) for v in scene.scales[i])
        w, x, y, z = (float(v) for v in scene.quats[i])
        xyzw = [x, y, z, w]
        if version < 3:
            sign = 1 if w >= 0 else -1
            columns[4] += bytes(_byte((sign * v + 1) * 127.5) for v in xyzw[:3])
        else:
            word, smallest = _smallest_three(xyzw)
            for value in smallest:
                magnitude = int(511 * abs(value) * math.sqrt(2) + 0.5)
                word = word << 10 | (value < 0) << 9 | magnitude
            columns[4] += struct.pack("<I", word)
        for value in scene.shN[i].ravel():
            columns[5].append(_byte(float(value) * 128 + 128))
    return [bytes(column) for column in columns]


def spz_bytes(
    scene: Gaussians,
    version: int,
    fractional_bits: int = 12,
    *,
    records: bytes = b"",
    antialiased: bool = False,
) -> bytes:
    """An .spz file of version 1 to 4, in the frame of the scene."""
    columns = spz_columns(scene, version, fractional_bits)
    flags = antialiased | bool(records) << 1
    facts = (version, len(scene), scene.sh_degree, fractional_bits, flags)
    if version < 4:
        head = struct.pack("<4sIIBBBB", b"NGSP", *facts, 0)
        return gzip.compress(head + b"".join(columns) + records)
    frames = [zstandard.compress(column) for column in columns]
    head = struct.pack("<4sIIBBBBI12x", b"NGSP", *facts, len(frames), 32 + len(records))
    table = [struct.pack("<QQ", len(f), len(c)) for f, c in zip(frames, columns, strict=True)]
    return head + records + b"".join(table) + b"".join(frames)


def compressed_ply_bytes(scene: Gaussians, *, chunk_colors: bool = True) -> bytes:
    """A compressed PLY of PlayCanvas."""
    chunks, vertices, sh = bytearray(), bytearray(), bytearray()
    logs, rgb = np.log(scene.scales), 0.5 + SH_C0 * scene.sh0
    for start in range(0, len(scene), 256):
        rows = range(start, min(start + 256, len(scene)))
        bounds = []
        for values in (scene.means, logs, *([rgb] if chunk_colors else [])):
            part = values[rows.start : rows.stop]
            bounds.append((part.min(0), part.max(0)))
            chunks += np.concatenate(bounds[-1]).astype("<f4").tobytes()
        if not chunk_colors:
            bounds.append((np.zeros(3), np.ones(3)))
        for i in rows:
            words = [
                _pack_between(scene.means[i], bounds[0], (11, 10, 11)),
                _pack_rotation(scene.quats[i]),
                _pack_between(logs[i], bounds[1], (11, 10, 11)),
                _pack_between(rgb[i], bounds[2], (8, 8, 8)) << 8
                | _byte(float(scene.opacities[i]) * 255),
            ]
            vertices += struct.pack("<4I", *words)
            for value in scene.shN[i].T.ravel():
                sh.append(max(0, min(255, int((float(value) / 8 + 0.5) * 256))))
    names = [f"{end}_{axis}" for end in ("min", "max") for axis in "xyz"]
    names += [f"{end}_scale_{axis}" for end in ("min", "max") for axis in "xyz"]
    if chunk_colors:
        names += [f"{end}_{channel}" for end in ("min", "max") for channel in "rgb"]
    packed = ("position", "rotation", "scale", "color")
    lines = ["ply", "format binary_little_endian 1.0", "comment made by a test"]
    lines += [f"element chunk {-(-len(scene) // 256)}", *(f"property float {n}" for n in names)]
    lines += [f"element vertex {len(scene)}", *(f"property uint packed_{n}" for n in packed)]
    if coefficients := 3 * scene.shN.shape[1]:
        lines.append(f"element sh {len(scene)}")
        lines += [f"property uchar f_rest_{i}" for i in range(coefficients)]
    return "\n".join([*lines, "end_header", ""]).encode() + chunks + vertices + sh


def _pack_between(values: Any, bounds: tuple[Any, Any], bits: Sequence[int]) -> int:
    word = 0
    for value, low, high, width in zip(values, *bounds, bits, strict=True):
        fraction = (value - low) / (high - low) if high > low else 0.0
        step = math.floor(float(fraction) * (2**width - 1) + 0.5)
        word = word << width | max(0, min(2**width - 1, step))
    return word


def _pack_rotation(quat: Any) -> int:
    word, smallest = _smallest_three([float(v) for v in quat])
    for value in smallest:
        word = word << 10 | math.floor((value * math.sqrt(0.5) + 0.5) * 1023 + 0.5)
    return word


def sog_parts(scene: Gaussians, version: int = 2) -> dict[str, bytes]:
    """The parts of a SOG; its codebooks hold 256 evenly spaced values."""
    n, k = len(scene), scene.shN.shape[1]
    log_means = np.sign(scene.means) * np.log1p(np.abs(scene.means.astype(np.float64)))
    logs = np.log(scene.scales.astype(np.float64))
    mins, maxs = log_means.min(0), log_means.max(0)
    span = np.where(maxs > mins, maxs - mins, 1)
    fixed = np.rint((log_means - mins) / span * 65535).astype(int)
    quats = []
    for quat in scene.quats:
        largest, smallest = _smallest_three([float(v) for v in quat])
        quats.append([*(_byte((v * math.sqrt(0.5) + 0.5) * 255) for v in smallest), 252 + largest])
    meta: dict[str, Any] = {
        "means": {
            "mins": mins.tolist(),
            "maxs": maxs.tolist(),
            "files": ["means_l.webp", "means_u.webp"],
        },
        "quats": {"files": ["quats.webp"]},
        "scales": {"files": ["scales.webp"]},
        "sh0": {"files": ["sh0.webp"]},
    }
    if version == 2:
        meta |= {"version": 2, "count": n}
        shown = [_indices(meta["scales"], logs), _indices(meta["sh0"], scene.sh0)]
        alphas = np.rint(scene.opacities * 255)
    else:
        meta["means"]["shape"] = [n, 3]
        shown = [_fractions(meta["scales"], logs)]
        logits = np.log(scene.opacities / (1 - scene.opacities.astype(np.float64)))
        values = _fractions(meta["sh0"], np.column_stack([scene.sh0, logits]))
        shown.append(values[:, :3])
        alphas = values[:, 3]
    images = {
        "means_l.webp": fixed & 255,
        "means_u.webp": fixed >> 8,
        "quats.webp": np.array(quats),
        "scales.webp": shown[0],
        "sh0.webp": np.column_stack([shown[1], alphas]),
    }
    parts = {name: _texture(pixels) for name, pixels in images.items()}
    if k:  # every Gaussian has its own palette entry, in reverse order
        meta["shN"] = {"files": ["shN_centroids.webp", "shN_labels.webp"]}
        if version == 2:
            meta["shN"] |= {"count": n, "bands": scene.sh_degree}
            codes = _indices(meta["shN"], scene.shN)
        else:
            low, high = float(scene.shN.min()), float(scene.shN.max())
            meta["shN"] |= {"mins": low, "maxs": high}
            codes = np.rint((scene.shN - low) / (high - low) * 255).astype(int)
        labels = np.arange(n)[::-1]
        parts["shN_labels.webp"] = _texture(np.column_stack([labels & 255, labels >> 8]))
        palette = np.zeros((-(-n // 64) * 64, k, 3), int)
        palette[:n] = codes[::-1]
        parts["shN_centroids.webp"] = _webp(palette.reshape(-1, 64 * k, 3))
    return parts | {"meta.json": json.dumps(meta).encode()}


def _indices(meta: dict[str, Any], values: Any) -> Any:
    low, high = float(values.min()), float(values.max()) + 1e-6
    meta["codebook"] = np.linspace(low, high, 256).tolist()
    return np.rint((values - low) / (high - low) * 255).astype(int)


def _fractions(meta: dict[str, Any], values: Any) -> Any:
    low, high = values.min(0), values.max(0) + 1e-6
    meta |= {"mins": low.tolist(), "maxs": high.tolist()}
    return np.rint((values - low) / (high - low) * 255).astype(int)


def _texture(pixels: Any) -> bytes:
    """An image of rows [N, C], C <= 4, with some to spare; missing channels are 0, alpha 255."""
    count, channels = pixels.shape
    width = 4 * math.ceil(math.sqrt(count) / 4)
    full = np.zeros((width * math.ceil(count / width), 4), int)
    full[:, 3] = 255
    full[:count, :channels] = pixels
    return _webp(full.reshape(-1, width, 4))


def _webp(pixels: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "WEBP", lossless=True, exact=True)
    return out.getvalue()


def zip_parts(parts: dict[str, bytes], path: Path) -> Path:
    """A bundled SOG."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def write_parts(parts: dict[str, bytes], folder: Path) -> Path:
    """A SOG in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    return folder


def streamed_sog(levels: Sequence[Gaussians], folder: Path, cut: Iterable[int]) -> Path:
    """A streamed SOG of two regions: the first has `cut[level]` rows of each level."""
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    for level, (scene, rows) in enumerate(zip(levels, cut, strict=True)):
        write_parts(sog_parts(scene), folder / f"{level}_0")
        first[str(level)] = {"file": level, "offset": 0, "count": rows}
        second[str(level)] = {"file": level, "offset": rows, "count": len(scene) - rows}
    meta = {
        "lodLevels": len(levels),
        "environment": None,
        "filenames": [f"{level}_0/meta.json" for level in range(len(levels))],
        "tree": {"children": [{"lods": first}, {"lods": second}]},
    }
    (folder / "lod-meta.json").write_text(json.dumps(meta))
    return folder / "lod-meta.json"

"""SOG scenes (PlayCanvas): each attribute is a WebP image with one or two bytes per value.

Version 2 has codebooks of 256 values for scales and colours, version 1 ranges. Both have a palette
for SH: https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog/
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from exgs.scene.errors import SceneError, SceneWarning
from exgs.scene.formats.sog_files import (
    Meta,
    Parts,
    Texels,
    open_bundle,
    open_folder,
    read_meta,
    read_texels,
    texture_width,
)
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.repair import SH_CUT, SH_KEPT, check_count, repaired
from exgs.scene.rotations import join_smallest_three
from exgs.scene.scene import Scene
from exgs.scene.stores import AnyPath, place
from exgs.scene.transform import rebased

_PALETTE_COLUMNS = 64  # palette entries per row of the image of centroids
_PALETTE_ENTRIES = 1 << 16  # labels have 16 bits
_FIRST_ROTATION_TAG = 252
_SH_COEFFICIENTS = {1: 3, 2: 8, 3: 15, 4: 24}  # by degree
_MODELS = ("default", "antialiased", "2dgs")

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


def read_sog(path: AnyPath) -> Scene:
    """Read a .sog file, a folder with meta.json, or that meta.json. Versions 1 and 2.

    Raises SceneError if it is not a SOG, or if parts are missing or too small for the count;
    OSError.
    """
    path = place(path)
    if path.is_dir():
        return _read_parts(open_folder(path / "meta.json"))
    if path.suffix == ".json":
        return _read_parts(open_folder(path))
    with open_bundle(path) as parts:
        return _read_parts(parts)


def _read_parts(parts: Parts) -> Scene:
    meta = read_meta(parts)
    is_old = "version" not in meta
    if not is_old and meta["version"].value != 2:
        raise SceneError(
            f"{parts.name}: SOG of version {meta['version'].value!r}; exgs reads 1 and 2: update"
            " it, or export the scene as .ply"
        )
    count = (_old_count(meta) if is_old else meta["count"]).integer()
    check_count(parts.name, count, parts.total_bytes)
    scene = _Images(parts, meta, count)
    if count == 0:
        return Scene(Gaussians.empty())
    scales, sh0, opacities, shN = _old_values(scene) if is_old else _values(scene)
    with np.errstate(over="ignore", invalid="ignore"):
        gaussians = repaired(
            parts.name,
            means=_means(scene),
            quats=_quats(scene),
            scales=np.exp(scales),
            opacities=opacities,
            sh0=sh0,
            shN=_cut_harmonics(shN, parts.name),
        )
    return rebased(Scene(gaussians, antialiased=_is_antialiased(meta, parts.name)))


def _is_antialiased(meta: Meta, name: str) -> bool:
    """The rendering mode in the meta.json."""
    model = meta["model"].text() if "model" in meta else "default"
    if model not in _MODELS:
        warnings.warn(
            f"{name}: unknown model {model!r}, read as 'default'", SceneWarning, stacklevel=4
        )
    return model == "antialiased"


def _cut_harmonics(shN: Floats, name: str) -> Floats:
    if shN.shape[1] > SH_KEPT:
        warnings.warn(f"{name}: {SH_CUT}", SceneWarning, stacklevel=4)
    return shN[:, :SH_KEPT]


class _Images:
    """The images of one scene, read on demand."""

    def __init__(self, parts: Parts, meta: Meta, count: int) -> None:
        self.parts = parts
        self.meta = meta
        self.count = count

    def texels(self, attribute: str, number: int = 0) -> Texels:
        """The pixels [N, 4] of an attribute's image, one per Gaussian."""
        return self._read(attribute, number, self.count, None)[: self.count]

    def palette(self, attribute: str, entries: int, entry_pixels: int) -> Texels:
        """Palette entries [entries, entry_pixels, 3] from an attribute's first image."""
        row = _PALETTE_COLUMNS * entry_pixels
        rows = -(-entries // _PALETTE_COLUMNS)
        # Few of many entries may be used.
        texels = self._read(attribute, 0, rows * row, row, most=_PALETTE_ENTRIES * entry_pixels)
        return texels.reshape(-1, entry_pixels, 4)[:entries, :, :3]

    def width(self, attribute: str) -> int:
        """The width of an attribute's first image in pixels."""
        return texture_width(self.parts, self._file(attribute, 0))

    def _read(
        self, attribute: str, number: int, least: int, width: int | None, most: int | None = None
    ) -> Texels:
        return read_texels(self.parts, self._file(attribute, number), least, width, most)

    def _file(self, attribute: str, number: int) -> str:
        files = list(self.meta[attribute]["files"].items())
        if number >= len(files):
            raise self.meta[attribute]["files"].wrong(f"{number + 1} names")
        return files[number].text()


def _old_count(meta: Meta) -> Meta:
    for size in meta["means"]["shape"].items():
        return size
    raise meta["means"]["shape"].wrong("a list that begins with the count")


def _means(scene: _Images) -> Doubles:
    """Positions: 16 bits in two images, linear in sign(x) * log(1 + |x|)."""
    low, high = (scene.texels("means", i)[:, :3].astype(np.uint16) for i in (0, 1))
    place = _between(scene.meta["means"], (low | high << 8) / 65535)
    values: Doubles = np.copysign(np.expm1(np.abs(place)), place)
    return values


def _quats(scene: _Images) -> FloatArray:
    """Rotations wxyz. The fourth byte is the index of the missing component; others are invalid."""
    texels = scene.texels("quats")
    smallest = ((texels[:, :3] / 255 - 0.5) * np.sqrt(2)).astype(np.float32)
    tags = texels[:, 3].astype(np.intp) - _FIRST_ROTATION_TAG
    quats = join_smallest_three(smallest, np.maximum(tags, 0))
    quats[tags < 0] = 0  # repaired and counted like other zero quaternions
    return quats


def _values(scene: _Images) -> tuple[Floats, Floats, Floats, Floats]:
    """Log scales, sh0, opacities and shN of version 2, from codebooks."""
    scales = _look_up(scene.meta["scales"], scene.texels("scales")[:, :3])
    texels = scene.texels("sh0")
    sh0 = _look_up(scene.meta["sh0"], texels[:, :3])
    opacities = texels[:, 3].astype(np.float32) / 255
    if "shN" not in scene.meta:
        return scales, sh0, opacities, np.zeros((scene.count, 0, 3), np.float32)
    shN = scene.meta["shN"]
    if (bands := shN["bands"].integer()) not in _SH_COEFFICIENTS:
        raise shN["bands"].wrong("1, 2, 3 or 4")
    labels = _labels(scene)
    if int(labels.max()) >= shN["count"].integer():
        raise shN["count"].wrong(f"{int(labels.max()) + 1} or more, as the labels need")
    centroids = scene.palette("shN", int(labels.max()) + 1, _SH_COEFFICIENTS[bands])
    return scales, sh0, opacities, _look_up(shN, centroids)[labels]


def _old_values(scene: _Images) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Log scales, sh0, opacities and shN of version 1, from minimum and maximum values."""
    scales = _between(scene.meta["scales"], scene.texels("scales")[:, :3] / 255)
    values = _between(scene.meta["sh0"], scene.texels("sh0") / 255)
    with np.errstate(over="ignore"):
        opacities = 1 / (1 + np.exp(-values[:, 3]))
    if "shN" not in scene.meta:
        return scales, values[:, :3], opacities, np.zeros((scene.count, 0, 3))
    coefficients, spare = divmod(scene.width("shN"), _PALETTE_COLUMNS)
    if spare or coefficients not in _SH_COEFFICIENTS.values():
        raise SceneError(
            f"{scene.parts.name}: the SH palette is {scene.width('shN')} pixels wide, expected 192,"
            " 512, 960 or 1536; the scene is damaged: fetch or export it again"
        )
    labels = _labels(scene)
    centroids = scene.palette("shN", int(labels.max()) + 1, coefficients)
    return scales, values[:, :3], opacities, _between(scene.meta["shN"], centroids / 255, 1)[labels]


def _labels(scene: _Images) -> npt.NDArray[np.intp]:
    """The palette entry of each Gaussian: 16 bits in red and green."""
    texels = scene.texels("shN", 1)
    labels: npt.NDArray[np.intp] = texels[:, 0] | texels[:, 1].astype(np.intp) << 8
    return labels


def _look_up(meta: Meta, texels: Texels) -> FloatArray:
    codebook = meta["codebook"].numbers().astype(np.float32)
    if texels.size and int(texels.max()) >= len(codebook):
        raise meta["codebook"].wrong(f"{int(texels.max()) + 1} numbers or more")
    return codebook[texels]


def _between(meta: Meta, parts: Doubles, channels: int | None = None) -> Doubles:
    """Convert fractions [..., C] between mins and maxs of the meta.json, of C entries or 1."""
    low, high = (meta[end].numbers(channels or parts.shape[-1]) for end in ("mins", "maxs"))
    values: Doubles = low + (high - low) * parts
    return values

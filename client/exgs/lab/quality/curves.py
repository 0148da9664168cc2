"""The fast quality model: measured curves of error over progress, by view and tile.

For some views of a path, and some states of a partly received scene, the squared error of the
picture is divided among the tiles of the Gaussians in its pixels (as in the encoder). The error of
any state is then the sum over tiles of the errors at their progress. The model ignores that a
missing tile in front shows tiles behind it. Its error is measured by rendering.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from exgs.lab.assets.asset import Asset
from exgs.scene.backends import default_rasterizer
from exgs.scene.camera import Camera
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import FloatArray, Gaussians
from exgs.scene.metrics import ssim

Doubles = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

MOST_DB = 60.0  # limit of PSNR: 8-bit pictures are almost equal
_STATES = 11
_GROWTH = 1.6  # ratio of the bytes of consecutive states
_STEP = 0.125  # maximum share of all bytes between consecutive states
_LEAST_ERROR = 1e-9
_VERSION = 3  # of the cached files


@dataclass(frozen=True, eq=False)
class Curves:
    """Measured errors of one scene in one format, in V views, K states, T tiles."""

    errors: npt.NDArray[np.float32]  # [V, K, T] share of the mean squared error
    progress: npt.NDArray[np.float32]  # [K, T]
    ssim: npt.NDArray[np.float32]  # [V, K]

    @cached_property
    def _logs(self) -> npt.NDArray[np.float32]:
        return np.log(np.maximum(self.errors, _LEAST_ERROR))

    def mse(self, views: Longs, progress: npt.NDArray[np.float32]) -> Doubles:
        """Mean squared error [S] in views [S] at progress [S, T]."""
        state = np.empty(progress.shape, np.int64)
        for tile in range(progress.shape[1]):
            state[:, tile] = self.progress[:, tile].searchsorted(progress[:, tile], "right") - 1
        state = np.clip(state, 0, max(len(self.progress) - 2, 0))
        after = np.minimum(state + 1, len(self.progress) - 1)
        tiles = np.arange(progress.shape[1])
        start, end = self.progress[state, tiles], self.progress[after, tiles]
        along = np.clip((progress - start) / np.where(end > start, end - start, 1), 0, 1)
        along = np.where(end > start, along, 1)
        one = self._logs[views[:, None], state, tiles]
        other = self._logs[views[:, None], after, tiles]
        total: Doubles = np.exp(one + (other - one) * along).sum(axis=1, dtype=np.float64)
        return total

    def ssim_at(self, views: Longs, psnr_db: Doubles) -> Doubles:
        """SSIM [S], from each view's curve of SSIM over PSNR."""
        made = np.empty(len(views))
        for view in np.unique(views):
            rows = views == view
            curve = psnr_of(self.errors[view].sum(axis=1, dtype=np.float64))
            order = np.argsort(curve, kind="stable")
            made[rows] = np.interp(psnr_db[rows], curve[order], self.ssim[view][order])
        return made


def psnr_of(mse: Doubles) -> Doubles:
    """PSNR in dB, limited to MOST_DB."""
    made: Doubles = np.minimum(-10 * np.log10(np.maximum(mse, 1e-12)), MOST_DB)
    return made


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The whole scene, with which all formats are compared."""

    key: str
    load: Callable[[], Gaussians]
    antialiased: bool = False


def measured_curves(
    asset: Asset,
    reference: Reference,
    cameras: Sequence[Camera],
    cache: Path,
    progress: Callable[[float], None] = lambda _: None,
) -> Curves:
    """The curves of an asset in these views, from the cache or by measuring them."""
    path = cache / f"curves-{_key(asset, reference, cameras)}.npz"
    if path.exists():
        with np.load(path) as kept:
            return Curves(kept["errors"], kept["progress"], kept["ssim"])
    curves = measure(asset, reference, cameras, progress)
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        np.savez(file, errors=curves.errors, progress=curves.progress, ssim=curves.ssim)
    return curves


def measure(
    asset: Asset,
    reference: Reference,
    cameras: Sequence[Camera],
    progress: Callable[[float], None] = lambda _: None,
) -> Curves:
    """Render every state in every view, and divide the errors among the tiles."""
    whole = Painter(reference.load(), antialiased=reference.antialiased)
    wanted = [whole.picture(camera) for camera in cameras]
    ends = _state_ends(asset)
    at = np.zeros((len(ends), asset.tile_count), np.float32)
    pictures: list[list[FloatArray]] = [[] for _ in cameras]
    ssims = np.zeros((len(cameras), len(ends)), np.float32)
    drawing, done = asset.source.open(), 0
    for state, end in enumerate(ends):
        for item in range(done, end):
            drawing.add(item)
        done = end
        at[state] = asset.progress(np.arange(end))
        painter = Painter(drawing.gaussians(), antialiased=asset.source.antialiased)
        for view, camera in enumerate(cameras):
            picture = painter.picture(camera)
            pictures[view].append(np.square(picture - wanted[view]).sum(axis=2))
            ssims[view, state] = ssim(picture, wanted[view])
        progress((state + 1) / (len(ends) + 1))
    return Curves(_booked(asset, cameras, pictures), at, ssims)


class Painter:
    """Renders one scene, clamped to [0, 1]. Keeps the last `kept` pictures."""

    def __init__(self, scene: Gaussians, *, antialiased: bool, kept: int = 0) -> None:
        self._scene = scene
        self._rasterizer = default_rasterizer(antialiased=antialiased)
        self._kept: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._most_kept = kept

    def picture(self, camera: Camera) -> FloatArray:
        """The picture [H, W, 3]."""
        if not self._most_kept:
            return self._draw(camera)
        key = b"%d %d " % (camera.width, camera.height)
        key += camera.viewmat.tobytes() + camera.K.tobytes()
        if key not in self._kept:
            self._kept[key] = self._draw(camera)
            if len(self._kept) > self._most_kept:
                self._kept.popitem(last=False)
        return self._kept[key]

    def _draw(self, camera: Camera) -> FloatArray:
        if not len(self._scene):
            return np.zeros((camera.height, camera.width, 3), np.float32)
        return np.clip(self._rasterizer.render(self._scene, camera).rgb, 0, 1)


def _booked(
    asset: Asset, cameras: Sequence[Camera], squares: Sequence[Sequence[FloatArray]]
) -> npt.NDArray[np.float32]:
    count = asset.tile_count
    made = np.zeros((len(cameras), len(squares[0]), count), np.float32)
    owners, tiles = asset.source.owners() if count > 1 else (None, None)
    rasterizer = default_rasterizer(antialiased=asset.source.antialiased)
    for view, camera in enumerate(cameras):
        images = np.stack(squares[view], axis=2)
        pixels = 3.0 * images.shape[0] * images.shape[1]
        totals = images.sum(axis=(0, 1), dtype=np.float64) / pixels
        if owners is None or tiles is None:
            made[view, :, 0] = totals
            continue
        sums = rasterizer.backproject(owners, camera, images).sums
        for state, total in enumerate(totals.tolist()):
            booked = np.bincount(tiles, sums[:, state], count)
            whole = float(booked.sum())
            made[view, state] = booked * (total / whole) if whole > 0 else total / count
    return made


def _state_ends(asset: Asset) -> list[int]:
    """Numbers of items after which to measure: none, at growing numbers of bytes, all."""
    sums = np.cumsum(asset.item_bytes).astype(np.float64)
    first = float(sums[0])
    growth = max(_GROWTH, (float(sums[-1]) / first) ** (1 / (_STATES - 2)))
    ends, last, step = [0, 1], first, _STEP * float(sums[-1])
    for item in range(1, len(asset)):
        if sums[item] >= min(last * growth, last + step):
            ends.append(item + 1)
            last = float(sums[item])
    return sorted({*ends, len(asset)}) if not asset.is_level else list(range(len(asset) + 1))


def _key(asset: Asset, reference: Reference, cameras: Sequence[Camera]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {asset.key} {reference.key}".encode())
    for camera in cameras:
        digest.update(np.round(camera.viewmat, 6).tobytes())
        digest.update(np.round(camera.K, 6).tobytes())
        digest.update(f"{camera.width}x{camera.height}".encode())
    return digest.hexdigest()[:24]

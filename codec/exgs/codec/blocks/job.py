"""The job of encoding one large scene: common values for all workers, and the folder of its files.

All steps of a block are functions of a job and the number of the block, and write files to the
folder. So they can run on any machine with the folder, in any order, and again after a failure. The
folder is a local one or a prefix in a store.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from exgs.codec.encoding.encode import EncodeOptions
from exgs.codec.encoding.layer_plan import LayerPlan
from exgs.codec.encoding.tiles import TileTree
from exgs.scene.camera import Camera
from exgs.scene.files import atomic_write
from exgs.scene.gaussians import Gaussians
from exgs.scene.scene import Scene, Vector
from exgs.scene.stores import Place, StorePath, local_copy

_OURS = re.compile(r"(?:[a-z]+/)?(?:\d{5,}\.(?:f32|pkl|npy|bin)|[a-z]+\.pkl|\.exgs-\w+\.tmp)")
_AT_ONCE = 16
_LAST = "key.pkl"  # which tells that a folder is ours


@dataclass(frozen=True, slots=True, eq=False)
class Spill:
    """A scene on disk, divided into blocks: one file for each tile of a level."""

    folder: Place
    tree: TileTree  # the finest tiles are the blocks
    counts: tuple[int, ...]  # Gaussians of each block
    low: npt.NDArray[np.float64]  # [B, 3] bounds of most Gaussians of each block
    high: npt.NDArray[np.float64]  # [B, 3]
    facts: Scene  # no Gaussians
    dropped: int

    @property
    def count(self) -> int:
        """The number of Gaussians of the scene."""
        return sum(self.counts)

    @property
    def level(self) -> int:
        """The tile level of the blocks."""
        return self.tree.level

    def sample(self) -> Gaussians:
        """A sample of the scene without SH, enlarged so that it covers about the same area."""
        sampled: Gaussians = _unpickled(sample_path(self.folder))
        return sampled

    def block(self, number: int) -> Gaussians:
        """The Gaussians of a block."""
        k = self.facts.gaussians.shN.shape[1]
        with local_copy(block_path(self.folder, number)) as path:
            rows = np.fromfile(path, "<f4").reshape(-1, 14 + 3 * k)
        parts = np.split(rows.astype(np.float32), (3, 7, 10, 11, 14), axis=1)
        means, quats, scales, opacities, sh0, rest = parts
        return Gaussians(means, quats, scales, opacities[:, 0], sh0, rest.reshape(len(rows), k, 3))


@dataclass(frozen=True, slots=True)
class Overviews:
    """Views of the whole scene."""

    measured: tuple[Camera, ...]  # for importance and gains
    fitted: tuple[Camera, ...]  # for distillation and colour fits
    drawn: tuple[Camera, ...]  # to which coarse layers are fitted
    photographs: tuple[Camera, ...] = ()  # cameras of the scene, except the held-out ones


@dataclass(frozen=True, slots=True)
class BlockCameras:
    """Cameras of the scene's photographs that see one block. All are empty without photographs."""

    measured: tuple[Camera, ...] = ()  # for importance, and every second one for gains
    seen_share: float = 0.0  # of all cameras, those that see the block
    fitted: tuple[Camera, ...] = ()  # for distillation and colour fits
    held_out: tuple[Camera, ...] = ()  # for the rate-quality table
    held_out_pixels: int = 0  # of all held-out cameras, also of those that don't see the block

    @property
    def for_gains(self) -> tuple[Camera, ...]:
        """Those of `measured` on which gains are measured; they are not in `fitted`."""
        return self.measured[1::2] or self.measured


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """Everything that the steps of an encoding share."""

    folder: Place
    spill: Spill
    plan: tuple[LayerPlan, ...]  # of the whole scene
    first: int  # the first layer that is encoded block by block
    region_level: int  # level of the tiles that have an SH basis each
    options: EncodeOptions
    up: Vector = (0.0, -1.0, 0.0)
    overviews: Overviews = Overviews((), (), ())

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return len(self.spill.counts)

    @property
    def tile_level(self) -> int:
        """The level of the finest tiles."""
        return self.plan[-1].tile_level

    def save(self, step: str, number: int, value: Any) -> None:
        """Store the result of a step of a block."""
        path = self._path(step, number)
        path.parent.mkdir(exist_ok=True)
        with atomic_write(path) as file:
            pickle.dump(value, file, protocol=5)

    def load(self, step: str, number: int) -> Any:
        """Load the result that `save` has stored.

        The folder contains files of this program only.
        """
        return _unpickled(self._path(step, number))

    def load_all(self, results: Iterable[tuple[str, int]]) -> list[Any]:
        """Load several results, from a store several at a time, since each takes a round trip."""
        at_once = _AT_ONCE if isinstance(self.folder, StorePath) else 1
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda result: self.load(*result), results))

    def has(self, step: str, number: int) -> bool:
        """Whether a step of a block is done."""
        return self._path(step, number).exists()

    def payload_path(self, number: int) -> Place:
        """The file with the chunks of a block.

        The number of the coarse layers is the number of blocks.
        """
        return self.folder / "chunks" / f"{number:05d}.bin"

    def picture_path(self, number: int) -> Place:
        """The file with the pictures of a block in the drawn views."""
        return self.folder / "drawn" / f"{number:05d}.npy"

    def _path(self, step: str, number: int) -> Place:
        return self.folder / step / f"{number:05d}.pkl"


def block_path(folder: Place, number: int) -> Place:
    """The file with the Gaussians of a block."""
    return folder / "blocks" / f"{number:05d}.f32"


def sample_path(folder: Place) -> Place:
    """The file with the sample of a scene."""
    return folder / "sample.pkl"


def _unpickled(path: Place) -> Any:
    with local_copy(path) as here, here.open("rb") as file:
        return pickle.load(file)


def rows_of(part: Gaussians) -> npt.NDArray[np.float32]:
    """One row of little-endian numbers for each Gaussian."""
    columns = (
        part.means,
        part.quats,
        part.scales,
        part.opacities[:, None],
        part.sh0,
        part.shN.reshape(len(part), 3 * part.shN.shape[1]),
    )
    return np.concatenate(columns, axis=1).astype("<f4", copy=False)


def remove_tree(folder: Place) -> None:
    """Delete a work folder with the files that this package has made, and nothing else."""
    if isinstance(folder, StorePath):
        names = [str(file.relative_to(folder)) for file in folder.files()]
        ours = [name for name in names if _OURS.fullmatch(name)]
        folder.remove(name for name in ours if name != _LAST)
        folder.remove([_LAST])
        return
    for sub in sorted(path for path in folder.glob("*") if path.is_dir()):
        for path in sub.glob("*.*"):
            path.unlink()
        sub.rmdir()
    for path in [*folder.glob("*.pkl"), *folder.glob(".exgs-*.tmp")]:
        path.unlink()
    folder.rmdir()

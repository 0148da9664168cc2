""".splat files (antimatter15): 32 bytes per Gaussian, no header, no SH except the colour.

Position and scale are three float32 each, followed by RGBA and a quaternion (wxyz) with 8 bits per
component. Rows are sorted by volume times opacity, largest first, so a viewer can draw any prefix.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from exgs.scene.errors import SceneError
from exgs.scene.files import atomic_write
from exgs.scene.formats.render_mode import warn_of_lost_facts
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.repair import repaired
from exgs.scene.scene import Scene
from exgs.scene.transform import rebased

ROW = np.dtype(
    [("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)]
)  # 32 bytes


def read_splat(path: str | os.PathLike[str]) -> Scene:
    """Read a .splat file, with the axes of the PLY it was made from.

    Raises SceneError if the file is empty or not a whole number of rows; OSError.
    """
    name, size = str(path), Path(path).stat().st_size
    if size == 0 or size % ROW.itemsize:
        raise SceneError(
            f"{name}: {size} bytes are no whole number of 32-byte rows;"
            " it was cut short or is no .splat: fetch or export it again"
        )
    rows = np.fromfile(path, ROW)
    colors = rows["rgba"].astype(np.float32) / 255
    gaussians = repaired(
        name,
        means=rows["mean"],
        quats=(rows["quat"].astype(np.float32) - 128) / 128,
        scales=rows["scale"],
        opacities=colors[:, 3],
        sh0=(colors[:, :3] - np.float32(0.5)) / np.float32(SH_C0),
        shN=np.zeros((len(rows), 0, 3), np.float32),
    )
    return rebased(Scene(gaussians))


def write_splat(path: str | os.PathLike[str], scene: Scene | Gaussians) -> None:
    """Write a .splat file without SH, with colours clamped to [0, 1].

    Positions are relative to the scene's origin. A SceneWarning says that the origin and the
    rendering mode are not stored. An existing file is replaced atomically. Raises SceneError for an
    empty scene, since an empty file would look truncated; OSError.
    """
    scene = Scene.of(scene)
    gaussians = scene.gaussians
    warn_of_lost_facts(scene, str(path), mode=True, origin=True)
    if not len(gaussians):
        raise SceneError(f"{path}: a .splat can't hold a scene of no Gaussians; write a .ply")
    volumes = np.prod(gaussians.scales.astype(np.float64), axis=1)
    order = np.argsort(-volumes * gaussians.opacities, kind="stable")
    rows = np.zeros(len(gaussians), ROW)
    rows["mean"] = gaussians.means[order]
    rows["scale"] = gaussians.scales[order]
    rgba = np.column_stack([0.5 + SH_C0 * gaussians.sh0[order], gaussians.opacities[order]])
    rows["rgba"] = np.rint(np.clip(rgba, 0, 1) * 255)
    rows["quat"] = np.clip(np.rint(gaussians.quats[order] * 128 + 128), 0, 255)
    with atomic_write(path) as file:
        file.write(rows.tobytes())

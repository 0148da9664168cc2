""".splat files (antimatter15): 32 bytes a Gaussian, no header, no SH beyond the colour.

Position and scale are three float32 each, then RGBA and a quaternion (wxyz) in 8 bits a component.
Rows stand with the largest volume times opacity first, so that a viewer may draw any prefix.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from exgs.scene.errors import SceneError
from exgs.scene.files import atomic_write
from exgs.scene.formats.render_mode import warn_of_lost_facts
from exgs.scene.gaussians import SH_C0, Gaussians
from exgs.scene.mending import mended
from exgs.scene.scene import Scene
from exgs.scene.transform import rebased

ROW = np.dtype(
    [("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)]
)  # 32 bytes


def read_splat(path: str | os.PathLike[str]) -> Scene:
    """The scene of a .splat file, in its own frame (that of the PLY it was made from).

    Raises SceneError where the file is empty or no whole number of rows; OSError.
    """
    name, size = str(path), Path(path).stat().st_size
    if size == 0 or size % ROW.itemsize:
        raise SceneError(
            f"{name}: {size} bytes are no whole number of 32-byte rows;"
            " it was cut short or is no .splat: fetch or export it again"
        )
    rows = np.fromfile(path, ROW)
    colors = rows["rgba"].astype(np.float32) / 255
    gaussians = mended(
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
    """Write a .splat file; SH are left out, and colours clamped to [0, 1].

    Positions are relative to the scene's origin; a SceneWarning tells of that, and of a rendering
    mode, both of which the format can't hold. An existing file is replaced, and only by a complete
    one. Raises SceneError for a scene of no Gaussians, which the format can't tell from a file cut
    short; OSError.
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

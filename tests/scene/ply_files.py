"""PLY files of splats, written and read by plyfile, for tests of the PLY formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from plyfile import PlyData, PlyElement

from exgs.scene.errors import SceneError
from exgs.scene.formats.ply import read_ply
from exgs.scene.gaussians import Gaussians

in_one_folder = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60
)

REQUIRED = [
    *("x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2"),
    *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
]
FIELDS = ("means", "quats", "scales", "opacities", "sh0", "shN")


def vertices(count: int = 5, rest: int = 0, extra: tuple[str, ...] = (), dtype: str = "f4") -> Any:
    """Rows of an ordinary splat PLY."""
    names = [*REQUIRED[:6], *(f"f_rest_{i}" for i in range(rest)), *REQUIRED[6:], *extra]
    rng = np.random.default_rng(0)
    rows = np.zeros(count, [(name, dtype) for name in names])
    for name in names:
        rows[name] = rng.normal(size=count)
    return rows


def save(path: Path, rows: Any, **options: Any) -> Path:
    PlyData([PlyElement.describe(rows, "vertex")], **options).write(path)
    return path


def plain_reading(path: Path) -> Gaussians:
    """The slow twin: plyfile reads all, each coefficient is placed by the formula of its name."""
    rows = PlyData.read(path)["vertex"].data
    n = len(rows)
    k = sum(name.startswith("f_rest_") for name in rows.dtype.names) // 3

    def columns(*names: str) -> Any:
        return np.stack([np.asarray(rows[name], np.float64) for name in names], axis=1)

    shN = np.zeros((n, k, 3))
    for channel in range(3):
        for coefficient in range(k):
            shN[:, coefficient, channel] = rows[f"f_rest_{channel * k + coefficient}"]
    quats = columns("rot_0", "rot_1", "rot_2", "rot_3")
    arrays = (
        columns("x", "y", "z"),
        quats / np.linalg.norm(quats, axis=1, keepdims=True),
        np.exp(columns("scale_0", "scale_1", "scale_2")),
        1 / (1 + np.exp(-columns("opacity")[:, 0])),
        columns("f_dc_0", "f_dc_1", "f_dc_2"),
        shN,
    )
    return Gaussians(*(array.astype(np.float32) for array in arrays))


def assert_close(got: Gaussians, expected: Gaussians, rtol: float = 1e-6) -> None:
    for field in FIELDS:
        np.testing.assert_allclose(
            getattr(got, field), getattr(expected, field), rtol, 1e-7, err_msg=field
        )


def refused(path: Path) -> str:
    """The message with which a file is refused: one line that names it."""
    with pytest.raises(SceneError) as error:
        read_ply(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message

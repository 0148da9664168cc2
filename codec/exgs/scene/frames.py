"""Named axis conventions: the directions of the axes x, y and z of a file.

A name has one letter per axis: Left or Right, Up or Down, Front or Back, in any order. exgs uses
RDF (right, down, front), like PLY files.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]

RDF = "RDF"  # INRIA's PLY, OpenCV
LUF = "LUF"  # glTF

_AXES: dict[str, tuple[float, float, float]] = {
    "R": (1.0, 0.0, 0.0),
    "L": (-1.0, 0.0, 0.0),
    "D": (0.0, 1.0, 0.0),
    "U": (0.0, -1.0, 0.0),
    "F": (0.0, 0.0, 1.0),
    "B": (0.0, 0.0, -1.0),
}

FRAMES = tuple(
    "".join(letters)
    for pairs in itertools.permutations(("LR", "UD", "FB"))
    for letters in itertools.product(*pairs)
)


def to_rdf(frame: str) -> Matrix:
    """The matrix [3, 3] that converts coordinates from `frame` (one of FRAMES) to RDF.

    It is orthogonal. Its determinant is -1 if the frame is left-handed.
    """
    return np.array([_AXES[letter] for letter in frame], np.float64).T

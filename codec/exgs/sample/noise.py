"""Repeatable noise over the plane: hashes of lattice points, value noise and fractal noise.

A texture must return the same colour for a point regardless of the order of calls. So it uses
hashes of integers instead of a random generator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def hashed(x: npt.ArrayLike, y: npt.ArrayLike, seed: int) -> Array:
    """A number in [0, 1) for each lattice point (x, y)."""
    h = np.asarray(x).astype(np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
    h = h ^ (np.asarray(y).astype(np.int64).astype(np.uint32) * np.uint32(0x85EBCA77))
    h = h + np.uint32((seed * 0xC2B2AE3D + 0x27D4EB2F) & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
    h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
    return np.asarray((h ^ (h >> np.uint32(15))) * (1 / 2**32), np.float64)


def value_noise(x: Array, y: Array, seed: int) -> Array:
    """Smooth noise in [0, 1) whose features are about one unit wide."""
    i, j = np.floor(x), np.floor(y)
    u, v = x - i, y - j
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    low = hashed(i, j, seed) * (1 - u) + hashed(i + 1, j, seed) * u
    high = hashed(i, j + 1, seed) * (1 - u) + hashed(i + 1, j + 1, seed) * u
    return np.asarray(low * (1 - v) + high * v)


def fractal_noise(x: Array, y: Array, seed: int, octaves: int = 3) -> Array:
    """A sum of octaves of value noise, in [0, 1). Each octave is twice as fine, half as strong."""
    total, strength, sum_of_strengths = np.zeros(np.shape(x)), 1.0, 0.0
    for octave in range(octaves):
        total += strength * value_noise(x * 2**octave, y * 2**octave, seed + 101 * octave)
        sum_of_strengths += strength
        strength *= 0.5
    return total / sum_of_strengths


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth in between; falls from 1 to 0 if `low` > `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def mix(a: npt.ArrayLike, b: npt.ArrayLike, weight: npt.ArrayLike) -> Array:
    """Linear interpolation from `a` to `b`, [3] or [n, 3], by `weight` [n]."""
    w = np.asarray(weight)[..., None]
    return np.asarray(np.asarray(a) * (1 - w) + np.asarray(b) * w)

"""Encoded files in a cache, which is valid until the source of the encoder changes."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import exgs.codec.encoding.encode
import exgs.scene.gaussians
from exgs.codec.encoding.encode import EncodeOptions, encode
from exgs.scene.gaussians import Gaussians

CACHE = Path.home() / ".cache" / "exgs-bench"


def encoded(name: str, scene: Gaussians, options: EncodeOptions, cache: Path = CACHE) -> Path:
    """The encoded file of `scene` in `cache`. `name` must identify the scene."""
    made_by = hashlib.sha256(repr((options, _encoder_digest())).encode()).hexdigest()[:16]
    path = cache / f"{name}-{made_by}.exgs"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        encode(scene, path, options)
    return path


@functools.cache
def _encoder_digest() -> str:
    digest = hashlib.sha256()
    for module in (exgs.codec.encoding.encode, exgs.scene.gaussians):
        for path in sorted(Path(str(module.__file__)).parent.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()

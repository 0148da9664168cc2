"""Our own files, cut at each budget: with remainder proxies, and pruned without, as UGC would."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from bench.peers.point import Point
from bench.scenes import BenchScene
from exgs.codec.decode import decode
from exgs.codec.encode import EncodeOptions, encode
from exgs.codec.errors import TruncatedError
from exgs.scene.gaussians import Gaussians

_QUALITY: Literal["low", "default", "high"] = "default"


def exgs_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """One point for each budget that the file reaches, and the whole file."""
    yield from _prefixes(scene, budgets, cache, proxies=True)


def pruned_prefixes(scene: BenchScene, budgets: Sequence[int], cache: Path) -> Iterator[Point]:
    """The same without proxies: the best Gaussians, with a share in every region."""
    yield from _prefixes(scene, budgets, cache, proxies=False)


def _prefixes(
    scene: BenchScene, budgets: Sequence[int], cache: Path, *, proxies: bool
) -> Iterator[Point]:
    options = EncodeOptions(quality=_QUALITY, cameras=scene.cameras, proxies=proxies)
    path = cache / f"{scene.name}-{_codec_digest()}-{'proxies' if proxies else 'pruned'}.exgs"
    if not path.exists():
        encode(scene.gaussians, path, options)
    whole = path.stat().st_size
    for size in sorted({budget for budget in budgets if budget < whole} | {whole}):
        yield Point(size, "prefix" if size < whole else "whole file", partial(_decode, path, size))


def _decode(path: Path, size: int) -> Gaussians:
    try:
        return decode(path, max_bytes=size).gaussians
    except TruncatedError:  # not even the index fits: nothing is drawn
        return Gaussians.empty()


def _codec_digest() -> str:
    """Changes with the encoder, so that an old file is not taken for a new one."""
    import exgs.codec.encode
    import exgs.scene.gaussians

    digest = hashlib.sha256(_QUALITY.encode())
    for module in (exgs.codec.encode, exgs.scene.gaussians):
        for path in sorted(Path(str(module.__file__)).parent.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

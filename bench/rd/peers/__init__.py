"""Formats for sending a scene, each as points: a number of bytes and the Gaussians to draw.

A peer is a function from a scene and byte budgets to points. Bytes are the sizes of the files that
a client would fetch; nothing is estimated. To add a peer, write a function and add a line to PEERS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.common.scenes import BenchScene
from bench.rd.peers.exgs_file import (
    exgs_prefixes,
    high_prefixes,
    low_prefixes,
    pruned_prefixes,
    told_prefixes,
)
from bench.rd.peers.point import Point
from bench.rd.peers.source import source_ply
from bench.rd.peers.splat_prefix import splat_prefixes
from bench.rd.peers.splat_transform import (
    adaptively_decimated_spz,
    compressed_ply,
    decimated_spz,
    sog,
    spz,
)
from bench.rd.peers.streamed_sog import sog_cumulative, sog_levels_alone

__all__ = ["PEERS", "Peer", "Point"]

Peer = Callable[[BenchScene, Sequence[int], Path], Iterator[Point]]

PEERS: dict[str, Peer] = {
    "exgs": exgs_prefixes,
    "exgs low": low_prefixes,
    "exgs high": high_prefixes,
    "exgs, views known": told_prefixes,
    "exgs without proxies": pruned_prefixes,
    ".splat prefix": splat_prefixes,
    "streamed SOG level": sog_levels_alone,
    "streamed SOG cumulative": sog_cumulative,
    "SPZ decimated": decimated_spz,
    "SPZ decimated adaptively": adaptively_decimated_spz,
    "SPZ": spz,
    "compressed PLY": compressed_ply,
    "SOG": sog,
    "PLY": source_ply,
}

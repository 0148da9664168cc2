"""The progressive file: encode a scene, decode a prefix, verify a file, read its facts.

>>> from exgs.codec import EncodeOptions, decode, encode
>>> from exgs.scene import read_scene
>>> report = encode(read_scene("scene.ply"), "scene.exgs", EncodeOptions())   # doctest: +SKIP
>>> rough = decode("scene.exgs", max_bytes=200_000)                           # doctest: +SKIP
>>> rough.gaussians, rough.is_proxy                                           # doctest: +SKIP

For bytes from other sources: `FilePusher` reads a file from the front, in pieces of any size;
`SceneBuilder` decodes chunks in any order to the Gaussians to draw. Every fault of a file is a
`FormatError`: `TruncatedError`, `DamagedError`, `UnsupportedError` or `LimitError`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exgs.scene.lazy import lazy_names

if TYPE_CHECKING:
    from exgs.codec.decoding.build import DrawnScene, SceneBuilder
    from exgs.codec.decoding.decode import (
        ExgsFile,
        as_scene,
        decode,
        open_scene,
        poster,
        read_facts,
        verify,
    )
    from exgs.codec.decoding.home_camera import home_camera
    from exgs.codec.encoding.encode import EncodeOptions, EncodeReport, encode
    from exgs.codec.errors import (
        DamagedError,
        ExgsError,
        FormatError,
        LimitError,
        TruncatedError,
        UnsupportedError,
    )
    from exgs.codec.format.container import FileHead, FilePusher, unpack_chunk
    from exgs.codec.format.facts import HomeView, Layer, QualityPoint, SceneFacts
    from exgs.codec.format.index import ChunkTable
    from exgs.codec.format.rows import ChunkRef, PageRef

__all__ = [
    "ChunkRef",
    "ChunkTable",
    "DamagedError",
    "DrawnScene",
    "EncodeOptions",
    "EncodeReport",
    "ExgsError",
    "ExgsFile",
    "FileHead",
    "FilePusher",
    "FormatError",
    "HomeView",
    "Layer",
    "LimitError",
    "PageRef",
    "QualityPoint",
    "SceneBuilder",
    "SceneFacts",
    "TruncatedError",
    "UnsupportedError",
    "as_scene",
    "decode",
    "encode",
    "home_camera",
    "open_scene",
    "poster",
    "read_facts",
    "unpack_chunk",
    "verify",
]

__getattr__ = lazy_names(
    __name__,
    {
        "ChunkRef": "exgs.codec.format.rows",
        "ChunkTable": "exgs.codec.format.index",
        "DamagedError": "exgs.codec.errors",
        "DrawnScene": "exgs.codec.decoding.build",
        "EncodeOptions": "exgs.codec.encoding.encode",
        "EncodeReport": "exgs.codec.encoding.encode",
        "ExgsError": "exgs.codec.errors",
        "ExgsFile": "exgs.codec.decoding.decode",
        "FileHead": "exgs.codec.format.container",
        "FilePusher": "exgs.codec.format.container",
        "FormatError": "exgs.codec.errors",
        "HomeView": "exgs.codec.format.facts",
        "Layer": "exgs.codec.format.facts",
        "LimitError": "exgs.codec.errors",
        "PageRef": "exgs.codec.format.rows",
        "QualityPoint": "exgs.codec.format.facts",
        "SceneBuilder": "exgs.codec.decoding.build",
        "SceneFacts": "exgs.codec.format.facts",
        "TruncatedError": "exgs.codec.errors",
        "UnsupportedError": "exgs.codec.errors",
        "as_scene": "exgs.codec.decoding.decode",
        "decode": "exgs.codec.decoding.decode",
        "encode": "exgs.codec.encoding.encode",
        "home_camera": "exgs.codec.decoding.home_camera",
        "open_scene": "exgs.codec.decoding.decode",
        "poster": "exgs.codec.decoding.decode",
        "read_facts": "exgs.codec.decoding.decode",
        "unpack_chunk": "exgs.codec.format.container",
        "verify": "exgs.codec.decoding.decode",
    },
)

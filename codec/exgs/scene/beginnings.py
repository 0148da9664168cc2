"""What a file is by its first bytes, for messages about files that are not what they should be."""

from __future__ import annotations

_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"EXGS\r\n\x1a\n", "an .exgs file"),
    (b"ply", "a .ply"),
    (b"NGSP", "an .spz"),
    (b"glTF", "a .glb"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file with `git lfs pull`"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"PK\x03\x04", "a zip archive, as a .sog is"),
    (b"\x1f\x8b", "gzip data, as an .spz is"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"%PDF", "a PDF"),
    (b"<!doctype", "a web page, perhaps an error of the server"),
    (b"<html", "a web page, perhaps an error of the server"),
    (b"<?xml", "XML, perhaps an error of the server"),
)


def kind_of(data: bytes) -> str:
    """What a file of these first bytes is, as in "it is a PNG picture"."""
    if not data:
        return "it is empty"
    start = data[:64].lstrip().lower()
    for beginning, kind in _BEGINNINGS:
        if data.startswith(beginning) or start.startswith(beginning.lower()):
            return f"it is {kind}"
    return "it is something else, or damaged"

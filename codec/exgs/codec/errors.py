"""The errors of files and streams: one root, a few children by what the user can do about them.

Every message is one line that names the place and the remedy. Anything that reads bytes from
outside raises these and nothing else.
"""

from __future__ import annotations

from exgs.scene.errors import ExgsError, SceneError

__all__ = [
    "DamagedError",
    "ExgsError",
    "FormatError",
    "LimitError",
    "SceneError",
    "TruncatedError",
    "UnsupportedError",
]


class FormatError(ExgsError):
    """A file or stream that can't be read as it stands.

    Attributes:
        section: the part of the file: "header", "root index", "page 2", "chunk 17".
        offset: byte offset of that part in the file, where it is known.
    """

    def __init__(self, problem: str, *, section: str, offset: int | None = None) -> None:
        place = section if offset is None else f"{section} at byte {offset}"
        super().__init__(f"{place}: {problem}")
        self.section = section
        self.offset = offset


class TruncatedError(FormatError):
    """The bytes end before the part that is needed: fetch more.

    Attributes:
        needed_bytes: length of the prefix that would hold the part.
    """

    def __init__(
        self, problem: str, *, section: str, needed_bytes: int, offset: int | None = None
    ) -> None:
        super().__init__(problem, section=section, offset=offset)
        self.needed_bytes = needed_bytes


class DamagedError(FormatError):
    """The bytes contradict themselves: fetch the file again, or encode it anew."""


class UnsupportedError(FormatError):
    """A newer format version or an unknown feature: update exgs."""


class LimitError(FormatError):
    """A declared size exceeds what a decoder agrees to allocate: don't trust the file."""

"""Reads the text of a file, or of a member of a tar archive."""

from __future__ import annotations

import functools
import tarfile
from pathlib import Path

from exgs.lab.errors import LabError


@functools.lru_cache(maxsize=32)
def read_text(path: Path, member: str = "") -> str:
    """The text of `path`, or of `member` in it. Raises LabError, OSError."""
    try:
        if not member:
            return path.read_text("utf-8-sig")
        with tarfile.open(path) as archive:
            file = archive.extractfile(member)
            if file is None:
                raise LabError(f"{path}: {member} is not a file")
            return file.read().decode("utf-8-sig")
    except KeyError as error:
        raise LabError(f"{path}: it has no {member}") from error
    except (tarfile.TarError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: {error}") from error

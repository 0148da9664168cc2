"""Writing files whole or not at all.

The bytes go to a temporary file beside the target, to the disk, and only then take the target's
name: a reader never sees half a file, and a failure leaves the old one as it was.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` at the end of the block, and vanishes if that fails.

    An old file at `path` is replaced and lends its permissions; a symbolic link is followed.
    Raises OSError, which names `path`, where that is something other than a file, or can't be
    written.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    temporary = target.with_name(f".exgs-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        # A full disk names no file, and nobody knows the temporary one.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
            error.filename2 = None
        raise
    finally:
        with suppress(OSError):  # what failed before is what matters
            temporary.unlink()

"""Writes files atomically.

The bytes are written and synced to a temporary file beside the target, which is then renamed. So a
reader never sees an incomplete file, and a failure leaves the old file unchanged. Of a store, the
temporary file is uploaded when it is whole.
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

from exgs.scene.stores import AnyPath, StorePath


@contextmanager
def atomic_write(path: AnyPath) -> Iterator[BinaryIO]:
    """Open a binary file that becomes `path` at the end of the block, or is deleted on failure.

    An old file at `path` is replaced and its permissions are kept. Symbolic links are followed.
    Raises OSError, which names `path`, if `path` is not a regular file or can't be written;
    StoreError.
    """
    if isinstance(path, StorePath):
        with path.written() as file:
            yield file
        return
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    temporary = target.with_name(f".exgs-{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x+b") as file:
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        # The error of a full disk has no file name; the name of the temporary file would not help.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
            error.filename2 = None
        raise
    finally:
        with suppress(OSError):  # the first error matters
            temporary.unlink()

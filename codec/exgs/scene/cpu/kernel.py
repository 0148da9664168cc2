"""How every kernel is compiled, and when a compiled kernel is out of date.

Numba caches machine code per source file and does not notice that a helper in another file has
changed: after an upgrade, old code would go on running. Here this whole package is the unit, and
for kernels elsewhere the package and their own file.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.extending import intrinsic as numba_intrinsic

_log = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

# Guards the process: numba's work-queue threading layer aborts it when two threads launch parallel
# kernels at once.
one_at_a_time = threading.RLock()

# Fused multiply-add is welcome; infinities and NaN keep their meaning, so that comparisons can
# reject them.
_FASTMATH = {"contract", "nsz"}


@functools.cache
def _stamp(source: Path) -> str:
    """Digest of all source files of this package and of `source`."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted({*Path(__file__).parent.glob("*.py"), source}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def kernel(*, parallel: bool = False) -> Callable[[Function], Function]:
    """Compile with numba at the first call, without the GIL, and keep the machine code on disk.

    Parallel kernels take turns; they can't be called from other kernels.
    The body of a `prange` loop must only call a function: numba drops stores into the arrays of
    a named tuple when they stand in the loop itself.
    """

    def decorate(function: Function) -> Function:
        source = Path(inspect.getfile(function))
        dispatcher: Any = numba.njit(
            nogil=True, parallel=parallel, fastmath=_FASTMATH, error_model="numpy"
        )(function)
        try:
            dispatcher.enable_caching()
        except RuntimeError:  # no directory to write to: every process compiles for itself
            _log.warning("compiled kernels cannot be kept: set NUMBA_CACHE_DIR to a directory")
        else:
            dispatcher._cache._cache_file._source_stamp = _stamp(source)
        compiled: Function = _taking_turns(dispatcher) if parallel else dispatcher
        return compiled

    return decorate


def _taking_turns(dispatcher: Any) -> Any:
    @functools.wraps(dispatcher)
    def run(*arguments: Any) -> Any:
        with one_at_a_time:
            return dispatcher(*arguments)

    return run


def intrinsic(function: Callable[..., Any]) -> Any:
    """`numba.extending.intrinsic` for the type checker: callers leave out the typing context."""
    return numba_intrinsic(function)

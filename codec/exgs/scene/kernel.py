"""Compiles kernels with numba and caches their machine code.

Numba caches machine code per source file and does not notice changes of helpers in other files. So
the name of the cache folder contains a digest of all files that a kernel may call: those of its own
package and of the CPU rasterizer.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba import config as numba_config
from numba.extending import intrinsic as numba_intrinsic

# There are many short kernels. By default, idle threads of an OpenMP runtime spin until the next
# one starts, which takes up to half of all processor time. The runtime reads this when it loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_log = logging.getLogger(__name__)
_settings: Any = numba_config
_njit: Any = numba.njit  # its types do not know `_nrt`, which switches reference counts

Function = TypeVar("Function", bound=Callable[..., Any])

# Numba's workqueue threading layer aborts the process if two threads start parallel kernels at the
# same time.
one_at_a_time = threading.RLock()

# Allow fused multiply-add, but keep the semantics of infinities and NaN, so that comparisons can
# reject them.
_FASTMATH = {"contract", "nsz"}


@functools.cache
def _cache_folder(package: Path) -> Path:
    """The folder for the machine code of the kernels in `package`, named after their sources."""
    digest = hashlib.blake2b(digest_size=8)
    here = Path(__file__)
    for path in sorted({*package.glob("*.py"), *(here.parent / "cpu").glob("*.py"), here}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return _cache_root(here.parent) / digest.hexdigest()


def _cache_root(package: Path) -> Path:
    """NUMBA_CACHE_DIR, else a folder beside the package, else a folder of the user."""
    if _settings.CACHE_DIR:
        return Path(_settings.CACHE_DIR)
    if os.access(package, os.W_OK):
        return package / "__pycache__" / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "exgs" / "kernels"


def _keep_on_disk(dispatcher: Any, source: Path) -> None:
    """Set numba's cache folder to the one for the current sources.

    Numba reads its public setting CACHE_DIR only when caching is enabled.
    """
    before = _settings.CACHE_DIR
    _settings.CACHE_DIR = str(_cache_folder(source.parent))
    try:
        dispatcher.enable_caching()
    finally:
        _settings.CACHE_DIR = before


def kernel(
    *, parallel: bool = False, allocates: bool = False, inlined: bool = False
) -> Callable[[Function], Function]:
    """Compile with numba at the first call, without the GIL, and cache the machine code on disk.

    Only one parallel kernel runs at a time. Kernels can't call parallel kernels. Only kernels
    with `allocates` can make arrays: in these, numba counts references to arrays, which costs two
    atomic operations per view. `inlined` is for small kernels that are called in loops.
    The body of a `prange` loop must only call a function: numba drops stores to the arrays of a
    named tuple inside such a loop.
    """

    def decorate(function: Function) -> Function:
        source = Path(inspect.getfile(function))
        dispatcher = _njit(
            nogil=True,
            parallel=parallel,
            fastmath=_FASTMATH,
            error_model="numpy",
            forceinline=inlined,
            _nrt=allocates,
        )(function)
        try:
            _keep_on_disk(dispatcher, source)
        except RuntimeError:  # no writable folder: each process compiles the kernels
            _log.warning("compiled kernels cannot be kept: set NUMBA_CACHE_DIR to a directory")
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
    """`numba.extending.intrinsic` with types: callers omit the typing context."""
    return numba_intrinsic(function)

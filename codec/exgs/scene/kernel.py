"""How every kernel is compiled, and where its machine code is kept.

Numba caches machine code per source file and does not notice a change of a helper in another file.
So the cache folder is named by a digest of all files that a kernel may call: those of its own
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
from numba.core import config as numba_config
from numba.extending import intrinsic as numba_intrinsic

# Kernels are short and many. Idle threads of an OpenMP runtime spin for the next one by default,
# which costs up to half of all processor time; it reads this when numba loads it, later.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_log = logging.getLogger(__name__)
_settings: Any = numba_config

Function = TypeVar("Function", bound=Callable[..., Any])

# Guards the process: numba's work-queue threading layer aborts it when two threads launch parallel
# kernels at once.
one_at_a_time = threading.RLock()

# Fused multiply-add is welcome; infinities and NaN keep their meaning, so that comparisons can
# reject them.
_FASTMATH = {"contract", "nsz"}


@functools.cache
def _cache_folder(package: Path) -> Path:
    """The folder for machine code of the kernels in `package`, named by their sources."""
    digest = hashlib.blake2b(digest_size=8)
    here = Path(__file__)
    for path in sorted({*package.glob("*.py"), *(here.parent / "cpu").glob("*.py"), here}):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return _cache_root(here.parent) / digest.hexdigest()


def _cache_root(package: Path) -> Path:
    """NUMBA_CACHE_DIR, else a folder beside the package, else one of the user's."""
    if _settings.CACHE_DIR:
        return Path(_settings.CACHE_DIR)
    if os.access(package, os.W_OK):
        return package / "__pycache__" / "kernels"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "exgs" / "kernels"


def _keep_on_disk(dispatcher: Any, source: Path) -> None:
    """Let numba keep the machine code in the folder of the current sources.

    Numba reads its public setting CACHE_DIR when caching is enabled, and only then.
    """
    before = _settings.CACHE_DIR
    _settings.CACHE_DIR = str(_cache_folder(source.parent))
    try:
        dispatcher.enable_caching()
    finally:
        _settings.CACHE_DIR = before


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
            _keep_on_disk(dispatcher, source)
        except RuntimeError:  # no directory to write to: every process compiles for itself
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
    """`numba.extending.intrinsic` for the type checker: callers leave out the typing context."""
    return numba_intrinsic(function)

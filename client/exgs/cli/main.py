"""The command `exgs` and its exit statuses.

0 success, 1 bad input (one line on stderr), 2 wrong usage, 130 interrupted. Importing the commands
takes time and may be interrupted, so nothing is imported before `main`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

_INTERRUPTED = 130  # like a shell: 128 plus the number of SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status."""
    try:
        from exgs.cli.commands import run_command

        return run_command(sys.argv[1:] if argv is None else argv)
    except KeyboardInterrupt:
        print("exgs: interrupted", file=sys.stderr)
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

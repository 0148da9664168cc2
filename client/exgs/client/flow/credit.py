"""How much credit a client gives the server, and when (protocol.md, section 8).

The window is larger than what any link holds, so credit never slows a download; a byte limit is
kept by giving no more than what is left of it.
"""

from __future__ import annotations

from exgs.codec.constants import HEAD_BYTES

_WINDOW_BYTES = 8 << 20  # outstanding at most


class CreditWindow:
    """Credit of one download, over all its connections."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes  # to receive at most, about; None: everything

    def more_bytes(self, outstanding_bytes: int, received_bytes: int, *, is_open: bool) -> int:
        """Credit to give on top of what is outstanding; 0: none now.

        `is_open`: header and root index have come. Without a limit credit is given by half
        windows, so that few frames carry it.
        """
        more_bytes = _WINDOW_BYTES - outstanding_bytes
        if self.limit_bytes is None:
            return more_bytes if more_bytes >= _WINDOW_BYTES // 2 else 0
        head_bytes = 0 if is_open else HEAD_BYTES
        left_bytes = self.limit_bytes - received_bytes - head_bytes
        return max(0, min(more_bytes, left_bytes - outstanding_bytes))

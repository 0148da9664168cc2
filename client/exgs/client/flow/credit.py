"""The credit that a client gives the server, and when (protocol.md, section 8).

The window is larger than the bytes in flight of any link, so credit never slows a download. A byte
limit is kept by giving no more credit than the rest of the limit.
"""

from __future__ import annotations

from exgs.codec.constants import HEAD_BYTES

_WINDOW_BYTES = 8 << 20  # maximum of outstanding credit


class CreditWindow:
    """Credit of one download, over all its connections."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes  # approximate maximum to receive; None: everything

    def more_bytes(self, outstanding_bytes: int, received_bytes: int, *, is_open: bool) -> int:
        """The credit to add to what is outstanding; 0: none now.

        `is_open` means that header and root index have arrived. Without a limit, credit is given in
        half windows, so that few frames are needed.
        """
        more_bytes = _WINDOW_BYTES - outstanding_bytes
        if self.limit_bytes is None:
            return more_bytes if more_bytes >= _WINDOW_BYTES // 2 else 0
        head_bytes = 0 if is_open else HEAD_BYTES
        left_bytes = self.limit_bytes - received_bytes - head_bytes
        return max(0, min(more_bytes, left_bytes - outstanding_bytes))

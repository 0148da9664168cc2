"""Errors of encoding by blocks."""

from __future__ import annotations

from exgs.codec.errors import ExgsError


class WorkerError(ExgsError):
    """Workers can't be started, or die repeatedly."""

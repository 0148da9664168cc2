"""Errors of the laboratory."""

from __future__ import annotations

from exgs.codec.errors import ExgsError


class LabError(ExgsError):
    """An experiment can't be read or run. The message names the place and the remedy."""

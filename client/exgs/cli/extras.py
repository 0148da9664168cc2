"""Errors for missing packages that belong to an extra of exgs."""

from __future__ import annotations

import importlib.util

from exgs.codec.errors import ExgsError

_EXTRAS = {
    "aiohttp": "server,client",
    "matplotlib": "client",
    "prometheus_client": "server",
    "yarl": "client",
}


class ExtraError(ExgsError):
    """A package is not installed."""


def require(package: str) -> None:
    """Raise ExtraError if `package` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise extra_error(package)


def extra_error(package: str) -> ExtraError:
    """The error that explains how to install `package`."""
    extra = _EXTRAS.get(package, "all")
    return ExtraError(
        f"{package} is not installed: pip install 'exgs[{extra}]', or in a source folder"
        f" pip install '.[{extra}]'"
    )

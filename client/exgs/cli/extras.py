"""Packages that come with an extra of exgs: what to say where one is missing."""

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
    """A package that this installation doesn't have."""


def require(package: str) -> None:
    """Raises ExtraError where `package` is not installed."""
    if importlib.util.find_spec(package) is None:
        raise extra_error(package)


def extra_error(package: str) -> ExtraError:
    """The error that tells how to get `package`."""
    extra = _EXTRAS.get(package, "all")
    return ExtraError(
        f"{package} is not installed; install it from the exgs folder: pip install '.[{extra}]'"
    )

"""What is public: the names in `__all__` of these packages, each with a docstring and a home."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

PUBLIC = {
    "exgs.scene": 21,
    "exgs.codec": 29,
    "exgs.painter": 8,
    "exgs.client": 12,
    "exgs.server": 8,
}


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_name_can_be_had(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__, key=_ruff_order)
    assert len(module.__all__) == PUBLIC[package]
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{package}.{name} has no docstring"
            assert value.__module__.startswith("exgs."), f"{package}.{name} is not ours"


def _ruff_order(name: str) -> tuple[int, str]:
    """Constants, classes, then functions, as ruff's RUF022 sorts them."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


@pytest.mark.parametrize("package", PUBLIC)
def test_a_wrong_name_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no attribute"):
        _ = importlib.import_module(package).nothing_of_this_name


@pytest.mark.parametrize("package", PUBLIC)
def test_every_public_package_says_how_to_begin(package: str) -> None:
    module = importlib.import_module(package)
    assert ">>> from " in (module.__doc__ or "")
    for name in module.__all__:
        assert name in dir(module) or hasattr(module, name)


def test_importing_the_packages_loads_no_kernels() -> None:
    program = f"""
import importlib, sys
for name in {list(PUBLIC)!r}:
    importlib.import_module(name)
sys.exit(bool({{"numba", "torch", "aiohttp"}} & set(sys.modules)))
"""
    assert not subprocess.run([sys.executable, "-c", program], check=False).returncode

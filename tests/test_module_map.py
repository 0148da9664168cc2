"""docs/modules.md lists every module as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parents[1] / "docs" / "module_map.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("module_map", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_module_map_is_true() -> None:
    maker = script()
    assert maker.MAP.read_text("utf-8") == maker.module_map(), "run: python docs/module_map.py"


def test_every_module_says_what_it_is() -> None:
    assert "| |" not in script().module_map().replace("|  |", "| |")

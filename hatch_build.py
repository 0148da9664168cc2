"""Build hook: the wheel carries the page that `exgs serve` shows, built from client/web.

An editable install builds the page in the source tree, and goes without it where that fails: all
of exgs but the page works then. A wheel without the page is refused.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface):  # type: ignore[type-arg]
    """Builds the page in front of the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node from PyPI, where the machine has none and the page is not built yet."""
        builder = self._builder()
        is_needed = not builder.is_fresh() and builder.find_node() is None
        return [builder.NODE_PACKAGE] if is_needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, and add it to what the wheel holds."""
        builder = self._builder()
        try:
            builder.build()
        except builder.BuildError as error:
            if version != "editable":
                raise
            self.app.display_warning(
                f"{error}\nexgs is installed without the page; `make page` builds it"
            )
        build_data["artifacts"].append("/server/exgs/server/page/")

    def _builder(self) -> ModuleType:
        path = Path(self.root) / "client" / "web" / "build_page.py"
        spec = importlib.util.spec_from_file_location("build_page", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

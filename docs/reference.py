"""Builds the API reference from the docstrings: python docs/reference.py OUT."""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path

import pdoc

PACKAGES = ("exgs.scene", "exgs.codec", "exgs.client", "exgs.server", "exgs.painter")


def build(out: Path) -> None:
    """Write the reference of all public packages as HTML into the folder `out`."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            getattr(module, name)  # lazy names are there only once they have been used
    pdoc.render.configure(docformat="markdown", footer_text="exgs")
    pdoc.pdoc(*PACKAGES, output_directory=out)


if __name__ == "__main__":
    warnings.simplefilter("error")
    build(Path(sys.argv[1]))

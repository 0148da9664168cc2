"""Rows of results, read back from the CSV that a bench has written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

Row = TypeVar("Row")

_READ: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}


def read_row(kind: type[Row], cells: Mapping[str, str]) -> Row:
    """Convert the cells with the names of its fields to `kind`, a dataclass of plain fields."""
    return kind(**{f.name: _READ[str(f.type)](cells[f.name]) for f in fields(kind)})

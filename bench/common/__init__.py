"""Shared by several benchmarks: scenes and their views, photographs, encoded files, CSV rows."""

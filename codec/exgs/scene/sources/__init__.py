"""Scenes that are read by ranges of rows, so that memory never holds all of them."""

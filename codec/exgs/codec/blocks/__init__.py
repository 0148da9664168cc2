"""Encoding block by block, for scenes that don't fit in memory, on one machine or many."""

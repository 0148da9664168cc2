"""Benchmarks of the client: updates, views of large scenes, popping."""

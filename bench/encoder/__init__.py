"""Benchmarks of the encoder: time by stage, bits by attribute, home views."""

"""Benchmarks of the painter on held-out scenes: `python -m bench.painter`."""

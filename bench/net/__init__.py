"""Benchmarks of the network: slow and hostile readers, kills, faults, view changes."""

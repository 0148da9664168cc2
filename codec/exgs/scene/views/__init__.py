"""Generates cameras for scenes without any: surveys of free space, orbits and walks."""

"""Cameras for scenes that come without any: surveys of free space, orbits and walks."""

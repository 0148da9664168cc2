"""The client: byte streams, the growing scene, the gap mask."""

"""Encoding: layers, tiles, quantization, chunks, and the order of the file."""

"""Chunk payloads: quantized columns to Gaussians and back. A second decoder mirrors this."""

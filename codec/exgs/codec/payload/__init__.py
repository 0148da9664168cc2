"""Chunk payloads: converts quantized columns to Gaussians and back. Other decoders mirror this."""

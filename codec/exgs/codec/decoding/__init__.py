"""Decoding: converts chunks in any order to the Gaussians to draw."""

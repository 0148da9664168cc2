"""Scenes: Gaussians, readers and writers, cameras, rasterizers, image metrics."""

"""Times of the rasterizers."""

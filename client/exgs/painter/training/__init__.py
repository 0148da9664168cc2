"""Training GaussPainter: scenes, pairs of pictures, losses, and the loop, driven by a recipe."""

"""Viewers: recorded and generated camera paths, and predictors of the next view."""

"""Measurements by rendering: importance, picture error, rate-quality table, home view."""

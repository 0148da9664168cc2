"""Benches of the encoder: where its time goes, and what its files show."""

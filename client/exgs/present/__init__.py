"""The output of `exgs stream`: pictures, fades, contact sheets and quality tables."""

"""Rate-distortion of exgs and of other formats."""

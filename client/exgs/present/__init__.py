"""What `exgs stream` shows: frames, fades, contact sheets and quality tables of a stream."""

"""Readers and writers of scene formats, compared with @playcanvas/splat-transform."""

"""Proxies: which Gaussians are merged, into what, and how the result is refined."""

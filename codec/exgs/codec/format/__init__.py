"""The file format: header, frames, index, chunk table rules. Values and checks, no Gaussians."""

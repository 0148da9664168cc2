"""Experiments of the laboratory, as `exgs lab run` takes them; docs/laboratory.md explains them."""

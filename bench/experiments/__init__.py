"""Experiments for `exgs lab run`; see docs/laboratory.md."""

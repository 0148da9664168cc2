"""Policies, which choose the item to send next."""

"""Scenes as sets of items to send: our files, and peers' files as their authors ship them."""

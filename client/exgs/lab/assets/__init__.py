"""Scenes as sets of items to send: .exgs files, and published files of other formats."""

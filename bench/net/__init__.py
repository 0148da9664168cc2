"""What the network withstands: slow and hostile readers, kills, faults, view changes."""

"""Training of the painter's networks: recipes, training scenes and pairs, losses, loops."""

"""How people look at a scene: recorded and made-up paths, and predictors of the next view."""

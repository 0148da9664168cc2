"""Tables, figures and comparisons of experiments."""

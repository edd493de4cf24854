"""Recipes: how the embedded model is made. Run by hand, imported by nobody; they need the extra `torch`."""

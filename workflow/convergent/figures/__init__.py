"""Stored results to figures: families of figures, each a module with a command for each of its figures."""

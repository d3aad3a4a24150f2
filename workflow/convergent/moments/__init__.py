"""Means and co-moments of all units, from one pass over the images."""

"""Stored results to an atlas of all units that a browser opens from its folder: scripts and sheets of pictures."""

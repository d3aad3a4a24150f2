"""Stored results to figures."""

"""Sparse mappings from one net's units to another's, one to few (paper, section 3.2)."""

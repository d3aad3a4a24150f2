"""Groups of units of both nets, many to many (paper, section 3.3)."""

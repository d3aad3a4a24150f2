"""Which units of two nets are alike, one to one (paper, section 3.1)."""

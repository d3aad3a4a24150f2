"""What training made alike, and how sure that is: similarity with its controls, from block moments."""

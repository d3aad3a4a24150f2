"""What excites a unit most, as pictures."""

"""Pictures of what excites each unit most."""

"""This project beside what else a user would take: ``make peers``."""

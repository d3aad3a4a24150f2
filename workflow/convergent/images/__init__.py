"""Image files to stores of pixels."""

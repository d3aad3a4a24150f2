"""Nets: their architectures, training, weights and activations."""

"""Separation by where sources are: differences between channels."""

"""Determined separation in the frequency domain: a matrix for every bin, and what ties bins together."""

"""Determined separation in the frequency domain: a demixing matrix for every bin, and what ties bins together."""

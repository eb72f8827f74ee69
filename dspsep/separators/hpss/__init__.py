"""Harmonic-percussive separation: what is steady in time, and what is broad in frequency."""

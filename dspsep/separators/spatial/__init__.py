"""Separation by where sources are: panning, delays and spatial models."""

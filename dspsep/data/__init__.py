"""Synthetic scenes, audio files and collections."""

"""Separation by repetition: the background is what comes again."""

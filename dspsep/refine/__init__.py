"""Refiners: later steps of a pipeline, from sources to sources of the same mixture."""

"""Separators whose background lives in few dimensions: low rank, and few peaks of a 2-D transform."""

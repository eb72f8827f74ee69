"""The separators, one algorithm a file, grouped by family. Families do not import one another."""

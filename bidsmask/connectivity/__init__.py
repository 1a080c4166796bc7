"""Measures between columns: which regions go up and down together."""

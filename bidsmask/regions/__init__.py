"""Regions: the connected parts of labels, and the parts that maps fall into."""

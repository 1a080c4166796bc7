"""Cleaning in time: confounds, censoring, and every linear step as one matrix."""

"""Masks of the brain: strategies that compute one, and masks that are given."""

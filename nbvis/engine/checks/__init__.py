"""Checks: whether a map, and the preprocessing, can be believed."""

"""Dropout: its masks, and what a network saw through them, inverted."""

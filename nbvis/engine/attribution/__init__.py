"""Attributions: signed maps of what drove a target."""

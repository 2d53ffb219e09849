"""The widgets: one class a file, documented traits and wiring."""

from .dream_canvas import DreamCanvas

__all__ = ["DreamCanvas"]

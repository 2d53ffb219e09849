"""The widgets: one class a file, documented traits and wiring."""

from .dream_canvas import DreamCanvas
from .dropout_inverter import DropoutInverter
from .saliency_view import SaliencyView

__all__ = ["DreamCanvas", "DropoutInverter", "SaliencyView"]

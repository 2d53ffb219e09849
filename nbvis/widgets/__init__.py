"""The widgets: one class a file, documented traits and wiring."""

from .activation_stats import ActivationStats
from .dream_canvas import DreamCanvas
from .dropout_inverter import DropoutInverter
from .layer_explorer import LayerExplorer
from .linking import link
from .saliency_view import SaliencyView

__all__ = ["ActivationStats", "DreamCanvas", "DropoutInverter", "LayerExplorer", "SaliencyView", "link"]

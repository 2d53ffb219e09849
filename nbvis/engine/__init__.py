"""The engine: networks, layers, objectives, image parameters and the methods that run on them; torch only."""

from .ascent import OPTIMIZERS, ascend
from .capture import Layer, activations, capture, layers
from .climb import check_objective
from .dream import dream, octave_sizes
from .images import Fourier, ImageParameter, Pixels
from .network import Network
from .objectives import Objective, activity, channel, custom, logit, unit
from .steps import Step, Steps, last
from .transforms import STANDARD, Transform, jitter, rotate, zoom

__all__ = [
    "OPTIMIZERS",
    "STANDARD",
    "Fourier",
    "ImageParameter",
    "Layer",
    "Network",
    "Objective",
    "Pixels",
    "Step",
    "Steps",
    "Transform",
    "activations",
    "activity",
    "ascend",
    "capture",
    "channel",
    "check_objective",
    "custom",
    "dream",
    "jitter",
    "last",
    "layers",
    "logit",
    "octave_sizes",
    "rotate",
    "unit",
    "zoom",
]

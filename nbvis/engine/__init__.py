"""The engine: networks, layers, objectives, image parameters and the methods that run on them; torch only."""

from .ascent import OPTIMIZERS, ascend
from .attribution import METHODS, Attribution, attribute
from .capture import Layer, activations, capture, layers
from .climb import check_objective
from .dream import dream, octave_sizes
from .faithfulness import Faithfulness, blanked, faithfulness
from .images import Fourier, ImageParameter, Pixels
from .network import Network
from .objectives import Objective, activity, channel, custom, energy, logit, unit
from .sanity import RandomizationCheck, Stage, randomization_check
from .steps import Step, Steps, last
from .transforms import STANDARD, Transform, affine, jitter, rotate, zoom

__all__ = [
    "METHODS",
    "OPTIMIZERS",
    "STANDARD",
    "Attribution",
    "Faithfulness",
    "Fourier",
    "ImageParameter",
    "Layer",
    "Network",
    "Objective",
    "Pixels",
    "RandomizationCheck",
    "Stage",
    "Step",
    "Steps",
    "Transform",
    "activations",
    "activity",
    "affine",
    "ascend",
    "attribute",
    "blanked",
    "capture",
    "channel",
    "check_objective",
    "custom",
    "dream",
    "energy",
    "faithfulness",
    "jitter",
    "last",
    "layers",
    "logit",
    "octave_sizes",
    "randomization_check",
    "rotate",
    "unit",
    "zoom",
]

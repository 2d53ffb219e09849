"""The engine: networks, layers, objectives, image parameters and the methods that run on them; torch only."""

from .ascent import OPTIMIZERS, ascend
from .attribution import METHODS, Attribution, attribute
from .augment import Presentation, augment, read_table
from .capture import Layer, activations, capture, layers
from .climb import check_objective
from .dream import dream, octave_sizes
from .faithfulness import Faithfulness, blanked, faithfulness
from .images import Fourier, ImageParameter, Pixels, as_images
from .inversion import DESCENTS, InversionStep, InversionSteps, invert_dropout
from .network import Network
from .noisy import dropped_layers
from .objectives import Objective, activity, channel, custom, energy, logit, unit
from .preprocessing import PreprocessingCheck, Reading, preprocessing_check
from .sanity import RandomizationCheck, Stage, randomization_check
from .steps import Step, Steps, last
from .transforms import STANDARD, Transform, affine, jitter, rotate, zoom
from .trial import differentiable, smallest_size

__all__ = [
    "DESCENTS",
    "METHODS",
    "OPTIMIZERS",
    "STANDARD",
    "Attribution",
    "Faithfulness",
    "Fourier",
    "ImageParameter",
    "InversionStep",
    "InversionSteps",
    "Layer",
    "Network",
    "Objective",
    "Pixels",
    "PreprocessingCheck",
    "Presentation",
    "RandomizationCheck",
    "Reading",
    "Stage",
    "Step",
    "Steps",
    "Transform",
    "activations",
    "activity",
    "affine",
    "as_images",
    "ascend",
    "attribute",
    "augment",
    "blanked",
    "capture",
    "channel",
    "check_objective",
    "custom",
    "differentiable",
    "dream",
    "dropped_layers",
    "energy",
    "faithfulness",
    "invert_dropout",
    "jitter",
    "last",
    "layers",
    "logit",
    "octave_sizes",
    "preprocessing_check",
    "randomization_check",
    "read_table",
    "rotate",
    "smallest_size",
    "unit",
    "zoom",
]

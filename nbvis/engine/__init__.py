"""The engine: networks, layers, objectives, image parameters and the methods that run on them; torch only."""

from .ascent.ascend import OPTIMIZERS, ascend
from .ascent.dream import dream, octave_sizes
from .ascent.gradient import check_objective
from .ascent.image_parameters import Fourier, ImageParameter, Pixels
from .ascent.objectives import Objective, activity, channel, custom, energy, logit, unit
from .ascent.transforms import STANDARD, Transform, affine, jitter, rotate, zoom
from .attribution.attribute import METHODS, Attribution, attribute
from .checks.insertion_deletion import Faithfulness, blanked, faithfulness
from .checks.preprocessing import PreprocessingCheck, Reading, preprocessing_check
from .checks.randomization import RandomizationCheck, Stage, randomization_check
from .dropout.data_set import Presentation, augment, read_table
from .dropout.inversion import DESCENTS, InversionStep, InversionSteps, invert_dropout
from .dropout.noisy_passes import dropped_layers
from .network.images import as_images
from .network.layers import Layer, activations, capture, layers
from .network.network import Network
from .network.trial_passes import differentiable, smallest_size
from .steps import Step, Steps, last

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

"""The engine: networks, layers, objectives, image parameters and the methods that run on them; torch only."""

from .arguments import near
from .ascent.ascend import OPTIMIZERS, ascend
from .ascent.dream import DreamStep, dream, octave_sizes
from .ascent.gradient import check_objective
from .ascent.image_parameters import Fourier, ImageParameter, Pixels
from .ascent.objective_source import Names
from .ascent.objectives import Objective, activity, channel, custom, energy, logit, unit
from .ascent.transforms import STANDARD, Transform, affine, jitter, rotate, zoom
from .attribution.attribute import Attribution, attribute, score
from .attribution.grid import last_with_space
from .attribution.method import Method, Option, Place
from .attribution.methods import METHODS
from .attribution.own import own_method
from .attribution.targets import Target, is_distribution
from .checks.insertion_deletion import Faithfulness, blanked, faithfulness
from .checks.preprocessing import PreprocessingCheck, Reading, preprocessing_check
from .checks.randomization import RandomizationCheck, Stage, randomization_check
from .dropout.data_set import Presentation, augment, read_table
from .dropout.inversion import DESCENTS, InversionStep, InversionSteps, invert_dropout
from .dropout.masks import row_numbers
from .dropout.noisy_passes import Noisy, dropped_layers
from .network.activations import planes
from .network.images import Images, as_images, checked_images
from .network.imprint import fingerprint, values_of
from .network.layers import OUTPUT, Layer, activations, address, capture, layers, not_one_tensor
from .network.network import Network, as_network, named
from .network.trial_passes import differentiable, smallest_size
from .steps import PictureStep, Step, Steps, last

__all__ = [
    "DESCENTS",
    "METHODS",
    "OPTIMIZERS",
    "OUTPUT",
    "STANDARD",
    "Attribution",
    "DreamStep",
    "Faithfulness",
    "Fourier",
    "ImageParameter",
    "Images",
    "InversionStep",
    "InversionSteps",
    "Layer",
    "Method",
    "Names",
    "Network",
    "Noisy",
    "Objective",
    "Option",
    "PictureStep",
    "Pixels",
    "Place",
    "PreprocessingCheck",
    "Presentation",
    "RandomizationCheck",
    "Reading",
    "Stage",
    "Step",
    "Steps",
    "Target",
    "Transform",
    "activations",
    "activity",
    "address",
    "affine",
    "as_images",
    "as_network",
    "ascend",
    "attribute",
    "augment",
    "blanked",
    "capture",
    "channel",
    "check_objective",
    "checked_images",
    "custom",
    "differentiable",
    "dream",
    "dropped_layers",
    "energy",
    "faithfulness",
    "fingerprint",
    "invert_dropout",
    "is_distribution",
    "jitter",
    "last",
    "last_with_space",
    "layers",
    "logit",
    "named",
    "near",
    "not_one_tensor",
    "octave_sizes",
    "own_method",
    "planes",
    "preprocessing_check",
    "randomization_check",
    "read_table",
    "rotate",
    "row_numbers",
    "score",
    "smallest_size",
    "unit",
    "values_of",
    "zoom",
]

"""The engine: networks, layers, objectives, image parameters and the methods that run on them; torch only."""

from .arguments import near
from .ascent.activation_objectives import direction, match
from .ascent.ascend import AscentStep, ascend
from .ascent.completions import Completions, complete
from .ascent.composites import Alpha, Masked
from .ascent.diversity import diversity
from .ascent.dream import DreamStep, dream, dreamable, octave_sizes
from .ascent.formula import formula
from .ascent.formula_text import as_formula
from .ascent.formula_tokens import FormulaError
from .ascent.gradient import check_objective
from .ascent.grey import grey_among, grey_scores, is_grey
from .ascent.image_parameters import Fourier, ImageParameter, Pixels
from .ascent.keep_dreaming import keep_dreaming
from .ascent.learning_rates import LearningRate, progress, progress01
from .ascent.maco import Maco, magnitude_spectrum
from .ascent.objective import Objective, Objectives
from .ascent.objective_source import Names
from .ascent.objectives import activity, channel, custom, energy, logit, unit
from .ascent.optimizers import OPTIMIZERS
from .ascent.other_networks import on
from .ascent.picture_masks import checked_mask, resized
from .ascent.picture_objectives import caricature, guide
from .ascent.presets import PRESETS, stretched
from .ascent.regularisers import (
    Regulariser,
    blur,
    decay,
    small_benefit,
    small_contribution,
    small_norm,
    small_values,
    total_variation,
)
from .ascent.size_transforms import crop, pad, random_crop, resize
from .ascent.stored import restored, stored
from .ascent.transforms import STANDARD, Transform, affine, choice, cutout, jitter, rotate, translate, zoom
from .attribution.attribute import Attribution, attribute, score
from .attribution.grid import last_with_space
from .attribution.method import Method, Option, Place
from .attribution.methods import METHODS
from .attribution.own import own_method
from .attribution.targets import Target, is_distribution
from .checks.insertion_deletion import Faithfulness, blanked, faithfulness
from .checks.preprocessing import PreprocessingCheck, Reading, preprocessing_check
from .checks.randomization import RandomizationCheck, Stage, randomization_check
from .dropout.data_set import augment
from .dropout.descent import DESCENTS
from .dropout.inversion import InversionStep, InversionSteps, invert_dropout
from .dropout.masks import row_numbers
from .dropout.noisy_passes import Noisy, dropped_layers
from .dropout.presentation_folder import Presentation, read_table
from .network.activations import activations, capture
from .network.images import Images, as_images, checked_images
from .network.imprint import digest, fingerprint, values_of
from .network.layer_names import OUTPUT, address, each_call, named
from .network.layers import Layer, layers
from .network.layout import planes
from .network.network import Network, as_network
from .network.pair import Pair, halves, side_by_side
from .network.pass_errors import not_one_tensor, without_gradient
from .network.patches import patch
from .network.trial_passes import differentiable, smallest_size
from .statistics.batches import Batch
from .statistics.collect import CollectStep, collect, collecting, memory_needed
from .statistics.diagnose import Diagnosis, diagnose
from .statistics.image_files import ImageFiles, ImageItems
from .statistics.layer_statistics import LayerStatistics
from .statistics.rules import THRESHOLDS, Finding
from .statistics.statistics import Statistics
from .statistics.watch import Look, Watch, watch
from .steps import PictureStep, Step, Steps, last

__all__ = [
    "DESCENTS",
    "METHODS",
    "OPTIMIZERS",
    "OUTPUT",
    "PRESETS",
    "STANDARD",
    "THRESHOLDS",
    "Alpha",
    "AscentStep",
    "Attribution",
    "Batch",
    "CollectStep",
    "Completions",
    "Diagnosis",
    "DreamStep",
    "Faithfulness",
    "Finding",
    "FormulaError",
    "Fourier",
    "ImageFiles",
    "ImageItems",
    "ImageParameter",
    "Images",
    "InversionStep",
    "InversionSteps",
    "Layer",
    "LayerStatistics",
    "LearningRate",
    "Look",
    "Maco",
    "Masked",
    "Method",
    "Names",
    "Network",
    "Noisy",
    "Objective",
    "Objectives",
    "Option",
    "Pair",
    "PictureStep",
    "Pixels",
    "Place",
    "PreprocessingCheck",
    "Presentation",
    "RandomizationCheck",
    "Reading",
    "Regulariser",
    "Stage",
    "Statistics",
    "Step",
    "Steps",
    "Target",
    "Transform",
    "Watch",
    "activations",
    "activity",
    "address",
    "affine",
    "as_formula",
    "as_images",
    "as_network",
    "ascend",
    "attribute",
    "augment",
    "blanked",
    "blur",
    "capture",
    "caricature",
    "channel",
    "check_objective",
    "checked_images",
    "checked_mask",
    "choice",
    "collect",
    "collecting",
    "complete",
    "crop",
    "custom",
    "cutout",
    "decay",
    "diagnose",
    "differentiable",
    "digest",
    "direction",
    "diversity",
    "dream",
    "dreamable",
    "dropped_layers",
    "each_call",
    "energy",
    "faithfulness",
    "fingerprint",
    "formula",
    "grey_among",
    "grey_scores",
    "guide",
    "halves",
    "invert_dropout",
    "is_distribution",
    "is_grey",
    "jitter",
    "keep_dreaming",
    "last",
    "last_with_space",
    "layers",
    "logit",
    "magnitude_spectrum",
    "match",
    "memory_needed",
    "named",
    "near",
    "not_one_tensor",
    "octave_sizes",
    "on",
    "own_method",
    "pad",
    "patch",
    "planes",
    "preprocessing_check",
    "progress",
    "progress01",
    "random_crop",
    "randomization_check",
    "read_table",
    "resize",
    "resized",
    "restored",
    "rotate",
    "row_numbers",
    "score",
    "side_by_side",
    "small_benefit",
    "small_contribution",
    "small_norm",
    "small_values",
    "smallest_size",
    "stored",
    "stretched",
    "total_variation",
    "translate",
    "unit",
    "values_of",
    "watch",
    "without_gradient",
    "zoom",
]

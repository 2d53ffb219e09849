"""What is known of each kind of node in a graph, by the name of its backward function: how a gradient passes it."""

SHAPES = frozenset(
    "View UnsafeView ReshapeAlias AsStrided Permute Transpose T Expand Squeeze Unsqueeze Slice Select Split "
    "SplitWithSizes Unbind Narrow Clone Copy CopyBackwards Contiguous ToCopy Alias Flip Roll Repeat Unfold Diagonal "
    "PixelShuffle PixelUnshuffle ChannelShuffle NativeChannelShuffle Movedim Rot90 ViewAsReal ViewAsComplex".split()
)
"""Nodes, by the name of their backward function, that only put values elsewhere."""

LINEAR = SHAPES | frozenset(
    "Add Sub Rsub Neg Sum Mean Cumsum Cat Stack ConstantPadNd ReflectionPad1D ReflectionPad2D ReflectionPad3D "
    "ReplicationPad1D ReplicationPad2D ReplicationPad3D AvgPool2D AvgPool3D AdaptiveAvgPool2D AdaptiveAvgPool3D "
    "MkldnnAdaptiveAvgPool2D UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D UpsampleNearestExact1D "
    "UpsampleNearestExact2D UpsampleNearestExact3D UpsampleLinear1D UpsampleBilinear2D UpsampleTrilinear3D "
    "UpsampleBicubic2D UpsampleBilinear2DAa UpsampleBicubic2DAa UpsampleLanczos2DAa Index IndexSelect Gather Take "
    "IndexPut IndexAdd IndexCopy IndexFill Scatter ScatterAdd MaskedFill MaskedScatter MaskedSelect "
    "SelectScatter SliceScatter DiagonalScatter Put Tril Triu Trace Im2Col Col2Im MaxUnpool2D MaxUnpool3D FftR2C "
    "FftC2R FftC2C Real Imag Complex NativeDropout FusedDropout NanToNum Zero Fill".split()
)
"""Linear, or affine, in all that comes in; masks and indices are followed elsewhere."""

PRODUCTS: dict[str, tuple[int, ...]] = dict.fromkeys(
    "Mul Div Convolution ConvolutionOverrideable CudnnConvolution MkldnnConvolution ConvDepthwise2D SlowConv2D Linear "
    "MkldnnLinear Mm Bmm Mv Dot GridSampler2D GridSampler3D CudnnGridSampler".split(),
    (0, 1),
)
PRODUCTS |= dict.fromkeys("Addmm Addmv Addr Baddbmm Addbmm Addcmul Addcdiv".split(), (1, 2))
PRODUCTS |= dict.fromkeys("Lerp Trilinear".split(), (0, 1, 2))
"""Linear in each of these inputs, as long as the other one does not depend on the picture."""

DIVIDING = ("Div", "Addcdiv")
SAMPLING = ("GridSampler2D", "GridSampler3D", "CudnnGridSampler")
NOT_IN_LAST = dict.fromkeys(DIVIDING, "a division by what depends on the picture")
NOT_IN_LAST |= dict.fromkeys(SAMPLING, "grid_sample at places that depend on the picture")
"""Of those, the ones that are not linear in the last, and what they are then."""

SWITCHES = frozenset(
    "MaxPool2DWithIndices MaxPool3DWithIndices MkldnnMaxPool2D MkldnnMaxPool3D AdaptiveMaxPool2D AdaptiveMaxPool3D "
    "FractionalMaxPool2D FractionalMaxPool3D".split()
)
CHOICES = frozenset("Max Min Amax Amin Topk Sort Kthvalue Median".split())
"""Both pass on some of the values: the gradient goes where these came from, as in the papers."""

NORMALISATIONS = frozenset(
    "NativeBatchNorm CudnnBatchNorm MiopenBatchNorm NativeGroupNorm NativeLayerNorm FusedRmsNorm".split()
)
"""Passed by the ordinary gradient, as the papers' networks passed their local response normalisation."""

GATES = frozenset("Sigmoid Hardsigmoid Tanh Softmax LogSoftmax".split())
"""Passed by the ordinary gradient as gates (squeeze and excitation) or as a network's last step, else refused."""

BETWEEN_GATE_AND_PRODUCT = frozenset("Add Sub Rsub Mul Div Neg UpsampleNearest2D UpsampleBilinear2D".split())

STATISTICS = frozenset("Std StdMean Var VarMean Norm LinalgVectorNorm".split())
"""Passed in the same way as divisors, alone or with these in between: a normalisation written out."""
OF_STATISTICS = frozenset("Sqrt Rsqrt Reciprocal Pow Clamp ClampMin".split())

POWERS = ("Pow", "Sqrt")
MEANS = frozenset("Mean Sum AvgPool2D AvgPool3D AdaptiveAvgPool2D AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D".split())
"""Powers are known before and after a mean, where they make a pool that lies between the average and the maximum."""

LARGER = {"Maximum": "maximum", "Minimum": "minimum", "Fmax": "fmax", "Fmin": "fmin"}

POINTWISE = SHAPES | NORMALISATIONS | frozenset("Mul Add Sub Rsub Div Neg Pow Square".split())
BENDING = frozenset(
    "Sigmoid Hardsigmoid Tanh Erf Softplus Exp Abs Clamp ClampMin ClampMax Sign _Rectifier Maximum Minimum".split()
)
"""Functions of each value alone, arithmetic and others."""

TITLES = {
    "Silu": "SiLU",
    "Gelu": "GELU",
    "Elu": "ELU or SELU",
    "Celu": "CELU",
    "PreluKernel": "PReLU",
    "RreluWithNoise": "RReLU",
    "LeakyRelu": "LeakyReLU with a negative slope",
    "Glu": "GLU",
    "Relu": "a ReLU in compiled code",
    "CompiledFunction": "compiled code",
    "DifferentiableGraph": "TorchScript",
    "ClampMin": "clamp with bounds other than 0",
    "ClampMax": "clamp with bounds other than 0",
}
ASSIGNING = frozenset("setitem copy add iadd sub isub mul imul div itruediv true_divide neg zero fill".split())

MULTIPLYING = frozenset("mul imul div itruediv true_divide".split())

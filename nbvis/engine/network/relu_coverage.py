"""What a ReLU rule did not reach: read from the graph that a forward pass leaves behind, by a list of what is known."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Any

from torch import Tensor

from .relu_path import Followed

_SHAPES = frozenset(
    "View UnsafeView ReshapeAlias AsStrided Permute Transpose T Expand Squeeze Unsqueeze Slice Select Split "
    "SplitWithSizes Unbind Narrow Clone Copy CopyBackwards Contiguous ToCopy Alias Flip Roll Repeat Unfold Diagonal "
    "PixelShuffle PixelUnshuffle ChannelShuffle NativeChannelShuffle Movedim Rot90 ViewAsReal ViewAsComplex".split()
)
"""Nodes, by the name of their backward function, that only put values elsewhere."""

_LINEAR = _SHAPES | frozenset(
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

_PRODUCTS = {
    "Mul": (0, 1),
    "Div": (0, 1),
    "Convolution": (0, 1),
    "ConvolutionOverrideable": (0, 1),
    "CudnnConvolution": (0, 1),
    "MkldnnConvolution": (0, 1),
    "ConvDepthwise2D": (0, 1),
    "SlowConv2D": (0, 1),
    "Linear": (0, 1),
    "MkldnnLinear": (0, 1),
    "Mm": (0, 1),
    "Bmm": (0, 1),
    "Mv": (0, 1),
    "Dot": (0, 1),
    "Addmm": (1, 2),
    "Addmv": (1, 2),
    "Addr": (1, 2),
    "Baddbmm": (1, 2),
    "Addbmm": (1, 2),
    "Addcmul": (1, 2),
    "Addcdiv": (1, 2),
    "Lerp": (0, 1, 2),
    "Trilinear": (0, 1, 2),
    "GridSampler2D": (0, 1),
    "GridSampler3D": (0, 1),
    "CudnnGridSampler": (0, 1),
}
"""Linear in each of these inputs, as long as the other one does not depend on the picture."""

_DIVIDING = ("Div", "Addcdiv")
_DIVISION = "a division by what depends on the picture"
_SAMPLING = "grid_sample at places that depend on the picture"
_NOT_IN_LAST: dict[str, str] = {
    "Div": _DIVISION,
    "Addcdiv": _DIVISION,
    "GridSampler2D": _SAMPLING,
    "GridSampler3D": _SAMPLING,
    "CudnnGridSampler": _SAMPLING,
}
"""Of those, the ones that are not linear in the last, and what they are then."""

_SWITCHES = frozenset(
    "MaxPool2DWithIndices MaxPool3DWithIndices MkldnnMaxPool2D MkldnnMaxPool3D AdaptiveMaxPool2D AdaptiveMaxPool3D "
    "FractionalMaxPool2D FractionalMaxPool3D".split()
)
_CHOICES = frozenset("Max Min Amax Amin Topk Sort Kthvalue Median".split())
"""Both pass on some of the values: the gradient goes where these came from, as in the papers."""

_NORMALISATIONS = frozenset(
    "NativeBatchNorm CudnnBatchNorm MiopenBatchNorm NativeGroupNorm NativeLayerNorm FusedRmsNorm".split()
)
"""Passed by the ordinary gradient, as the papers' networks passed their local response normalisation."""

_GATES = {
    "Sigmoid": "Sigmoid",
    "Hardsigmoid": "Hardsigmoid",
    "Tanh": "Tanh",
    "Softmax": "Softmax",
    "LogSoftmax": "LogSoftmax",
}
"""Passed by the ordinary gradient as gates (squeeze and excitation) or as a network's last step, else refused."""

_BETWEEN_GATE_AND_PRODUCT = frozenset("Add Sub Rsub Mul Div Neg UpsampleNearest2D UpsampleBilinear2D".split())

_STATISTICS = frozenset("Std StdMean Var VarMean Norm LinalgVectorNorm".split())
"""Passed in the same way as divisors, alone or with these in between: a normalisation written out."""
_OF_STATISTICS = frozenset("Sqrt Rsqrt Reciprocal Pow Clamp ClampMin".split())

_POWERS = ("Pow", "Sqrt")
_MEANS = frozenset("Mean Sum AvgPool2D AvgPool3D AdaptiveAvgPool2D AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D".split())
"""Powers are known before and after a mean, where they make a pool that lies between the average and the maximum."""

_LARGER = {"Maximum": "maximum", "Minimum": "minimum", "Fmax": "fmax", "Fmin": "fmin"}

_POINTWISE = _SHAPES | _NORMALISATIONS | frozenset("Mul Add Sub Rsub Div Neg Pow Square".split())
_BENDING = frozenset(
    "Sigmoid Hardsigmoid Tanh Erf Softplus Exp Abs Clamp ClampMin ClampMax Sign _Rectifier Maximum Minimum".split()
)
"""Functions of each value alone, arithmetic and others."""

_TITLES = {
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
_ASSIGNING = frozenset("setitem copy add iadd sub isub mul imul div itruediv true_divide neg zero fill".split())

_MULTIPLYING = frozenset("mul imul div itruediv true_divide".split())

_LEAF, _RULED, _WHOLE = "AccumulateGrad", "_Rectifier", "a function known by its own name"
_PLAINLY_KNOWN = _LINEAR | _SWITCHES | {_LEAF, _RULED, _WHOLE}

_OF_TWO = "a product of two factors that both depend on the picture"
_UNSEEN = "TorchScript or other code that cannot be followed"


def unruled(layers: Iterable[Tensor], place: Tensor, way: Followed) -> tuple[list[str], bool]:
    """What lies on the way and is neither known nor has a ReLU rule, and whether anything on the way has one.

    Args:
        layers: what the score is made of.
        place: the leaf of the graph whose gradient is asked for.
        way: what was noted in the forward pass.

    Returns:
        Names such as "SiLU" or "SiLU (3 times)", and whether there is a rectifier.
    """
    graph = _Graph([each.grad_fn for each in layers if each.grad_fn is not None], place, way)
    found = Counter(reason for node, name in graph.names.items() if (reason := graph.reason(node, name)))
    return [name if times == 1 else f"{name} ({times} times)" for name, times in found.items()], graph.ruled()


class _Graph:
    """The nodes between the layers and the place, as far as they depend on it.

    What only some networks have, such as products of two maps, is looked into when one is met: the walk itself is a
    part of each call's time.

    Attributes:
        names: of those nodes, by their backward function.
    """

    def __init__(self, roots: list[Any], place: Tensor, way: Followed):
        self._roots, self._way = roots, way
        self._inputs = _behind(roots, way)
        self.names: dict[Any, str] = {node: _name(node.name()) for node in self._inputs}
        self.names |= {node: _WHOLE for node in way.whole if node in self.names}
        others = [node for node, name in self.names.items() if name == _LEAF and node.variable is not place]
        if others:
            self._leave_out(others)

    def ruled(self) -> bool:
        """Whether there is a rectifier with a rule."""
        assigned = self._way.assigned
        return _RULED in self.names.values() or any(assigned.get(node) == _RULED for node in self.names)

    def reason(self, node: Any, name: str) -> str:
        """Why the rule would not be what its name says here; empty if it would."""
        if node is self._way.start:
            return ""
        found = "" if name in _PLAINLY_KNOWN else self._by_name(node, name)
        if not found and node in self._way.unseen:
            found = _UNSEEN
        return found or self._way.hidden.get(node, "")

    def _leave_out(self, leaves: list[Any]) -> None:
        """Forgets what depends on other leaves alone, unless these were cut off from the picture."""
        way, inputs = self._way, self._inputs
        for leaf in leaves:
            if cut := way.origin(leaf.variable):
                way.hidden[leaf] = f"requires_grad_ (on a result of {cut}, which no gradient passes)"
        begins = [node for node in inputs if node is way.start or node in way.hidden]
        begins += [node for node, name in self.names.items() if name == _LEAF and node not in leaves]
        depend = _reached(begins, self._uses)
        del self._uses
        self._inputs = {node: [each if each in depend else None for each in inputs[node]] for node in depend}
        self.names = {node: self.names[node] for node in depend}

    @cached_property
    def _uses(self) -> dict[Any, set[Any]]:
        """What takes from each node."""
        uses: dict[Any, set[Any]] = {}
        for node, inputs in self._inputs.items():
            for each in inputs:
                uses.setdefault(each, set()).add(node)
        return uses

    @cached_property
    def _origins(self) -> dict[Any, tuple[Any, bool]]:
        """The node of which each one is a function value by value, and whether more than arithmetic lies between."""
        origins: dict[Any, tuple[Any, bool]] = {}
        for node in _ordered(self._roots, self._inputs):
            name, found = self.names[node], (node, False)
            if node is not self._way.start and (name in _POINTWISE or name in _BENDING):
                before = [origins[each] for each in self._alive(node)]
                if before and all(origin is before[0][0] for origin, _ in before):
                    found = before[0][0], name in _BENDING or any(bends for _, bends in before)
            origins[node] = found
        return origins

    @cached_property
    def _passed(self) -> tuple[set[Any], set[Any], set[Any]]:
        """Gates, the nodes that take from them as from gates, and what else is known by its surroundings."""
        gates, takers, known = set(), set(), set()
        for root in self._roots:
            *between, last = self._stripped(root, _SHAPES)
            gates.add(last)
            takers.update(between)
        for node, name in self.names.items():
            factors = self._factors(node, name)
            if len(factors) < 2 and name not in _DIVIDING:
                continue
            for factor in factors:
                *between, gate = self._stripped(factor, _SHAPES | _BETWEEN_GATE_AND_PRODUCT)
                others = [self._origins[each][0] for each in factors if each is not factor]
                if self._is_gate(gate) and self._origins[gate][0] not in others:
                    gates.add(gate)
                    takers.update(between, [node])
                    known.add(node)
                *between, statistic = self._stripped(factor, _SHAPES | _OF_STATISTICS | {"Add", "Mul"})
                divides = factor is self._inputs[node][-1] and name in _DIVIDING
                divides = divides or any(self.names[each] in ("Rsqrt", "Reciprocal") for each in between)
                if self.names[statistic] in _STATISTICS and divides:
                    known.update(between, [statistic, node])
        return gates, takers, known

    def _alive(self, node: Any) -> list[Any]:
        return [each for each in self._inputs[node] if each is not None]

    def _factors(self, node: Any, name: str) -> list[Any]:
        inputs = self._inputs[node]
        return [inputs[k] for k in _PRODUCTS.get(name, ()) if k < len(inputs) and inputs[k] is not None]

    def _by_name(self, node: Any, name: str) -> str:
        if name in _PRODUCTS:
            return self._of_product(node, name)
        if name == "CopySlices":
            return self._of_assignment(node)
        if name in _LARGER:
            return self._of_larger(self._inputs[node], _LARGER[name])
        if name in _CHOICES:
            return self._of_choice(node, name)
        if name == "Where":
            return "where with a constant" if node in self._way.hidden and None in self._inputs[node] else ""
        if name in _NORMALISATIONS:
            return _OF_TWO if len(self._alive(node)) > 1 else ""
        if name in _POWERS and self._is_pool(node):
            return ""
        gates, takers, known = self._passed
        if name in _GATES:
            return "" if node in gates and self._uses.get(node, set()) <= takers else _GATES[name]
        if node in known:
            return ""
        if hasattr(node, "_forward_cls"):
            return "" if name == "BackwardHookFunction" else f"the custom function {name}"
        if name == "Clamp":
            return f"clamp with {'tensor bounds' if len(node.next_functions) > 1 else 'bounds other than 0'}"
        if name.startswith("ScaledDotProduct"):
            return "attention"
        return _TITLES.get(name) or name

    def _is_gate(self, node: Any) -> bool:
        bounded = self.names[node] == _RULED and node.high is not None
        return bounded or self.names[node] in _GATES

    def _is_pool(self, power: Any) -> bool:
        behind = self._stripped(power, _SHAPES | {*_POWERS})[-1]
        uses = self._uses.get(power)
        return self.names[behind] in _MEANS or (bool(uses) and all(self.names[each] in _MEANS for each in uses))

    def _of_product(self, node: Any, name: str) -> str:
        inputs, factors = self._inputs[node], self._factors(node, name)
        if len(factors) == 1 and (name not in _NOT_IN_LAST or factors[0] is not inputs[_PRODUCTS[name][-1]]):
            return ""
        if node in self._passed[2] or (name == "Lerp" and (len(inputs) < 3 or inputs[2] is None)):
            return ""
        if name in _NOT_IN_LAST and inputs[_PRODUCTS[name][-1]] is not None:
            return _NOT_IN_LAST[name]
        origins = [self._origins[each] for each in factors]
        if origins[0][0] is origins[1][0] and any(bends for _, bends in origins):
            return "a product that gates itself (SiLU, GELU or Hardswish by hand)"
        return _OF_TWO

    def _of_choice(self, node: Any, name: str) -> str:
        """A choice among positions is known, one between a value and a constant or itself is a rectifier by hand."""
        joined = self._stripped(node, _SHAPES | {name})[-1]
        return self._of_larger(self._inputs[joined], name.lower()) if self.names[joined] in ("Stack", "Cat") else ""

    def _of_larger(self, inputs: list[Any], name: str) -> str:
        if None in inputs:
            return f"{name} with a constant"
        origins = [self._origins[each][0] for each in inputs]
        return f"{name} of a value and itself" if len({*origins}) < len(origins) else ""

    def _of_assignment(self, node: Any) -> str:
        name = self._way.assigned.get(node, "")
        plain = name.strip("_")
        if name != _RULED and plain not in _ASSIGNING:
            return f"{name or 'an unknown function'} on a part of a tensor"
        return _OF_TWO if plain in _MULTIPLYING and len(self._alive(node)) > 1 else ""

    def _stripped(self, node: Any, names: frozenset[str] | set[str]) -> list[Any]:
        """The nodes of these names from this one back to the first of another name, that one included."""
        found = [node]
        while node is not self._way.start and self.names[node] in names and len(self._alive(node)) == 1:
            (node,) = self._alive(node)
            found.append(node)
        return found


def _behind(roots: list[Any], way: Followed) -> dict[Any, list[Any]]:
    """What goes into each node behind the roots, no further than the start of the way; None for constants."""
    found: dict[Any, list[Any]] = {}
    waiting = [*roots]
    while waiting:
        node = waiting.pop()
        if node not in found:
            inputs = [] if node is way.start else way.whole.get(node)
            found[node] = inputs = [each for each, _ in node.next_functions] if inputs is None else inputs
            waiting += [each for each in inputs if each is not None]
    return found


def _reached(begins: list[Any], following: Mapping[Any, Iterable[Any]]) -> set[Any]:
    found: set[Any] = set()
    waiting = [*begins]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += following.get(node, ())
    return found


def _ordered(roots: list[Any], inputs: Mapping[Any, list[Any]]) -> list[Any]:
    """The nodes, each after all that go into it."""
    waiting, met, order = [(root, False) for root in roots], set(), []
    while waiting:
        node, complete = waiting.pop()
        if complete:
            order.append(node)
        elif node in inputs and node not in met:
            met.add(node)
            waiting.append((node, True))
            waiting += [(before, False) for before in inputs[node] if before is not None]
    return order


@cache
def _name(name: str) -> str:
    return name.rpartition("::")[2].rstrip("0123456789").removesuffix("Backward")

"""What a ReLU rule did not reach: read from the graph that a forward pass leaves behind."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import Tensor

_ACTIVATIONS = {
    "Silu": "SiLU",
    "Gelu": "GELU",
    "Elu": "ELU or SELU",
    "Celu": "CELU",
    "Hardswish": "Hardswish",
    "Mish": "Mish",
    "Softplus": "Softplus",
    "LogSigmoid": "LogSigmoid",
    "PreluKernel": "PReLU",
    "RreluWithNoise": "RReLU",
    "LeakyRelu": "LeakyReLU with a negative slope",
    "Hardtanh": "Hardtanh",
    "Hardshrink": "Hardshrink",
    "Softshrink": "Softshrink",
    "Threshold": "Threshold",
    "Glu": "GLU",
    "Relu": "a ReLU in compiled code",
    "CompiledFunction": "compiled code",
}
"""Functions that would need a rule of their own, by the name of their backward node."""

_GATES = {"Sigmoid": "Sigmoid", "Hardsigmoid": "Hardsigmoid", "Tanh": "Tanh"}
"""These are refused as activations, and passed as gates (squeeze and excitation) or as a network's last step."""
_AFTER_GATE = {"Mul", "Gather", "Select", "Index", "Clone", "Sum", "Stack"}

_PLAIN = {"Mul", "Add", "Sub", "Div", "Pow", "Neg"}
_BENDING = {"Sigmoid", "Hardsigmoid", "Tanh", "Erf", "Softplus", "Exp", "_Rectifier"}


def unruled(scores: Tensor) -> tuple[list[str], bool]:
    """The functions behind the scores without a ReLU rule, such as "SiLU (3 times)", and whether any has one."""
    found: Counter[str] = Counter()
    ruled = False
    for node, name, consumer in _nodes(scores.grad_fn):
        ruled = ruled or name == "_Rectifier"
        inputs = [before for before, _ in node.next_functions]
        if name in _ACTIVATIONS:
            found[_ACTIVATIONS[name]] += 1
        elif name in _GATES and consumer not in _AFTER_GATE:
            found[_GATES[name]] += 1
        elif name in ("Maximum", "Minimum", "Where") and None in inputs:
            found[f"{name.lower()} with a constant"] += 1
        elif name == "Clamp" and len(inputs) > 1:
            found["clamp with tensor bounds"] += 1
        elif name == "Mul" and _gates_itself(inputs):
            found["a product that gates itself (SiLU, GELU or Hardswish by hand)"] += 1
        elif hasattr(node, "_forward_cls") and name != "_Rectifier":
            found[f"the custom function {name}"] += 1
    return [name if times == 1 else f"{name} ({times} times)" for name, times in found.items()], ruled


def _nodes(root: Any) -> Iterator[tuple[Any, str, str]]:
    """Each node behind `root` with its name and that of the node that consumes it."""
    waiting, seen = [(root, "")], set()
    while waiting:
        node, consumer = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        name = _name(node)
        yield node, name, consumer
        waiting += [(before, name) for before, _ in node.next_functions if before is not None]


def _name(node: Any) -> str:
    return node.name().rstrip("0123456789").removesuffix("Backward")


def _gates_itself(inputs: list[Any]) -> bool:
    """Whether two factors are elementwise functions of one and the same tensor, and not both of them polynomials."""
    if len(inputs) < 2 or None in inputs:
        return False
    (first, bends), (second, bends_too) = _origin(inputs[0]), _origin(inputs[1])
    return first is second and (bends or bends_too)


def _origin(node: Any) -> tuple[Any, bool]:
    """The node of which this one is an elementwise function, and whether anything but arithmetic lies between."""
    bends = False
    while (name := _name(node)) in _PLAIN | _BENDING:
        before = {each for each, _ in node.next_functions if each is not None}
        if len(before) > 1:
            origins = {_origin(each) for each in before}
            if len({origin for origin, _ in origins}) > 1:
                return node, bends
            return next(iter(origins))[0], bends or any(bent for _, bent in origins)
        if not before:
            return node, bends
        bends = bends or name in _BENDING
        node = before.pop()
    return node, bends

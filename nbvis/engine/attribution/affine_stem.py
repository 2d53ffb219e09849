"""The stem: from the images to the first convolution's output all is affine, so many gradients pass it as one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from ..network.prepared import Prepared

_AFFINE = frozenset(
    "Convolution Add Sub Rsub Neg Mul Div Clone ToCopy View UnsafeView Permute Transpose Expand Slice Flip Index "
    "IndexSelect ConstantPadNd ReflectionPad2D ReplicationPad2D UpsampleBilinear2D UpsampleBilinear2DAa".split()
)
"""Names of backward nodes that are affine in their first input, the others being constant."""

_ADDING = {"Add", "Sub", "Rsub"}
"""Of those, the ones that are affine in all their inputs."""


class Stem:
    """The part of a prepared network that its first convolution ends, as long as it is affine and the only way in.

    The gradient at the images is then one and the same linear function of the gradient at the convolution's output,
    whatever the images: a weighted sum of many gradients can be taken there, and brought to the images once.

    Args:
        prepared: the network.
        images: of the kind that it will be shown, (batch, channels, height, width).
    """

    def __init__(self, prepared: Prepared, images: Tensor):
        self._prepared = prepared
        self._edge: GradientEdge | None = None
        # In half precision a sum of gradients would lose what each adds to it.
        whole = prepared.network.dtype == prepared.network.precision
        self._affine = whole and not prepared.batching.apart and self._adds_up(images[:1].detach())

    @contextmanager
    def watched(self) -> Iterator["Stem"]:
        """Within it, each forward pass leaves its way in."""

        def note(part: object, args: object, output: Any) -> None:
            self._edge = get_gradient_edge(output) if isinstance(output, Tensor) and output.requires_grad else None

        if not self._affine:
            yield self
            return
        assert self._prepared.entrance is not None
        handle = self._prepared.watch(self._prepared.entrance, note)
        try:
            yield self
        finally:
            handle.remove()
            self._edge = None

    def way_in(self, scores: Tensor) -> GradientEdge | None:
        """Where the last pass' gradient can be taken in place of the images; None if only at the images."""
        edge, self._edge = self._edge, None
        if edge is None or scores.grad_fn is None:
            return None
        met, leaves = _behind(scores.grad_fn, edge.node)
        return edge if edge.node in met and not leaves and _is_affine(edge.node) else None

    def at_images(self, gradient: Tensor, images: Tensor) -> Tensor:
        """A gradient at the convolution's output, (batch, channels, height, width), brought to the images."""
        leaf = images.detach().requires_grad_()
        return torch.autograd.grad(self._output(leaf), leaf, gradient)[0]

    def _output(self, images: Tensor) -> Tensor:
        assert self._prepared.entrance is not None
        return self._prepared.until(self._prepared.entrance, images)

    def _adds_up(self, image: Tensor) -> bool:
        """Whether it is affine on a line through the image, which the graph cannot tell of what is detached."""
        if self._prepared.entrance is None:
            return False
        with torch.no_grad():
            other = 0.5 * image.flip(-1, -2) + 0.1
            first, second, middle = (self._output(each) for each in (image, other, (image + other) / 2))
        size = max(first.abs().max(), second.abs().max())
        return bool(((first + second) / 2 - middle).abs().max() <= 1e-5 * size)


def _behind(root: Any, end: Any = None) -> tuple[set[Any], list[Any]]:
    """The nodes from `root` on, not going beyond `end`, and the leaves among them."""
    waiting, met, leaves = [root], {root}, []
    while waiting:
        node = waiting.pop()
        if node is end:
            continue
        if not node.next_functions and hasattr(node, "variable"):
            leaves.append(node)
        for before, _ in node.next_functions:
            if before is not None and before not in met:
                met.add(before)
                waiting.append(before)
    return met, leaves


def _is_affine(root: Any) -> bool:
    nodes, leaves = _behind(root)
    return len(leaves) == 1 and all(_node_is_affine(node) for node in nodes if node is not leaves[0])


def _node_is_affine(node: Any) -> bool:
    name = node.name().rstrip("0123456789").removesuffix("Backward")
    live = [before is not None for before, _ in node.next_functions]
    return name in _AFFINE and (name in _ADDING or (sum(live) == 1 and (live[0] or name == "Mul")))

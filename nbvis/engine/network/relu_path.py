"""The way from the picture to a layer, followed through the tensor functions of one forward pass under a ReLU rule."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from ..tracing.receptive_field import flat
from .relu_rules import Rectifiers, Rule, is_rectifier

_ASKS_FOR_SHAPE = frozenset(
    "zeros_like ones_like full_like empty_like rand_like randn_like randint_like "
    "new_zeros new_ones new_full new_empty new_empty_strided new_tensor".split()
)
"""Functions that take from a tensor no more than its shape, type and device."""

_TELLS_OF_SHAPE = frozenset("dim size stride numel ndimension is_contiguous is_floating_point".split())

_ONLY_FIRST = frozenset("expand_as view_as reshape_as type_as to".split())
"""Functions that take from all tensors but the first no more than that."""

_READS = frozenset("item tolist numpy __array__ __float__ __int__ __index__ __complex__ __dlpack__".split())
"""What turns tensors into numbers, which nothing follows."""

_MADE_OF_NUMBERS = frozenset("tensor as_tensor asarray new_tensor scalar_tensor".split())

_WHOLE = frozenset("pad local_response_norm normalize cosine_similarity rms_norm".split())
"""Functions that are made of several, and known by name: padding, and normalisations."""

_TITLES = {"__setitem__": "indexed assignment", "__getitem__": "indexing", "__get__": "data"}

_BY_INDICES_OF_A_POOL = frozenset("max_unpool1d max_unpool2d max_unpool3d".split())


class Followed(Rectifiers):
    """Within it rectifiers have the rule, and what the graph that the pass leaves behind does not tell is noted.

    The graph holds what depends on the picture and has a gradient. What depends on it and has none, such as a mask or
    a detached value, is followed here, and so is whether each node was made by a function that could be seen.

    Args:
        rule: as for `Rectifiers`.
        entered: the picture as the network takes it; what leads there is left to the ordinary gradient.

    Attributes:
        start: the graph's node where the way begins, None if the picture there has no gradient.
        hidden: for each node, what without a gradient played a part there.
        unseen: the nodes that code made which cannot be followed.
        assigned: for each node of a tensor into whose part something was written, the function that wrote.
        whole: for each node of what a function known by its own name gave, the nodes that went in.
    """

    def __init__(self, rule: Rule, entered: Tensor):
        super().__init__(rule, leaky=True)
        self.start = entered.grad_fn
        self.hidden: dict[Any, str] = {}
        self.unseen: set[Any] = set()
        self.assigned: dict[Any, str] = {}
        self.whole: dict[Any, list[Any]] = {}
        self._seen: set[Any] = {self.start}
        self._dark = WeakTensorKeyDictionary()
        self._overwritten: dict[int, tuple[Tensor, str]] = {}
        self._read = ""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function as `Rectifiers` do, and notes what it made of what."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in _TELLS_OF_SHAPE:
            return func(*args, **kwargs)
        if name == "broadcast_tensors":  # each of them alone, because none gets anything of the others
            each = list(flat(args))
            size = torch.broadcast_shapes(*(one.shape for one in each))
            return tuple(self.__torch_function__(Tensor.expand, types, (one, size)) for one in each)
        given, nodes = self._given(name, args, kwargs), []
        for each in given:
            if each.requires_grad:
                nodes.append(node := each.grad_fn)
                if node is not None and node not in self._seen:
                    self._meet(each)
        dark = self._origin(given) if self._dark or self._overwritten or self._read else ""
        # Whoever writes where no graph is kept can tell by nothing else.
        versions = [_version(each) for each in given] if dark or (nodes and not torch.is_grad_enabled()) else []
        output = super().__torch_function__(func, types, args, kwargs)
        plain = nodes and not dark and name not in _WHOLE and isinstance(output, Tensor) and output.requires_grad
        if plain and output is not given[0]:
            self._seen.add(output.grad_fn)
        elif nodes or dark:
            self._note(func, name, args, kwargs, output, nodes, dark)
            for each, version in zip(given, versions, strict=False):
                noted = each.requires_grad and each not in self._dark and torch.is_grad_enabled()
                if _version(each) != version and not noted:
                    self._overwritten[_place(each)] = each, dark or name
        elif self._read and name in _MADE_OF_NUMBERS:
            self._dark[output] = self._read
        return output

    def origin(self, tensor: Tensor) -> str:
        """The function that made it of the picture without a gradient; empty for any other tensor."""
        return self._origin([tensor])

    def _given(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Tensor]:
        if name in _ASKS_FOR_SHAPE:
            return []
        given = []
        for each in (*args, *kwargs.values()) if kwargs else args:
            if isinstance(each, Tensor):
                given.append(each)
            elif type(each) in (list, tuple):
                given += [inner for inner in flat(each) if isinstance(inner, Tensor)]
        return given[:1] if name in _ONLY_FIRST else given

    def _meet(self, tensor: Tensor) -> None:
        """Takes note of a node that no function was seen to make."""
        node: Any = tensor.grad_fn
        self._seen.add(node)
        base = tensor._base
        if base is not None:  # a view has a new node once its base was written to
            if base.grad_fn not in self._seen:
                self._meet(base)
        elif type(node).__name__ != "BackwardHookFunctionBackward" or any(
            before not in self._seen for before, _ in node.next_functions
        ):
            self.unseen.add(node)

    def _note(
        self,
        func: Callable[..., Any],
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        output: Any,
        nodes: list[Any],
        dark: str,
    ) -> None:
        """Notes what a function made of what depends on the picture."""
        if name in _READS:
            self._read = name.strip("_")
            return
        if name == "__set__" and isinstance(args[1], Tensor):
            self._overwritten[_place(args[0])] = args[0], dark or "assigned data"
            return
        target = args[0] if args and (output is args[0] or name == "__setitem__") else None
        for each in flat([output]) if target is None else [target]:
            if not isinstance(each, Tensor):
                continue
            if not each.requires_grad:
                if each not in self._dark:
                    self._dark[each] = dark or _TITLES.get(name, name)
                continue
            node = each.grad_fn
            if node is None or node in self._seen:  # it gave back what it got
                continue
            self._seen.add(node)
            if dark and name not in _BY_INDICES_OF_A_POOL:
                self.hidden[node] = f"{_TITLES.get(name, name)} (by a result of {dark}, which no gradient passes)"
            if name in _WHOLE:
                self.whole[node] = [each for each in nodes if each is not None]
            if target is not None:
                self._note_assignment(node, target, "_Rectifier" if is_rectifier(func, args, kwargs) else name)

    def _note_assignment(self, node: Any, target: Tensor, name: str) -> None:
        """Notes what wrote into a tensor, or into the one that it is a view of."""
        self.assigned[node] = name
        base = target._base
        if base is not None and base.grad_fn not in self._seen:
            self._seen.add(base.grad_fn)
            self.assigned[base.grad_fn] = name
            if node in self.hidden:
                self.hidden[base.grad_fn] = self.hidden[node]

    def _origin(self, given: Sequence[Tensor]) -> str:
        for each in given:
            found = None if each.grad_fn is not None else self._dark.get(each)  # else the graph tells
            if found is None and self._overwritten:
                found = self._overwritten.get(_place(each), (None, None))[1]
            if found is None and self._read and _is_foreign(each):
                found = self._read
            if found:
                return found
        return ""


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else id(tensor)


def _is_foreign(tensor: Tensor) -> bool:
    """Whether a constant lies in memory that is not torch's own, such as an array's."""
    constant = not tensor.requires_grad and not isinstance(tensor, nn.Parameter) and tensor.layout is torch.strided
    return constant and not tensor.untyped_storage().resizable()

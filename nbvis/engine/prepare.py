"""A network made ready for many steps: cut after the last layer needed, batch norm folded, weights in fast order."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from .capture import count_calls, explained, forward, unchanged_chance
from .network import Network, fingerprint

_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest difference, relative to the largest activation, that only the order of the additions can explain."""


class Prepared:
    """A private copy of a network that gives the activations of some layers, faster than the network itself.

    Batch norm goes into the convolution before it and, on the CPU, weights are laid out channels last, wherever a
    trial on the images shows that the activations stay the same; otherwise the plain copy is used. The copy is
    remade when a weight of the original changes.

    Args:
        network: the network.
        names: the layers, as for `activations`.
        images: what it will be run on, or pictures of the same kind: (batch, channels, height, width) in [0, 1].

    Raises:
        ValueError: if a layer does not exist or is not called.
        RuntimeError: if the network does not run on the images; its own error is attached.
    """

    def __init__(self, network: Network, names: Sequence[str], images: Tensor):
        self.network = network
        self.names = tuple(names)
        self._trial = images[:1].detach()
        self._modules = list(network.module.modules())
        with torch.inference_mode(False), torch.no_grad(), unchanged_chance(network.device) as drew:
            self._calls = count_calls(network, self._trial, self.names)
            self._make()
        self.draws_chance = drew[0]

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """The activations by name, with their graph; the forward pass stops after the last one."""
        return forward(self._module, self._enter(images), self.names, self._calls)

    def refresh(self) -> None:
        """Makes the copy again if the original's weights or buffers have changed."""
        if fingerprint(self._modules) != self._made_from:
            with torch.inference_mode(False), torch.no_grad(), unchanged_chance(self.network.device):
                self._modules = list(self.network.module.modules())
                self._make()

    def _make(self) -> None:
        self._made_from = fingerprint(self._modules)
        self._module, self._format = self.network.twin(), torch.contiguous_format
        pairs: list[tuple[str, str]] = []
        with _Pairs(self._module, pairs):
            plain = explained(self.network, self._trial, lambda: self(self._trial))
        # Half precision rounds differently once folded, and half the point of it is to be what the user trained.
        tolerance = _TOLERANCE.get(self.network.dtype)
        if tolerance is None:
            return
        kept = (self._module, self._format)
        for fold, layout in _ways(pairs, self.network.device):
            self._module, self._format = self.network.twin(), layout
            if fold:
                _fold(self._module, [pair for pair in pairs if pair[0] not in self.names])
            if layout is torch.channels_last:
                _channels_last(self._module)
            if _agrees(lambda: self(self._trial), plain, tolerance):
                return
        self._module, self._format = kept

    def _enter(self, images: Tensor) -> Tensor:
        return self.network.enter(images).contiguous(memory_format=self._format)


def _ways(pairs: list[tuple[str, str]], device: torch.device) -> list[tuple[bool, torch.memory_format]]:
    """What to try, fastest first; channels last pays off on the CPU only, at full precision."""
    layouts = [torch.channels_last, torch.contiguous_format] if device.type == "cpu" else [torch.contiguous_format]
    folds = [True, False] if pairs else [False]
    return [(fold, layout) for fold in folds for layout in layouts if fold or layout is torch.channels_last]


def _agrees(run: Callable[[], dict[str, Tensor]], plain: dict[str, Tensor], tolerance: float) -> bool:
    try:
        found = run()
    except Exception:  # the network reshapes by strides, which only the usual layout allows
        return False
    return all(
        bool((found[name] - value).abs().max() <= tolerance * value.abs().max())
        for name, value in plain.items()
        if value.numel()
    )


class _Pairs:
    """Within it, lists (convolution, batch norm) where the one's output is, untouched, the other's input."""

    def __init__(self, module: nn.Module, pairs: list[tuple[str, str]]):
        self._pairs, self._module = pairs, module
        self._last: tuple[str, Tensor] | None = None
        self._calls: dict[str, int] = {}

    def __enter__(self) -> None:
        self._handles = []
        for name, part in self._module.named_modules():
            if isinstance(part, nn.Conv2d):
                self._handles.append(part.register_forward_hook(self._convolved(name)))
            elif isinstance(part, nn.BatchNorm2d) and part.running_mean is not None:
                self._handles.append(part.register_forward_pre_hook(self._normed(name)))

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._pairs[:] = [pair for pair in self._pairs if all(self._calls[name] == 1 for name in pair)]

    def _convolved(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: object, output: Tensor) -> None:
            self._calls[name] = self._calls.get(name, 0) + 1
            self._last = (name, output)

        return hook

    def _normed(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            self._calls[name] = self._calls.get(name, 0) + 1
            if self._last is not None and args and args[0] is self._last[1]:
                self._pairs.append((self._last[0], name))

        return hook


def _fold(module: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    for conv_name, norm_name in pairs:
        conv, norm = module.get_submodule(conv_name), module.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None and norm.running_var is not None
        weight, bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        conv.weight, conv.bias = nn.Parameter(weight, requires_grad=False), nn.Parameter(bias, requires_grad=False)
        module.set_submodule(norm_name, nn.Identity().eval())


def _channels_last(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            weight = part.weight.contiguous(memory_format=torch.channels_last)
            part.weight = nn.Parameter(weight, requires_grad=False)

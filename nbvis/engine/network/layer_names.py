"""The names of layers: every sub-module by its own, the addresses of a layer's calls, and the network's output."""

from collections.abc import Mapping

from torch import nn

from ..arguments import near

OUTPUT = ""
"""The name of the network's own output among the layers, as in `named_modules()`."""


class LayerError(ValueError):
    """A layer that does not exist, is not called, or does not return what an activation has to be."""


def named(module: nn.Module) -> dict[str, nn.Module]:
    """Every sub-module by its name as in `named_modules()`, without the marks that `torch.compile` leaves."""
    found: dict[str, nn.Module] = {}
    _name(found, "", module)
    return found


def _name(found: dict[str, nn.Module], name: str, part: nn.Module) -> None:
    """Names a part and all within it; by hand, because `named_modules()` takes three times as long."""
    found[name] = part
    for key, child in part._modules.items():
        if child is not None:
            _name(found, name if key == "_orig_mod" else f"{name}.{key}" if name else key, child)


def address(name: str, modules: Mapping[str, nn.Module]) -> tuple[str, int | None]:
    """A layer's address as its module's name and the call meant, None for the last."""
    if not isinstance(name, str):
        raise TypeError(f"a layer is addressed by its name, not by {name!r}")
    if name in modules:
        return name, None
    place, colon, call = name.rpartition(":")
    if colon and place in modules and call.isdigit():
        return place, int(call)
    raise LayerError(f"no layer {name!r}{near(name, [n for n in modules if n])}")


def each_call(name: str, calls: int) -> list[str]:
    """The addresses of a layer's calls: "name:0", "name:1", …, or the bare name where there is but one."""
    return [name] if calls == 1 else [f"{name}:{k}" for k in range(calls)]

"""Between what bounds a module's values lie."""

from torch import nn

Cap = tuple[float | None, float | None]


def cap_of(module: nn.Module) -> Cap:
    """The lowest and the highest value that a module can give, as far as it is of a kind that has some."""
    if isinstance(module, nn.ReLU6):
        return None, 6.0
    if isinstance(module, nn.Hardtanh):
        return float(module.min_val), float(module.max_val)
    if isinstance(module, nn.Tanh):
        return -1.0, 1.0
    return (0.0, 1.0) if isinstance(module, nn.Sigmoid | nn.Hardsigmoid) else (None, None)

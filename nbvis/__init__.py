"""nbvis: see what a vision network sees, live in a notebook."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import demo, engine
    from .widgets import ActivationStats, DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView, link

__all__ = [
    "ActivationStats",
    "DreamCanvas",
    "DropoutInverter",
    "LayerExplorer",
    "SaliencyView",
    "demo",
    "engine",
    "link",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Loads a part when it is first asked for, so that the engine alone needs neither Jupyter nor torchvision."""
    if name in ("demo", "engine"):
        return importlib.import_module(f".{name}", __name__)
    if name in __all__:
        return getattr(importlib.import_module(".widgets", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

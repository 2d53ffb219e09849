"""The layout of activations: which of their dimensions are channels, rows and columns, as a traced pass has shown."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ..tracing.axes import Axes
from ..tracing.trace import Trace
from .random_state import unchanged_chance


class Activations(dict[str, Tensor]):
    """What layers returned, by name.

    Attributes:
        axes: which of its dimensions are channels, rows and columns, by name, as far as they were traced.
    """

    def __init__(self, found: Mapping[str, Tensor] | None = None, axes: Mapping[str, Axes] | None = None):
        super().__init__(found or {})
        self.axes: dict[str, Axes] = dict(axes or {})

    def of_image(self, index: int) -> "Activations":
        """Those of one image of the batch."""
        return Activations({name: each[index : index + 1] for name, each in self.items()}, self.axes)


def axes_of(activations: Mapping[str, Tensor]) -> Mapping[str, Axes]:
    """The axes of those that were traced."""
    return activations.axes if isinstance(activations, Activations) else {}


def planes(activations: Mapping[str, Tensor], name: str) -> Tensor:
    """A layer's activation as (batch, channels, rows, columns), or (batch, channels, …) without a grid."""
    axes = axes_of(activations).get(name)
    return activations[name] if axes is None else axes.planes(activations[name])


class Layout:
    """Which dimensions of some layers' outputs are channels, rows and columns, traced once for each size of image."""

    def __init__(self):
        self._known: dict[tuple[int, ...], dict[str, Axes]] = {}
        self._always: dict[str, Axes] | None = None

    def learn(self, size: tuple[int, ...], axes: Mapping[str, Axes]) -> None:
        """Takes the axes that another trace has shown, for images of (height, width)."""
        self._known.setdefault(size, dict(axes))

    def run(self, module: nn.Module, inputs: Tensor, once: Callable[[Trace | None], Activations]) -> Activations:
        """What one pass finds, with axes: those known, or by a trace of the pass.

        Args:
            module: what runs.
            inputs: what it is given.
            once: makes the pass and returns what it found; a trace is to be asked for the axes on the way.
        """
        size = tuple(inputs.shape[2:])
        known = self._always if self._always is not None else self._known.get(size)
        if known is None:
            trace, shy = Trace(), is_shy(module)
            with trace.from_input(inputs, module), unchanged_chance() if shy else nullcontext():
                found = once(trace)
            known = self._known[size] = found.axes
            if all(axes.any_size for axes in known.values()):
                self._always = known
            if not shy:
                return found
        found = once(None)
        found.axes = known
        return found


def layout_of(twin: nn.Module, names: tuple[str, ...]) -> Layout:
    """The layout of these layers in a twin; as long as the twin is kept it need not be traced again."""
    return _of_twins.setdefault(twin, {}).setdefault(names, Layout())


_of_twins: WeakKeyDictionary[nn.Module, dict[tuple[str, ...], Layout]] = WeakKeyDictionary()


def is_shy(module: nn.Module) -> bool:
    """Whether a part rounds otherwise while somebody watches it, since it leaves its fast way."""
    return any(isinstance(part, _SHY) for part in module.modules())


_SHY = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)

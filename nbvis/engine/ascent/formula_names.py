"""The functions, layers, channels and classes that a formula may name."""

from collections.abc import Callable, Mapping, Sequence

from ..arguments import near
from ..network.layer_names import OUTPUT
from .diversity import diversity
from .formula_tokens import Token
from .objective import Objective
from .objectives import activity, energy, unit

OF_LAYERS: Mapping[str, Callable[[str], Objective]] = {"activity": activity, "diversity": diversity}
"""The functions of a whole layer, as `activity(layer3)`."""

OF_CHANNELS: Mapping[str, Callable[[str, int], Objective]] = {"energy": energy, "unit": unit}
"""The functions of a channel, as `energy(layer3[12])`; `unit` is the position in the middle."""


def example(function: str, layer: str = "layer") -> str:
    """How a function is written."""
    return f"{function}({layer})" if function in OF_LAYERS else f"{function}({layer}[0])"


class Known:
    """What there is to be named, and the sentences for what there is not.

    Args:
        layers: the layers, each with the number of its channels, None if that is not known; None for any.
        labels: the names of the classes.
    """

    def __init__(self, layers: Mapping[str, int | None] | None, labels: Sequence[str] | None):
        self._layers, self._labels = layers, labels or ()

    def has(self, name: str) -> bool:
        """Whether a layer is there, or may be."""
        return self._layers is None or any(each in self._layers for each in _addresses(name))

    def without_layer(self, name: str) -> str:
        """The sentence for a layer that is not there."""
        return f"no layer {name!r}{near(name, [each for each in self._layers or () if each])}"

    def without_channel(self, name: str, index: int) -> str:
        """The sentence for a channel that the layer does not have; empty if it has it, or that is not known."""
        layers = self._layers or {}
        count = next((layers[each] for each in _addresses(name) if layers.get(each) is not None), None)
        if count is None or -count <= index < count:
            return ""
        return f"no channel {index}: {name} has {count}, 0 to {count - 1}"

    def class_of(self, token: Token) -> int | str:
        """The class of a number, a label, or one of the several names that a label holds; a sentence if none is."""
        given = token.text[1:-1].strip() if token.kind == "quoted" else token.text
        if token.kind != "quoted" and given.removeprefix("-").isdecimal():
            return self._class_of_number(given)
        if not self._labels:
            return f"no class {given!r}: the network has no labels, so give its number, as logit[0]"
        wanted = given.casefold()
        found = [index for index, label in enumerate(self._labels) if label.strip().casefold() == wanted]
        if not found:
            names = [[one.strip() for one in label.casefold().split(",")] for label in self._labels]
            found = [index for index, each in enumerate(names) if wanted in each]
        if len(found) > 1:
            numbers = " or ".join(map(str, found[:5]))
            return f"{given!r} names {len(found)} classes: give the number, {numbers}"
        return found[0] if found else f"no class {given!r}{near(given, self._labels)}"

    def _class_of_number(self, given: str) -> int | str:
        index = int(given) if len(given) < 16 else None  # Python reads no numbers of thousands of digits
        count = len(self._labels) or (self._layers or {}).get(OUTPUT)
        if index is not None and (count is None or -count <= index < count):
            return index
        return f"no class {given}" + (f": there are {count}, 0 to {count - 1}" if count is not None else "")


def _addresses(name: str) -> list[str]:
    """What the layer of a name may be listed as: all its calls, or each."""
    base, colon, call = name.rpartition(":")
    return [name, *([base] if colon and call.isdigit() else [f"{name}:0"])]

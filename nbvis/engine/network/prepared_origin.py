"""What a prepared network was made from, and whether one made now would be the same."""

from collections.abc import Hashable, Sequence

from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from .guard import guard_of
from .imprint import Contents, Imprint, values_of
from .layer_names import named
from .network import Network


class Origin:
    """What there was when a prepared network was made: all that its answers can depend on.

    Args:
        network: the network.
        own: the private copy.
        copied: names of the modules whose weights it has in another form.
    """

    def __init__(self, network: Network, own: nn.Module, copied: Sequence[str]):
        module, parts = network.module, named(network.module)
        self._module, self._preprocess, self._device = module, network.preprocess, network.device
        self._contents, self._own_contents = Contents(module), Contents(own)
        self._imprint, self._own_imprint = Imprint(module), Imprint(own)
        # A function that was bound to the copy holds what others may put something else for.
        bound = network.remembered("bound", lambda twin: Contents(twin).functions != self._contents.functions)
        self._lasting = self._contents.known and self._own_contents.known and not bound
        # Weights that were copied into another form do not follow what is written through `.data`, as the others do.
        self._copied = [parts[name] for name in copied]
        self._values = values_of(self._copied) if self._lasting else b""

    def own_holds(self, own: nn.Module) -> bool:
        """Whether the private copy is the one that was made, and as it was."""
        guard = guard_of(own)
        if guard is not None and guard.lost:
            return False
        return self._lasting and self._own_imprint.of(own) and self._own_contents.unchanged()

    def holds(self, network: Network) -> bool:
        """Whether a new one would be made from the same."""
        same = (network.module, network.preprocess, network.device) == (self._module, self._preprocess, self._device)
        unchanged = same and self._contents.unchanged() and self._imprint.holds()
        return unchanged and values_of(self._copied) == self._values


def request(names: Sequence[str], images: Tensor, copied: str) -> Hashable:
    """What stands for all that is asked of a prepared network: its arguments, and the modes around the call."""
    trial = images[:1].detach()
    # Within a mode that changes what functions do, it is another network.
    modes = tuple(type(mode) for mode in _get_current_function_mode_stack())
    return tuple(names), copied, tuple(trial.shape), trial.dtype, hash(trial.cpu().numpy().tobytes()), modes

"""Hooks that catch the activations of a forward pass, and end it once the last one needed is there."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from ..tracing.trace import Trace
from .layer_names import address, named
from .layout import Activations, Layout
from .pass_errors import not_called, one_tensor


class _Done(BaseException):
    """Ends a forward pass once everything asked for is there; no `except Exception` on the way may catch it."""


def one_pass(
    module: nn.Module,
    inputs: Tensor,
    names: Sequence[str],
    calls: Mapping[str, int] | None,
    trace: Trace | None = None,
    see: Callable[[str, Tensor], None] | None = None,
) -> Activations:
    """The activations of those of the layers that are called; as `forward`, or to the end if `calls` is None."""
    with tapped(module, names, calls, trace=trace, see=see) as found:
        try:
            module(inputs)
        except _Done:
            pass
    return found


def forward(
    module: nn.Module, inputs: Tensor, names: Sequence[str], calls: Mapping[str, int], layout: Layout | None = None
) -> Activations:
    """The activations of the names, with their graph; stops as soon as each has been called `calls[name]` times."""

    def once(trace: Trace | None) -> Activations:
        return one_pass(module, inputs, names, calls, trace)

    found = once(None) if layout is None else layout.run(module, inputs, once)
    missing = [name for name in names if name not in found]
    if missing:
        raise not_called(missing[0], module, inputs)
    return Activations({name: found[name] for name in names}, found.axes)


@contextmanager
def tapped(
    module: nn.Module,
    names: Sequence[str],
    calls: Mapping[str, int] | None = None,
    found: Activations | None = None,
    trace: Trace | None = None,
    see: Callable[[str, Tensor], None] | None = None,
) -> Iterator[Activations]:
    """Hooks that fill a dict, with axes if there is a trace; given `calls`, the last one needed ends the pass.

    Given `see`, the dict stays empty: that is called with each name and activation, which may change after it returns.
    """
    found = Activations() if found is None else found

    def take(name: str, output: Tensor, args: tuple[object, ...], last: bool) -> None:
        if see is not None:
            see(name, output)
            return
        # The clone is what a later in-place operation cannot reach; at the end of the pass none follows.
        found[name] = output if last else output.clone()
        if trace is not None:
            found.axes[name] = trace.axes(output, args)

    with _hooked(module, names, calls, found.clear, take):
        yield found


@contextmanager
def _hooked(
    module: nn.Module,
    names: Sequence[str],
    calls: Mapping[str, int] | None,
    begin: Callable[[], None],
    take: Callable[[str, Tensor, tuple[object, ...], bool], None],
) -> Iterator[None]:
    """Calls `begin` as a pass begins, and `take` with (name, output, arguments, whether the pass ends with it)."""
    modules = named(module)
    places = {name: address(name, modules) for name in names}
    # By their ids, because a twin made inside the block has copies of these hooks, bound to its own parts.
    whole, parts = id(module), {place: id(modules[place]) for place, _ in places.values()}
    counts = dict.fromkeys(names, 0)

    def restart(part: nn.Module, *_: object) -> None:
        if id(part) == whole:
            begin()
            counts.update(dict.fromkeys(names, 0))

    def hook(name: str, place: str, call: int | None) -> Callable[..., None]:
        def answered(part: nn.Module, args: tuple[object, ...], output: object) -> None:
            if id(part) != parts[place]:
                return
            counts[name] += 1
            last = calls is not None and all(counts[n] >= calls[n] for n in names)
            if call is None or counts[name] == call + 1:
                take(name, one_tensor(place, part, output), args, last)
            if last:
                raise _Done

        return answered

    handles = [module.register_forward_pre_hook(restart)]
    handles += [modules[place].register_forward_hook(hook(name, place, call)) for name, (place, call) in places.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

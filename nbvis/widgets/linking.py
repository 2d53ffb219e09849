"""Widgets that follow one selection."""

import weakref
from collections.abc import Sequence
from typing import Any

import traitlets as t

from .base import Widget

UNIT, IMAGE = ("layer", "channel"), ("image",)


def link(*widgets: Widget) -> "Link":
    """Makes widgets follow what is chosen in any of them: the layer and channel, and the picture.

    A widget that cannot follow, because it has no such layer or its network takes no such picture, says so on its own
    panel and stays as it is; the others follow all the same.

    Args:
        widgets: two or more; they take over the unit of the first, and its picture.

    Raises:
        TypeError: if one of them is no widget of nbvis.
        ValueError: if there are fewer than two.

    Example:
        >>> from nbvis import ActivationStats, LayerExplorer
        >>> net, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), torch.rand(2, 3, 16, 24)
        >>> explorer, stats = LayerExplorer(net, images[:1], layer="0"), ActivationStats(net, images)
        >>> linked = link(explorer, stats)
        >>> stats.unit = "1", 3
        >>> linked.wait(), explorer.unit
        (True, ('1', 3))
        >>> linked.unlink(); explorer.close(); stats.close()
    """
    for each in widgets:
        if not isinstance(each, Widget):
            raise TypeError(f"linked are widgets of nbvis, not {type(each).__name__}: {each!r}"[:200])
    if len({id(each) for each in widgets}) < 2:
        raise ValueError(f"a link needs two widgets or more, not {len(widgets)}: link(explorer, canvas)")
    return Link(widgets)


class Link:
    """What `link` gives.

    Args:
        widgets: those that follow each other.
    """

    def __init__(self, widgets: Sequence[Widget]):
        self.widgets = widgets
        self._following: set[int] = set()
        self._observed = [(each, [name for name in (*UNIT, *IMAGE) if each.has_trait(name)]) for each in widgets]
        for each, names in self._observed:
            each.observe(self._on_change, names)
        if hasattr(type(widgets[0]), IMAGE[0]):
            self._tell_others(widgets[0], IMAGE[0])
        self._tell_others(widgets[0], UNIT[0])

    def unlink(self) -> None:
        """Lets each go its own way again."""
        for each, names in self._observed:
            each.unobserve(self._on_change, names)

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until all of them rest; False if one does not within `timeout` seconds."""
        return all([each.wait(timeout) for each in self.widgets])

    def _on_change(self, change: Any) -> None:
        if id(change["owner"]) not in self._following:
            self._tell_others(change["owner"], change["name"])

    def _tell_others(self, widget: Any, changed: str) -> None:
        name = "image" if changed in IMAGE else "unit"
        value = getattr(widget, name)
        if value is None or (name == "unit" and not value[0]):
            return
        for each in self.widgets:
            if each is not widget and hasattr(type(each), name):
                self._tell(each, name, value)

    def _tell(self, widget: Widget, name: str, value: Any) -> None:
        told = weakref.ref(widget), name, value
        # On its own thread: two panels that wait for each other would wait for ever.
        widget._find_out(lambda: told, self._follow, key=f"linked {name}")

    def _follow(self, told: "tuple[weakref.ref[Any], str, Any]") -> None:
        reference, name, value = told
        if (widget := reference()) is None:
            return
        self._following.add(id(widget))
        try:
            with widget._traits_lock, widget._unhurried(by_a_view=True):
                setattr(widget, name, value)
                widget._refuse(None)
        except (t.TraitError, ValueError, TypeError, RuntimeError) as error:
            widget._refuse(error)
        finally:
            self._following.discard(id(widget))

"""Ends widgets that nobody can reach any more: no view shows them, and no variable holds them.

ipywidgets keeps every widget, and IPython's history every result, until the kernel ends. So after each cell those that
are not shown are taken out of both for a moment, and what is then held by nothing else is gone.
"""

import gc
import re
import time
import weakref
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from IPython import get_ipython
from ipywidgets.widgets.widget import _instances

if TYPE_CHECKING:
    from .base import Widget

GRACE = 10.0
"""Seconds that a widget without a view is given: a page that is loaded anew shows it again."""
SOON = 1.0
"""Seconds after a cell until the page has told which views are gone."""
HELD = 60.0
"""Seconds at most until a widget that something holds is looked at again. A worker that tells something holds it, too,
so at first it is looked at again soon, and then after twice the time before."""

_alive: "weakref.WeakSet[Widget]" = weakref.WeakSet()
_hooked: "weakref.WeakSet[Any]" = weakref.WeakSet()


class Showing:
    """Where a widget is shown, as far as the kernel can know."""

    def __init__(self):
        self._held, self._look_again = 0, 0.0
        self._cells: set[str] = set()
        self._replaced = False
        self._since = time.monotonic()

    def displayed(self) -> None:
        """It becomes an output of the cell that runs."""
        self._cells.add(_cell())
        self._replaced, self._since = False, time.monotonic()

    def left(self) -> None:
        """One of its views is gone."""
        self._since = time.monotonic()

    def runs_again(self, cell: str) -> None:
        """A cell runs, so that what it displayed before is gone."""
        if cell and cell in self._cells:
            self._cells.remove(cell)
            self._replaced = not self._cells

    def held(self) -> float:
        """Something holds it; the seconds after which it is worth looking again."""
        wait = min(SOON * 2**self._held, HELD)
        self._held += 1
        self._look_again = time.monotonic() + wait
        return wait

    @property
    def over(self) -> bool:
        """Whether it is time to look whether anything holds it, if there is no view: no more is likely to appear."""
        now = time.monotonic()
        return (self._replaced or now - self._since > GRACE) and now >= self._look_again


def keep_track(widget: "Widget") -> None:
    """Has a widget ended once nobody can reach it."""
    _alive.add(widget)
    shell = get_ipython()
    if shell is not None and shell not in _hooked:
        _hooked.add(shell)
        shell.events.register("pre_run_cell", _before_a_cell)
        shell.events.register("post_run_cell", _after_a_cell)


def _before_a_cell(info: Any) -> None:
    cell = _cell()
    for widget in list(_alive):
        widget._showing.runs_again(cell)


def _after_a_cell(result: Any) -> None:
    end_forgotten()
    for widget in list(_alive):
        if hasattr(widget, "_session"):
            widget._check_network()
    if _alive:
        _end_forgotten_in(SOON)
        _end_forgotten_in(GRACE + SOON)


def _end_forgotten_in(seconds: float) -> None:
    loop = getattr(getattr(get_ipython(), "kernel", None), "io_loop", None)
    if loop is not None:
        loop.call_later(seconds, end_forgotten)


def end_forgotten() -> None:
    """Ends those that no view shows and no variable holds."""
    shell = get_ipython()
    own = {id(value) for name, value in shell.user_ns.items() if name[:1] != "_"} if shell else set()
    unseen = [each for each in list(_alive) if not each._watched and each._showing.over and id(each) not in own]
    if unseen:
        references = [weakref.ref(widget) for widget in unseen]
        del unseen
        _let_go(references)


def _let_go(widgets: "list[weakref.ref[Widget]]") -> None:
    """Lets go of what only ipywidgets and the history hold, and takes back what somebody else holds too."""
    taken = []
    for reference in widgets:
        widget = reference()
        if widget is None or widget.comm is None:
            continue
        comm: Any = widget.comm
        comm.on_msg(None)
        _instances.pop(widget.model_id, None)
        results = [(names, name) for names, name in _results() if names[name] is widget]
        for names, name in results:
            names[name] = ""  # as IPython begins it
        taken.append((reference, comm, results))
    widget = None
    gc.collect()
    again = HELD
    for reference, comm, results in taken:
        if (widget := reference()) is not None:
            _instances[widget.model_id] = widget
            comm.on_msg(widget._handle_msg)
            for names, name in results:
                names[name] = widget
            again = min(again, widget._showing.held())
    if again < HELD:
        _end_forgotten_in(again)


def _results() -> Iterator[tuple[MutableMapping[Any, Any], Any]]:
    """Where IPython keeps results, each as a mapping and a key: Out, _, __, ___, and _1, _2, …."""
    if (shell := get_ipython()) is None:
        return
    for names in (shell.user_ns, shell.user_ns_hidden, vars(shell.displayhook)):
        yield from ((names, name) for name in list(names) if re.fullmatch(r"_{1,3}|_\d+", name))
    yield from ((shell.user_ns["_oh"], number) for number in list(shell.user_ns.get("_oh", {})))


def _cell() -> str:
    """The id of the cell that runs, where the page tells it; otherwise a name for no cell."""
    kernel = getattr(get_ipython(), "kernel", None)
    parent = kernel.get_parent() if kernel is not None and hasattr(kernel, "get_parent") else {}
    return str((parent.get("metadata") or {}).get("cellId") or "")

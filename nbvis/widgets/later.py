"""Traits whose values a look at the network finds."""

from typing import Any

import traitlets as t


class Later(t.TraitType):
    """A trait that is filled in once the network has been looked at; who reads it in Python waits until then."""

    def get(self, obj: Any, cls: Any = None) -> Any:
        """The value."""
        obj._wait_for_look()
        return super().get(obj, cls)


class LaterText(Later, t.Unicode):
    """A text."""


class LaterList(Later, t.List):
    """A list."""

"""Functions that print as the source that makes them, so that a list of them can be read and written down."""

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Spelt(Generic[_P, _T]):
    """A function whose `repr` is the source that makes it; two of the same source are equal.

    Args:
        function: what it does.
        name: of the public function that makes it.
        args: given to that function by place.
        options: given by name.
    """

    def __init__(self, function: Callable[_P, _T], name: str, *args: Any, **options: Any):
        self._function = function
        given = [repr(each) for each in args] + [f"{key}={value!r}" for key, value in options.items()]
        self._source = f"{name}({', '.join(given)})"

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What the function gives."""
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        """The source."""
        return self._source

    def __eq__(self, other: object) -> bool:
        """Whether the other was made by the same source."""
        return isinstance(other, Spelt) and other._source == self._source

    def __hash__(self) -> int:
        """Of the source."""
        return hash(self._source)

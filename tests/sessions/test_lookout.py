"""What is found out about a network comes in the order in which it was asked last."""

import threading

import pytest

from nbvis.sessions import Lookout

LONG = 60.0


class Asker:
    """Asks a lookout that finds nothing out until it is let go."""

    def __init__(self):
        self.heard, self.failed = [], []
        self.lookout, self._go = Lookout(self._on_failure), threading.Event()
        self.lookout.ask(lambda: self._go.wait(LONG), self._on_found)

    def ask(self, found, key):
        return self.lookout.ask(lambda: found, self._on_found, key=key)

    def everything(self):
        self._go.set()
        assert self.lookout.wait(LONG)
        return self.heard[1:]

    def _on_found(self, found):
        self.heard.append(found)

    def _on_failure(self, look):
        self.failed.append(look.error)


@pytest.fixture
def asker():
    asker = Asker()
    yield asker
    asker.lookout.close()


def test_what_is_asked_again_is_found_out_once(asker):
    first, second = asker.ask("one", "a"), asker.ask("two", "a")
    assert first is second
    assert asker.everything() == ["two"]


def test_what_is_asked_again_comes_after_what_was_asked_before(asker):
    for found, key in (("a 1", "a"), ("b 1", "b"), ("a 2", "a"), ("c", "c"), ("b 2", "b")):
        asker.ask(found, key)
    assert asker.everything() == ["a 2", "c", "b 2"]

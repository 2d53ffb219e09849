import threading

from nbvis.widgets import hearing
from nbvis.widgets.hearing import Hearing, answer_where_asked


class Loop:
    """Of a kernel: calls what it is given when it is let."""

    def __init__(self):
        self.asked = []

    def add_callback(self, call):
        self.asked.append(call)

    def turns(self):
        while self.asked:
            self.asked.pop()()


class Shell:
    def __init__(self, loop):
        self.kernel = type("Kernel", (), {"io_loop": loop})


def test_without_a_kernel_every_word_is_heard():
    assert all(Hearing()() for _ in range(3))


def test_a_kernel_that_does_not_turn_hears_nothing(monkeypatch):
    loop = Loop()
    monkeypatch.setattr(hearing, "_shell", lambda: Shell(loop))
    heard = Hearing()
    assert heard()
    assert not heard() and not heard() and len(loop.asked) == 1
    loop.turns()
    assert heard()


def test_a_kernel_with_sub_shells_hears_what_comes_while_it_is_busy(monkeypatch):
    monkeypatch.setattr(hearing, "_shell", lambda: Shell(Loop()))
    heard = Hearing()
    thread = threading.Thread(target=heard.heard)
    thread.start()
    thread.join()
    assert heard() and heard()


def test_a_message_is_handled_where_it_was_sent_to():
    class Comm:
        def _reply_subshell_for(self, data, default):
            return None

    comm = Comm()
    answer_where_asked(comm)
    assert getattr(comm, "_reply_subshell_for", None) is None
    answer_where_asked(object())

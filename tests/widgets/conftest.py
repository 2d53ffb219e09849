import pytest
import torch
from torch import nn

from nbvis import DreamCanvas
from nbvis.widgets import dream_canvas, seeing


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """However busy the machine is, what a look finds wrong is raised by the call that asked for it."""
    for module in (seeing, dream_canvas):
        monkeypatch.setattr(module, "GRACE", 60.0)


@pytest.fixture
def hurried(monkeypatch, patience):
    """A call goes on before a look at the network is over, which is held back."""
    for module in (seeing, dream_canvas):
        monkeypatch.setattr(module, "GRACE", 0.01)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )


@pytest.fixture
def image():
    return torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def make(network, image):
    """Makes canvases of few small steps, and closes them."""
    made = []

    def make(*given, **options):
        options = {"steps": 2, "octaves": 2, "jitter": 2} | options
        made.append(DreamCanvas(*(given or (network, image)), **options))
        return made[-1]

    yield make
    for canvas in made:
        canvas.close()


@pytest.fixture
def heard(monkeypatch):
    """What a widget sends to its views: call it with the widget to begin listening."""

    def heard(widget):
        messages = []
        monkeypatch.setattr(widget, "send", lambda content, buffers=None: messages.append((content, buffers)))
        return messages

    return heard


@pytest.fixture
def told():
    """Waits until a widget that is at work has told all that it can."""

    def told(widget):
        session = widget._session
        with session._lock:
            assert session._lock.wait_for(session._all_told, 60.0)

    return told


@pytest.fixture
def quiet():
    """Waits until nobody is being told anything by a widget that is at work."""

    def quiet(widget):
        session = widget._session
        with session._lock:
            assert session._lock.wait_for(lambda: session._teller is None, 60.0)

    return quiet


@pytest.fixture
def ask(heard):
    """Asks a widget for a picture as a view does, and gives the sentence of the reply, "" if it was taken."""

    def ask(widget, way, *buffers, name="", said="", **more):
        messages = heard(widget)
        content = {"type": "choose", "id": "7", "way": way, "name": name, "said": said, **more}
        widget._handle_custom_msg(content, [memoryview(each) for each in buffers])
        assert widget.wait(60.0)
        (reply,) = [content for content, _ in messages if content["type"] == "reply"]
        assert reply["id"] == "7" and widget.error in ("", reply.get("error"))
        return reply.get("error", "")

    return ask

"""What a view asks for is noted, and done on a worker: the kernel's thread makes no pass, no picture and no sums."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nbvis import ActivationStats, DreamCanvas, DropoutInverter, LayerExplorer, SaliencyView
from nbvis.engine import collect

LONG = 60.0
HEIGHT, WIDTH = 24, 40


class Work(TorchDispatchMode):
    """Within it, notes what this thread does that belongs on a worker: tensors made as large as the picture."""

    def __init__(self):
        super().__init__()
        self.done: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        given = {each.untyped_storage().data_ptr() for each in tree_leaves([args, kwargs]) if isinstance(each, Tensor)}
        for made in tree_leaves(output):
            if isinstance(made, Tensor) and made.numel() >= HEIGHT * WIDTH:
                if made.untyped_storage().data_ptr() not in given:
                    self.done.append(f"{func}: {tuple(made.shape)}")
        return output


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch):
    """Does what a handler does, and returns what it did that belongs on a worker."""
    handler, work, save = threading.get_ident(), Work(), Image.Image.save

    def note(what: str) -> None:
        if threading.get_ident() == handler:
            work.done.append(what)

    def saved(self: Image.Image, *args: Any, **options: Any) -> None:
        note("encoding")
        save(self, *args, **options)

    monkeypatch.setattr(Image.Image, "save", saved)
    hook = register_module_forward_pre_hook(lambda part, args: note(f"forward pass of {type(part).__name__}"))

    def handled(act: Callable[[], object]) -> list[str]:
        work.done.clear()
        with work:
            act()
        return work.done

    yield handled
    hook.remove()


@pytest.fixture
def make():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 40, 3), nn.ReLU(), nn.Dropout(), nn.Conv2d(40, 8, 3), nn.AdaptiveAvgPool2d(8), nn.Flatten(),
        nn.Linear(512, 4),
    )  # fmt: skip
    images = torch.rand(4, 3, HEIGHT, WIDTH)
    makers = {
        DreamCanvas: lambda: DreamCanvas(network, images[:1], steps=2),
        DropoutInverter: lambda: DropoutInverter(network, images[:1], steps=2),
        SaliencyView: lambda: SaliencyView(network, images[:1], samples=2, steps=2, window=16, stride=8),
        ActivationStats: lambda: ActivationStats(network, images, layer="1"),
        LayerExplorer: lambda: LayerExplorer(network, images[:1], collect(network, [images]), images, layer="1"),
    }
    made = []

    def make(kind: type, ran: bool) -> Any:
        made.append(makers[kind]())
        made[-1]._ipython_display_()
        made[-1]._on_message(None, {"type": "joined", "view": "a", "lab": True}, [])
        assert made[-1].wait(LONG)
        if ran:
            made[-1].play()
            assert made[-1].wait(LONG) and made[-1].state == "finished"
        return made[-1]

    yield make
    for widget in made:
        widget.close()


DREAM = [
    {"layer": "1", "channel": None}, {"layer": "0", "channel": 3}, {"channel": 1}, {"start": "noise"}, {"seed": 5},
    {"lr": 0.1}, {"steps": 3}, {"jitter": 3}, {"rotation": 5}, {"octaves": 1}, {"octave_scale": 1.2}, {"running": True},
    {"running": False}, {"background": True}, {"start": "image"},
]  # fmt: skip
INVERSION = [
    {"layer": "6"}, {"layer": "0", "insert": True}, {"insert": False, "layer": "3"}, {"p": 0.3}, {"samples": 3},
    {"sample": 1}, {"sweep": True}, {"sweep": False}, {"seed": 5}, {"lr": 0.02}, {"tolerance": 0.01}, {"steps": 3},
    {"bounded": False}, {"running": True}, {"running": False}, {"background": True},
]  # fmt: skip
SALIENCY = [
    {"method": "occlusion"}, {"compare": ["grad_cam", "smoothgrad"]}, {"target": 2}, {"layer": "3"}, {"channel": 1},
    {"place": "0"}, {"view": "grey"}, {"view": "norm_blur"}, {"overlay": "blend"}, {"opacity": 0.3},
    {"colormap": "bwr"}, {"locked": True}, {"locked": False}, {"covered": [[2, 3]]}, {"window": 8}, {"stride": 4},
    {"samples": 3}, {"target": None}, {"method": "gradient"}, {"background": True},
]  # fmt: skip
STATISTICS = [
    {"layer": "0"}, {"channel": 3}, {"sort": "mean"}, {"search": "1-7"}, {"search": ""}, {"page": 1}, {"log": True},
    {"common_axis": True}, {"zoom": [2, 2, 5]}, {"zoom": []}, {"values": "weights"}, {"values": "activations"},
    {"channel": None}, {"background": True},
]  # fmt: skip
LAYERS = [
    {"layer": "3"}, {"channel": 3}, {"place": [2, 3]}, {"shows": "gradients"}, {"back": "guided_backprop"},
    {"seed": "place"}, {"view": "norm_blur"}, {"overlay": "active"}, {"frozen": True}, {"layer": "0"}, {"channel": 7},
    {"frozen": False}, {"colormap": "plasma"}, {"scale": "channel"}, {"boost": 0.5}, {"gamma": 0.7}, {"back": "off"},
    {"shows": "activations"}, {"passport": False}, {"passport": True}, {"background": True},
]  # fmt: skip
MESSAGES = [
    {"type": "drawn", "view": "a", "frame": 1}, {"type": "joined", "view": "b", "lab": True},
    {"type": "drawn", "view": "b", "frame": 2}, {"type": "left", "view": "b"},
]  # fmt: skip
CHOICE = [{"type": "choose", "id": "3", "way": "photograph", "name": "coffee"}]
RUN = [{"type": "step"}, {"type": "restart"}, {"type": "resample"}, {"type": "insert", "layer": "1"}]
QUESTION = [
    {"type": "play"}, {"type": "cancel"}, {"type": "play"},
    {"type": "value", "id": "1", "pane": "input", "row": 1, "column": 2},
]  # fmt: skip
MAPS = [{"type": "measure"}, {"type": "check"}, {"type": "click", "row": 4, "column": 5}, {"type": "uncover"}]
PICTURES = [{"type": "pause"}, {"type": "picture", "id": "2", "which": "matrix"}]


@pytest.mark.parametrize("rests", [True, False])
@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (DreamCanvas, DREAM),
        (DropoutInverter, INVERSION),
        (SaliencyView, SALIENCY),
        (ActivationStats, STATISTICS),
        (LayerExplorer, LAYERS),
    ],
)
def test_a_control_only_notes_what_is_asked(make, handled, kind, changes, ran, rests):
    widget = make(kind, ran)
    for change in changes:
        assert (change, handled(lambda change=change: widget.set_state(change))) == (change, [])
        assert widget.error == "" and all(getattr(widget, name) == value for name, value in change.items())
        assert not rests or widget.wait(LONG)


@pytest.mark.parametrize("rests", [True, False])
@pytest.mark.parametrize(
    ("kind", "own"),
    [
        (DreamCanvas, RUN + CHOICE),
        (DropoutInverter, RUN + CHOICE),
        (SaliencyView, QUESTION + MAPS + CHOICE),
        (ActivationStats, QUESTION[:3] + PICTURES),
        (LayerExplorer, QUESTION),
    ],
)
def test_a_message_is_only_noted(make, handled, kind, own, rests):
    widget = make(kind, True)
    for content in MESSAGES + own:
        assert (content, handled(lambda content=content: widget._on_message(None, content, []))) == (content, [])
        assert not rests or widget.wait(LONG)


def test_what_belongs_on_a_worker_is_noticed(make, handled):
    canvas = make(DreamCanvas, True)
    assert handled(lambda: canvas._picture())[-1] == "encoding"
    assert "forward pass of Conv2d" in handled(lambda: canvas._subject.network.module(torch.rand(1, 3, 8, 8)))
    assert handled(lambda: torch.ones(HEIGHT, WIDTH)) == [f"aten.ones.default: ({HEIGHT}, {WIDTH})"]
    assert handled(lambda: torch.ones(1, 1).expand(HEIGHT, WIDTH)) == []

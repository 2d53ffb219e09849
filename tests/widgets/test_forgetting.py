"""In a kernel of its own: what ends when cells are run again and again, and what a kernel that ends says."""

import pytest

from tests.widgets.kernel import Kernel, running_kernel

MAKE = """
import time, torch
from torch import nn
from nbvis import DreamCanvas, DropoutInverter, SaliencyView
network = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
)
image = torch.rand(3, 32, 32)
"""
THREE = """
canvas = DreamCanvas(network, image, steps=200, octaves=8, octave_scale=1.1)
inverter = DropoutInverter(network, image, steps=10_000, tolerance=1e-8)
view = SaliencyView(network, image, method="occlusion", stride=1)
canvas.play(), inverter.play()
display(canvas, inverter, view)
"""
JOIN = """
for number, each in enumerate([canvas, inverter, view]):
    each._on_message(each, {"type": "joined", "view": str(number), "lab": True}, [])
del each
"""
LEAVE = JOIN.replace("joined", "left")
WORKERS = "[t.name for t in __import__('threading').enumerate()].count('nbvis')"
ALIVE = "len(__import__('nbvis.widgets.forgetting', fromlist=['_alive'])._alive)"


@pytest.fixture(scope="module")
def shared():
    with running_kernel() as kernel:
        kernel.run(MAKE)
        yield kernel


@pytest.fixture
def kernel(shared: Kernel):
    yield shared
    shared.run("__import__('ipywidgets').Widget.close_all(); get_ipython().reset(); import gc; gc.collect()")
    shared.run(MAKE)


def test_a_cell_run_again_ends_what_it_showed_before(kernel):
    for _ in range(5):
        kernel.run(THREE, cell="a")
    kernel.run("pass", cell="b")
    kernel.until(f"{WORKERS} <= 3 and {ALIVE} == 3")


def test_a_widget_whose_views_leave_as_its_cell_runs_again_ends_soon(kernel):
    kernel.run(f"{THREE}{JOIN}", cell="a")
    kernel.run(f"old = [canvas, inverter, view]\n{THREE}{JOIN}", cell="a")
    assert kernel.value(ALIVE) == 6
    kernel.run(f"canvas, inverter, view = old\n{LEAVE}\ndel old", cell="b")
    kernel.run("del canvas, inverter, view", cell="c")
    kernel.until(f"{ALIVE} == 3")


def test_an_output_of_the_history_does_not_hold_a_widget(kernel):
    for _ in range(3):
        kernel.run("DreamCanvas(network, image, steps=200)", cell="a")
    kernel.until(f"{ALIVE} == 1")
    assert kernel.value("[n for n, each in Out.items() if type(each).__name__ == 'DreamCanvas'].__len__()") == 1
    kernel.run("repr(_)", cell="b")


@pytest.mark.parametrize(
    "hold", ["kept = canvas", "kept = [{'a': (canvas,)}]", "kept = lambda canvas=canvas: canvas",
             "import ipywidgets; ipywidgets.HBox([canvas])"],
)  # fmt: skip
def test_what_a_variable_holds_stays(kernel, hold):
    kernel.run(THREE + hold, cell="a")
    kernel.run(THREE, cell="a")
    kernel.run("pass", cell="b")
    kernel.until(f"{ALIVE} == 4")
    kernel.run("import time; time.sleep(1.5)", cell="b")
    assert kernel.value(ALIVE) == 4


def test_what_is_shown_stays_though_nothing_holds_it(kernel):
    kernel.run(f"{THREE}{JOIN}\ndel canvas, inverter, view", cell="a")
    kernel.run("pass", cell="b")
    assert kernel.value(ALIVE) == 3


def test_what_is_displayed_is_given_time_to_appear(kernel):
    kernel.run("display(DreamCanvas(network, image))", cell="a")
    kernel.run("pass", cell="b")
    assert kernel.value(ALIVE) == 1


@pytest.mark.parametrize("background", [False, True])
def test_a_kernel_that_ends_with_panels_open_says_nothing(background):
    with running_kernel() as kernel:
        kernel.run(MAKE)
        kernel.run(f"{THREE}{JOIN}\ncanvas.background = {background}")
        said = kernel.shut_down()
    assert "Traceback" not in said and "ERROR" not in said, said

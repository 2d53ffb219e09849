"""A method is one file: written beside the others and listed, it is in the engine, its checks and the panel."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbvis

PACKAGE = Path(nbvis.__file__).parent

METHOD = '''"""The size of the gradient."""

from .method import Found, Method, Option
from .passes import Passes


def gradient_size(passes: Passes, *, power: float = 1.0) -> Found:
    """|∂S(x) / ∂x| to a power."""
    back = passes.backward()
    return Found(back.gradient.abs() ** power, back.score)


POWER = Option("power", "Power", 2.0, 0.5, 3, "What the size is raised to.")

METHOD = Method(gradient_size, "Gradient size", "The size of the derivative.", sliders=(POWER,))
'''

USE = """
import torch
from torch import nn
from nbvis import SaliencyView, engine

torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 5))
image = torch.rand(1, 3, 16, 16)
found = engine.attribute(net, image, 2, method="gradient_size", power=2)
assert torch.equal(found.map, engine.attribute(net, image, 2).map ** 2)
assert engine.randomization_check(net, image, "gradient_size", stages=1).stages
view = SaliencyView(net, image, target=2, method="gradient_size", power=2.0)
assert torch.equal(view.result.map, found.map)
(record,) = [each for each in view.methods if each["name"] == "gradient_size"]
assert record["label"] == "Gradient size" and record["sliders"] == ["power"]
assert view._controls["power"]["high"] == 3 and "gradient_size" in view.recipe()
view.measure()
view.check()
assert view.wait(60) and view.sanity["label"] == "Gradient size" and view.bars[0]["label"] == "Gradient size"
view.close()
print("done")
"""


def test_a_method_is_one_file_and_one_line(tmp_path):
    copy = tmp_path / "nbvis"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    if not (copy / "js").exists():  # beside the package in a checkout, inside it in a wheel
        shutil.copytree(PACKAGE.parent / "js", tmp_path / "js")
    room = copy / "engine" / "attribution"
    (room / "gradient_size.py").write_text(METHOD, encoding="utf-8")
    listing = (room / "methods.py").read_text(encoding="utf-8")
    listing = listing.replace("    smoothgrad,\n", "    smoothgrad,\n    gradient_size,\n", 1)
    listing = listing.replace("        smoothgrad,\n", "        smoothgrad,\n        gradient_size,\n", 1)
    (room / "methods.py").write_text(listing, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.stdout == "done\n", done.stderr

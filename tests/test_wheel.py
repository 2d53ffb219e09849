"""What the wheel carries."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    ours = (path for path in paths if not {"__pycache__", ".ipynb_checkpoints"} & {*path.parts})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in ours}


def test_javascript_and_notebooks_are_in_it(wheel):
    for name in ("js", "notebooks"):
        assert files(wheel / "nbvis" / name) == files(ROOT / name) != {}


def test_python_files_types_and_licence_are_in_it(wheel):
    assert {"py.typed", "cli.py", "engine/__init__.py"} <= files(ROOT / "nbvis").keys()
    assert files(ROOT / "nbvis").items() <= files(wheel / "nbvis").items()
    information = files(next(wheel.glob("*.dist-info")))
    assert b"nbvis = nbvis.cli:main" in information["entry_points.txt"]
    assert information["licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()
    assert b"License-Expression: MIT" in information["METADATA"]


def test_nothing_else_is_in_it(wheel):
    assert {path.name.split("-")[0] for path in wheel.iterdir()} == {"nbvis"}


def test_widgets_find_their_javascript(wheel, tmp_path):
    """The code of a widget is read when its module is imported."""
    command = [sys.executable, "-c", "import nbvis; print(nbvis.DreamCanvas._esm, nbvis.__file__)"]
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    answer = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    printed = answer.stdout
    assert printed.strip().endswith(str(wheel / "nbvis" / "__init__.py"))
    assert "render" in printed

"""The rules of the source tree: who imports whom, and what must not be written down."""

import ast
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import nbvis.engine

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "nbvis").rglob("*.py"))
WIDGETS = {path.stem for path in (ROOT / "js").glob("*.js") if "export default" in path.read_text(encoding="utf-8")}
WIDGET_LIBRARIES = {"anywidget", "ipywidgets"}
JUPYTER = {*WIDGET_LIBRARIES, "IPython", "ipykernel", "jupyterlab", "traitlets"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file, by its absolute name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = [*path.relative_to(ROOT).parent.parts]
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return found


def libraries(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - {"nbvis"}


def inside(package: str) -> list[Path]:
    return [path for path in FILES if module_name(path).startswith(f"nbvis.{package}")]


def reaches(path: Path, package: str) -> bool:
    return any(name == f"nbvis.{package}" or name.startswith(f"nbvis.{package}.") for name in imports(path))


def test_relative_and_absolute_imports_are_understood():
    assert "nbvis.engine.network.network" in imports(ROOT / "nbvis/engine/__init__.py")
    assert "nbvis.engine.Network" in imports(ROOT / "nbvis/demo.py")
    assert all(inside(package) for package in ("engine", "sessions", "widgets")) and WIDGETS


@pytest.mark.parametrize(("package", "beyond"), [("engine", ["sessions", "widgets"]), ("sessions", ["widgets"])])
def test_imports_point_one_way(package, beyond):
    """engine ← sessions ← widgets."""
    wrong = [(module_name(path), other) for path in inside(package) for other in beyond if reaches(path, other)]
    assert wrong == []


ROOMS = {
    "tracing": set(),
    "network": {"tracing"},
    "ascent": {"tracing", "network"},
    "attribution": {"tracing", "network", "ascent"},
    "dropout": {"tracing", "network", "ascent"},
    "statistics": {"tracing", "network"},
    "checks": {"tracing", "network", "ascent", "attribution"},
}
"""The rooms of the engine, each with those that it may import from."""


def test_the_engine_has_these_rooms_and_a_module_is_hidden_by_no_function():
    folders = {path.name for path in (ROOT / "nbvis/engine").iterdir() if (path / "__init__.py").exists()}
    assert folders == set(ROOMS)
    for path in inside("engine"):
        import_module(module_name(path))
    hidden = [name for name in vars(nbvis.engine) if f"nbvis.engine.{name}" in sys.modules]
    assert [name for name in hidden if not isinstance(vars(nbvis.engine)[name], ModuleType)] == []


@pytest.mark.parametrize("room", ROOMS)
def test_imports_between_rooms_point_one_way(room):
    beyond = set(ROOMS) - ROOMS[room] - {room}
    wrong = [
        (path.name, other) for path in inside(f"engine.{room}.") for other in beyond if reaches(path, f"engine.{other}")
    ]
    assert wrong == []


def test_engine_needs_torch_and_numpy_alone():
    """Beside them, only where it is called: tqdm for progress bars, torchvision for its models, Pillow for files."""
    assert set().union(*map(libraries, inside("engine"))) <= {"torch", "numpy", "tqdm", "torchvision", "PIL"}


def test_sessions_know_no_jupyter():
    assert set().union(*map(libraries, inside("sessions"))) & JUPYTER == set()


def test_only_widgets_know_the_widget_libraries():
    others = [path for path in FILES if path not in inside("widgets")]
    assert [module_name(path) for path in others if libraries(path) & WIDGET_LIBRARIES] == []


def test_a_widget_imports_no_other_widget():
    for path in inside("widgets"):
        if path.stem in WIDGETS:
            assert [name for name in WIDGETS - {path.stem} if reaches(path, f"widgets.{name}")] == [], path.name


def test_widgets_import_nothing_deeper_than_the_faces_of_engine_and_sessions():
    rooms = {module_name(path) for package in ("engine", "sessions") for path in inside(f"{package}.")}
    wrong = [(path.name, sorted(imports(path) & rooms)) for path in inside("widgets") if imports(path) & rooms]
    assert wrong == []


def test_importing_the_engine_loads_torch_alone():
    code = "import nbvis.engine, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded = set(printed.split())
    assert "torch" in loaded
    assert loaded & {*JUPYTER, "matplotlib", "PIL", "torchvision"} == set()


def test_no_machine_and_no_registry_is_written_down():
    """The paths of one machine and the hosts of package registries differ from reader to reader."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    forbidden = re.compile(r"(?<![\w.])/(home|opt|root|tmp|Users|work)/\w|(pypi|pythonhosted|npmjs|debian)\.(org|com)")
    found = []
    for path in (ROOT / name for name in names if name):
        try:
            text = path.read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):  # a picture; a file deleted but not yet committed
            continue
        found += [(str(path), match[0]) for match in forbidden.finditer(text)]
    assert found == []

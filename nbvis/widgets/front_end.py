"""The files of the front end, and how they become one module a widget and one style sheet for all."""

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


def style_source() -> str:
    """The style sheet of every widget: the shared part, then what is theirs alone.

    It is the same text for all: each panel on a page brings its own copy, and the last one decides.
    """
    own = {path.name for path in _folder().glob("*.css")} - {"shared.css"}
    return "".join(front_end(name) for name in ["shared.css", *sorted(own)])


def _folder() -> Path:
    here = Path(__file__).resolve().parents[1]
    return next(folder for folder in (here / "js", here.parent / "js") if folder.is_dir())

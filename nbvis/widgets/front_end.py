"""The files of the front end, and how they become one module a widget."""

import re
from pathlib import Path


def front_end(name: str) -> str:
    """A file of the front end: from the installed package, or from the checkout that this file lies in."""
    here = Path(__file__).resolve().parents[1]
    folder = next(folder for folder in (here / "js", here.parent / "js") if folder.is_dir())
    return (folder / name).read_text(encoding="utf-8")


def module_source(name: str) -> str:
    """A widget's module as one text: a module from a blob URL cannot import another, so its one import goes."""
    begun = re.match(r'import {[^}]*} from "./shared.js";\n', own := front_end(f"{name}.js"))
    if begun is None:
        raise ImportError(f"js/{name}.js must begin with its one import, that of ./shared.js")
    return front_end("shared.js") + own[begun.end() :]

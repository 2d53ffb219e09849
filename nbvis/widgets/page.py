"""A widget's picture and recipe as one HTML file that needs nothing else."""

import base64
from collections.abc import Mapping
from html import escape

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }}
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }}
img {{ max-width: 100%; width: {width}px; border-radius: 8px; display: block; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; }}
dt {{ opacity: .65; }} dd {{ margin: 0; }}
pre {{ overflow-x: auto; padding: 1rem; border-radius: 8px; background: rgb(128 128 128 / .12); }}
</style>
<h1>{title}</h1>
<img alt="{title}" src="data:image/png;base64,{png}">
<dl>{facts}</dl>
<pre><code>{recipe}</code></pre>
</html>
"""


def page(title: str, png: bytes, width: int, facts: Mapping[str, object], recipe: str) -> str:
    """The HTML text.

    Args:
        title: heading, and what the picture shows.
        png: the picture, encoded.
        width: of the picture, pixels.
        facts: what to list below the picture, by name.
        recipe: Python source that makes the picture again.
    """
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    return PAGE.format(
        title=escape(title),
        png=base64.b64encode(png).decode(),
        width=2 * width,
        facts=rows,
        recipe=escape(recipe),
    )

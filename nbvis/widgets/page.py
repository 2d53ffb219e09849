"""A widget's pictures, numbers and recipe as one HTML file that needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from PIL import Image

from nbvis.sessions import encoded

from .sheet import Cell
from .views import figure

MOST = 5
"""So many pictures stand in one row where there is room; more are set in threes."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --text: #1c2530; --quiet: #5b6775; --line: #e2e5ea; --panel: #f6f7f9; --bg: #fff;
  --clean: #16915a; --noisy: #b26a00; --corrupted: #1769e0; }}
@media (prefers-color-scheme: dark) {{ :root {{ --text: #e6e9ed; --quiet: #98a3af; --line: #31373e; --panel: #1e2227;
  --bg: #16191d; --clean: #4cc38a; --noisy: #f0b429; --corrupted: #6ea8fe; }} }}
body {{ max-width: 60rem; margin: 2rem auto; padding: 0 1rem; background: var(--bg); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }}
h1 {{ font-size: 1.4rem; font-weight: 600; overflow-wrap: anywhere; }}
h2 {{ margin: 2rem 0 .6rem; font-size: .75rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase;
  color: var(--quiet); }}
.figures {{ display: grid; gap: 1.2rem 1rem; grid-template-columns:
  repeat(auto-fill, minmax(min(100%, max(10rem, calc((100% - {columns}rem + 1rem) / {columns}))), 1fr)); }}
.figures.one {{ grid-template-columns: minmax(0, {width}px); }}
figure {{ margin: 0; }}
img {{ width: 100%; border-radius: 8px; display: block; }}
img.mask {{ width: auto; min-width: 8rem; max-width: 100%; max-height: 20rem; border-radius: 4px;
  image-rendering: pixelated; }}
figcaption {{ padding-top: .3rem; }}
figcaption b {{ font-weight: 500; overflow-wrap: anywhere; }}
figcaption span {{ color: var(--quiet); font-size: .87rem; }}
figcaption span {{ display: block; }}
.empty {{ display: grid; place-items: center; padding: 1rem; border-radius: 8px; background: var(--panel);
  color: var(--quiet); }}
.bar {{ height: 8px; margin-top: .4rem; border-radius: 4px; border: 1px solid var(--line); }}
.ends {{ display: flex; justify-content: space-between; color: var(--quiet); font-size: .8rem; }}
table {{ border-collapse: collapse; width: 100%; max-width: 44rem; }}
th {{ padding: .25rem 1rem .25rem 0; text-align: left; font-weight: 400; }}
thead th {{ color: var(--quiet); font-size: .87rem; }}
td {{ padding: .25rem 1rem .25rem 0; white-space: nowrap; }}
td i {{ display: inline-block; height: 8px; margin-right: .5rem; border-radius: 4px; vertical-align: .05em; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.5rem; margin: 0; }}
dt {{ color: var(--quiet); }} dd {{ margin: 0; overflow-wrap: anywhere; white-space: pre-line; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; padding: 1rem; border-radius: 8px; background: var(--panel);
  font: .85rem/1.5 ui-monospace, monospace; }}
</style>
<h1>{title}</h1>
<div class="figures{one}">{figures}</div>
{more}
<h2>Settings</h2>
<dl>{facts}</dl>
<h2>As code</h2>
<pre><code>{recipe}</code></pre>
</html>
"""


class Table(NamedTuple):
    """Probabilities with a bar each.

    Attributes:
        title: above it.
        columns: their names; a bar has the colour that the page gives to its column's name, in small letters.
        rows: (name, probability in [0, 1] of each column).
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[float]]]


def page(
    title: str,
    cells: Sequence[Cell],
    facts: Mapping[str, object],
    recipe: str,
    table: Table | None = None,
    mask: tuple[Image.Image, str] | None = None,
) -> str:
    """The HTML text.

    Args:
        title: heading, and what the pictures show.
        cells: the pictures.
        facts: what to list below the pictures, by name.
        recipe: Python source that makes the pictures again.
        table: probabilities to show below the pictures; None for none.
        mask: what a mask drops, a pixel for each unit, and a sentence that says how much; None for no mask.
    """
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items())
    more = (_table(table) if table and table.rows else "") + (_mask(*mask) if mask else "")
    return PAGE.format(
        title=escape(title),
        figures="".join(map(_figure, cells)),
        columns=len(cells) if len(cells) <= MOST else 3,
        one=" one" if len(cells) == 1 else "",
        width=2 * cells[0].picture.width if cells[0].picture else 600,
        more=more,
        facts=rows,
        recipe=escape(recipe),
    )


def _figure(cell: Cell) -> str:
    shown, line = _image(cell.picture, cell.words), cell.line
    if cell.picture is None:
        shown, line = f'<div class="empty">{escape(cell.line)}</div>', ""
    said = f"<span>{escape(line)}</span>" if line else ""
    return f"<figure>{shown}<figcaption><b>{escape(cell.title)}</b>{said}</figcaption>{_bar(cell)}</figure>"


def _bar(cell: Cell) -> str:
    if not cell.between:
        return ""
    low, high = map(figure, cell.between)
    return (
        f'<div class="bar" style="background: linear-gradient(90deg, {", ".join(cell.colors)})"></div>'
        f'<div class="ends"><span>{low}</span><span>{high}</span></div>'
    )


def _mask(picture: Image.Image, sentence: str) -> str:
    alt = f"Mask, light where a unit was kept and dark where it was dropped: {sentence}"
    shown = _image(picture, alt, f'class="mask" style="width: {8 * picture.width}px"')
    return f"<h2>Mask</h2><figure>{shown}</figure><p>{escape(sentence)} Dark: dropped. Light: kept.</p>"


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_share, table.columns, shares))}</tr>'
        for name, shares in table.rows
    )
    return f"<h2>{escape(table.title)}</h2><table><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _share(column: str, share: float) -> str:
    return f'<td><i style="width: {5 * share:.2f}rem; background: var(--{column.lower()})"></i>{share:.2f}</td>'


def _image(picture: Image.Image | None, alt: str, attributes: str = "") -> str:
    if picture is None:
        return ""
    png = base64.b64encode(encoded(picture, lossless=True)).decode()
    return f'<img alt="{escape(alt)}" {attributes} src="data:image/png;base64,{png}">'

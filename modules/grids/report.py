"""What a grid gave, as a table (CSV) and as a page (HTML) that shows each picture large; the page needs no other file but the pictures.

Knows rows and links; knows nothing about where pictures lie. Start reading at `csv_text` and `html_text`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from html import escape

from modules.grids.records import CellRow, Ending, GridRow

Link = Callable[[CellRow, Ending], str]  # the address of a cell's picture, "" without one
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:24px;background:#fff;color:#1d1d1f}
h1{font-size:20px;margin:0 0 4px}p{margin:0 0 12px;color:#555}h2{font-size:16px;margin:24px 0 8px}
table{border-collapse:collapse}th{font-weight:600;padding:6px 10px;max-width:320px;overflow-wrap:anywhere}
tbody th{text-align:right}td{padding:2px;vertical-align:top}
td img{display:block;width:var(--side,192px);cursor:zoom-in}td img:focus-visible{outline:3px solid #3478f6}
td.none{background:#ececec;color:#777;text-align:center;vertical-align:middle;min-width:96px;padding:8px;font-size:13px}
label{display:inline-flex;gap:8px;align-items:center;margin-bottom:12px}
#view{position:fixed;inset:0;background:rgb(0 0 0/.9);display:none;overflow:auto}
#view.open{display:grid;place-items:center}#view img{max-width:96vw;max-height:88vh;cursor:zoom-in}
#view.full{display:block}#view.full img{max-width:none;max-height:none;cursor:zoom-out}
#view p{color:#ddd;text-align:center;margin:8px;white-space:pre-wrap;font-size:13px;max-height:7em;overflow:auto}
@media (prefers-color-scheme:dark){body{background:#161618;color:#eee}p{color:#aaa}td.none{background:#2a2a2c}}
"""
SCRIPT = """
const all=[...document.querySelectorAll("td img")],view=document.getElementById("view"),large=view.querySelector("img"),
words=view.querySelector("p");let at=0;
const show=(n)=>{at=(n+all.length)%all.length;large.src=all[at].src;large.alt=all[at].alt;words.textContent=all[at].title;
view.className="open"};
const close=()=>{view.className="";all[at].focus()};
document.addEventListener("click",(event)=>{const n=all.indexOf(event.target);if(n>=0)show(n);
else if(event.target===large)view.classList.toggle("full");else if(view.contains(event.target))close()});
document.addEventListener("keydown",(event)=>{const n=all.indexOf(document.activeElement);
if(!view.className){if(event.key==="Enter"&&n>=0)show(n);return}
if(event.key==="Escape")close();if(event.key==="ArrowRight")show(at+1);if(event.key==="ArrowLeft")show(at-1)});
document.getElementById("side").addEventListener("input",(event)=>document.body.style.setProperty("--side",event.target.value+"px"));
"""


def csv_text(grid: GridRow, endings: Sequence[Ending], link: Link) -> str:
    """A line a cell: its place, its values, seed, seconds, state, file and parameters text."""
    used = [axis for axis in grid.axes if axis.used]
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["column", "row", "grid", *(axis.label for axis in used), "seed", "seconds", "state", "file", "parameters"])
    for cell, ending in zip(grid.cells, endings, strict=True):
        picture = ending.picture or {}
        values = [axis.values[n] for axis, n in zip(grid.axes, cell.place, strict=True) if axis.used]
        seconds = "" if ending.seconds is None else f"{ending.seconds:.2f}"
        row = [*(n + 1 for n in cell.place), *values, picture.get("seed", ""), seconds, ending.state, link(cell, ending)]
        table.writerow([_plain(value) for value in (*row, picture.get("infotext", ""))])
    return out.getvalue()


def html_text(grid: GridRow, endings: Sequence[Ending], link: Link, title: str, about: str) -> str:
    """A page with a table of thumbnails for each Z value; a click or Enter shows a picture whole, a second one at its own size."""
    tables = "".join(_table(grid, endings, link, z) for z in range(grid.shape[2]))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{escape(about)}</p>"
        f'<label>Size of the pictures <input type="range" id="side" min="64" max="768" value="192"></label>{tables}'
        f'<div id="view" role="dialog" aria-label="Picture"><img alt=""><p></p></div><script>{SCRIPT}</script></body></html>\n'
    )


def _table(grid: GridRow, endings: Sequence[Ending], link: Link, z: int) -> str:
    columns, rows, _ = grid.shape
    across, down, beyond = grid.axes
    head = "".join(f'<th scope="col">{escape(words)}</th>' for words in across.words) if across.used else ""
    lines: list[str] = []
    for y in range(rows):
        begin = z * rows * columns + y * columns
        cells = "".join(_cell(grid, grid.cells[n], endings[n], link) for n in range(begin, begin + columns))
        lines.append(f'<tr><th scope="row">{escape(down.words[y])}</th>{cells}</tr>')
    title = f"<h2>{escape(beyond.words[z])}</h2>" if beyond.used else ""
    return f"{title}<table><thead><tr><td></td>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _cell(grid: GridRow, cell: CellRow, ending: Ending, link: Link) -> str:
    address = link(cell, ending)
    if not address:
        return f'<td class="none">{escape(ending.fault or ending.state)}</td>'
    words = ", ".join(axis.words[n] for axis, n in zip(grid.axes, cell.place, strict=True) if axis.used)
    told = str((ending.picture or {}).get("infotext", ""))
    text = f"{words}\n{told}".strip()
    return f'<td><img src="{escape(address)}" alt="{escape(words)}" title="{escape(text)}" tabindex="0" loading="lazy"></td>'


def _plain(value: object) -> object:
    """A text that a spreadsheet would run as a formula is marked as text; numbers stay numbers."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value

"""A report as one HTML page that needs nothing else: text, tables and pictures inside."""

import base64
import html
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from helpers.artifacts import write_text
from helpers.plotting import to_png

_STYLE = """body{font:17px/1.5 system-ui,sans-serif;max-width:960px;margin:2em auto;
  padding:0 1em;color:#222}
h1,h2{color:#004488}img{max-width:100%}table{border-collapse:collapse}
th,td{padding:4px 12px;border-bottom:1px solid #ccc;text-align:left}"""


@dataclass
class Picture:
    """A PNG, or a figure to make one of, and what it shows."""

    image: bytes | Figure
    alt: str


def write_report(path: str | Path, title: str, parts: dict[str, list]) -> Path:
    """Write a page and return its path.

    Args:
        path: Of the .html file.
        title: Of the page.
        parts: Heading to contents: Pictures, and texts: a paragraph each, or a Markdown table.
    """
    body = [f"<h1>{html.escape(title)}</h1>"]
    for heading, contents in parts.items():
        body.append(f"<h2>{html.escape(heading)}</h2>")
        body += [_shown(content) for content in contents]
    page = (
        f'<!doctype html><html lang="en"><head><meta '
        f'charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )
    write_text(Path(path), page)
    return Path(path)


def _shown(content: str | Picture) -> str:
    if isinstance(content, Picture):
        png = content.image if isinstance(content.image, bytes) else to_png(content.image)
        data = base64.b64encode(png).decode()
        return (
            f'<img alt="{html.escape(content.alt, quote=True)}" src="data:image/png;base64,{data}">'
        )
    if not content.startswith("|"):
        return f"<p>{html.escape(content)}</p>"
    head, _, *rows = [
        [html.escape(cell.strip()) for cell in line.strip("|").split("|")]
        for line in content.splitlines()
    ]
    lines = [
        f"<th>{'</th><th>'.join(head)}</th>",
        *(f"<td>{'</td><td>'.join(row)}</td>" for row in rows),
    ]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
